import { expect } from 'chai';
import { TOTP } from 'otpauth';
import { ACR_TWO_FACTORS } from '../../../src/protocol.js';
import { confirmTotp, enrolTotp } from '../../../src/users/totp.js';
import { ACTING, LifecycleScene } from '../../flows/lifecycle/lifecycle-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER } from '../../support/nodes.js';
import { type Person, signIn } from '../../support/people.js';
import { CLIENT_ORIGIN, type RelyingParty } from '../../support/relying-party.js';

const PASSWORD_FIELD = 'input[name="password"]';
const CODE_FIELD = 'input[name="code"]';
const LOGOUT = 'button[name="logout"]';

describe('a session', function () {
  this.timeout(60_000);
  forEachDatabase((_name, fresh) => {
    let scene: LifecycleScene;
    let person: Person;
    let party: RelyingParty;

    before(async () => {
      scene = await LifecycleScene.open({ url: (await fresh()).url });
      party = await scene.client({ isFirstParty: true });
    });

    beforeEach(async () => {
      person = await scene.person();
    });

    after(() => scene.close());

    /** A browser with the same cookies as they are now, whatever happens to them there later. */
    async function thiefOf(browser: FormBrowser): Promise<FormBrowser> {
      const thief = scene.browser();
      for (const { key, value, path } of (await browser.jar.serialize()).cookies) {
        await thief.jar.setCookie(`${key}=${value}; Path=${path ?? '/'}`, ISSUER);
      }
      return thief;
    }

    /** On each node: what the browser's cookie opens without a password, at the clients and on the account pages. */
    async function opens(browser: FormBrowser): Promise<string[]> {
      const opened: string[] = [];
      for (const [index] of scene.cluster.nodes.entries()) {
        const here = await thiefOf(browser);
        const at = scene.elsewhere(here, index);
        const silent = party.attempt({ scope: 'openid orders.read', prompt: 'none' });
        const { departure } = await at.get(silent.url, { from: CLIENT_ORIGIN });
        if (departure?.parameters.code !== undefined) opened.push(`silent sign-in at node ${index}`);
        await at.get('/account');
        if (!at.has(PASSWORD_FIELD)) opened.push(`account pages at node ${index}`);
      }
      return opened;
    }

    async function signedIn(someone = person): Promise<FormBrowser> {
      const browser = scene.browser();
      await signIn(browser, party.attempt({ scope: 'openid orders.read' }).url, someone);
      expect(await opens(browser)).to.have.length(4);
      return browser;
    }

    async function authenticatorOf({ user }: Person): Promise<() => Promise<string>> {
      const { context } = scene;
      const { enrolling, secret } = await enrolTotp(context, { id: user.id, email: user.email });
      const totp = new TOTP({ secret: secret.replaceAll(' ', '') });
      const code = async () => totp.generate({ timestamp: await context.database.now() });
      const acting = { actor: `user:${user.id}` } as const;
      const confirming = { userId: user.id, enrolling, code: await code() };
      expect(await confirmTotp(context, confirming, acting)).to.equal(true);
      // A code is good once: the next is of a later step, whenever in its step this one was.
      await scene.moveBy(30);
      return code;
    }

    async function signOut(browser: FormBrowser, signingOut = party): Promise<void> {
      await signingOut.signOut(browser, {});
      await browser.submit(LOGOUT, {}, { button: LOGOUT });
    }

    it('has another cookie after the sign-in than before: one that was planted opens nothing (requirement 17)', async () => {
      const attacker = scene.browser();
      // The page for device codes keeps its form's secret in a session of nobody.
      await attacker.get('/oauth2/device/verify');
      const planted = (await attacker.cookies()).session;
      expect(planted).to.be.a('string');
      const victim = await thiefOf(attacker);
      await signIn(victim, party.attempt().url, person);
      expect((await victim.cookies()).session).to.not.equal(planted);
      expect(await opens(victim)).to.have.length(4);
      expect(await opens(attacker)).to.deep.equal([]);
    });

    it('has another cookie after a step-up: the value before is dead (requirement 17)', async () => {
      const browser = await signedIn();
      const code = await authenticatorOf(person);
      const thief = await thiefOf(browser);
      await browser.get(party.attempt({ acr_values: ACR_TWO_FACTORS }).url, { from: CLIENT_ORIGIN });
      expect(browser.has(CODE_FIELD), browser.describe()).to.equal(true);
      const { departure } = await browser.submit(CODE_FIELD, { code: await code() });
      expect(departure?.parameters.code).to.be.a('string');
      expect((await browser.cookies()).session).to.not.equal((await thief.cookies()).session);
      expect(await opens(browser)).to.have.length(4);
      expect(await opens(thief)).to.deep.equal([]);
    });

    it('has another cookie after a new sign-in of the same person: the value before is dead (requirement 17)', async () => {
      const browser = await signedIn();
      const thief = await thiefOf(browser);
      await signIn(browser, party.attempt({ prompt: 'login' }).url, person);
      expect(await opens(browser)).to.have.length(4);
      expect(await opens(thief)).to.deep.equal([]);
    });

    it('is dead after a sign-out at a client, and so is every copy of its cookie (requirements 17 and 85)', async () => {
      const browser = await signedIn();
      const thief = await thiefOf(browser);
      await signOut(browser);
      expect(await opens(browser)).to.deep.equal([]);
      expect(await opens(thief)).to.deep.equal([]);
      expect(await scene.sessions(person), 'nor is it listed').to.deep.equal([]);
    });

    it('is dead after a sign-out on the account pages, for every client too (requirements 17 and 85)', async () => {
      const browser = await signedIn();
      const thief = await thiefOf(browser);
      await browser.get('/account');
      await browser.submit('form[action$="/account/sign-out"]');
      expect(await opens(browser)).to.deep.equal([]);
      expect(await opens(thief)).to.deep.equal([]);
      expect(await scene.sessions(person)).to.deep.equal([]);
    });

    const ends = {
      'an operator ends it': () => scene.access.sessions.endAll(person.user.id, ACTING),
      'the person signs out at a client': signOut,
    };
    for (const [cause, end] of Object.entries(ends)) {
      it(`is not brought back by requests that are under way when ${cause}`, async () => {
        const browser = await signedIn();
        const asking = Array.from({ length: 8 }, async () => {
          const window = await thiefOf(browser);
          await window.get(party.attempt({ scope: 'openid orders.read' }).url, { from: CLIENT_ORIGIN });
          return window;
        });
        await end(browser);
        for (const window of await Promise.all(asking)) expect(await opens(window)).to.deep.equal([]);
        expect(await scene.sessions(person)).to.deep.equal([]);
      });
    }

    it('does not exist before the second factor was shown, on any node, in any cache (requirement 90)', async () => {
      const code = await authenticatorOf(person);
      const browser = scene.browser();
      await browser.get(party.attempt().url, { from: CLIENT_ORIGIN });
      const { email, password } = person;
      await browser.submit(PASSWORD_FIELD, { email, password });
      expect(browser.has(CODE_FIELD), browser.describe()).to.equal(true);
      expect(await opens(browser)).to.deep.equal([]);
      expect(await scene.sessions(person)).to.deep.equal([]);
      // The resume address is where a finished interaction leads: asked for early it gives nothing.
      const { pathname } = new URL(browser.landing.url);
      const uid = pathname.split('/')[2];
      const early = browser.window();
      await early.get(`/oauth2/authorize/${uid}`);
      expect(early.landing.departure?.parameters.code).to.equal(undefined);
      expect(await opens(early)).to.deep.equal([]);
      await browser.get(party.attempt().url, { from: CLIENT_ORIGIN });
      await browser.submit(PASSWORD_FIELD, { email, password });
      await browser.submit(CODE_FIELD, { code: await code() });
      expect(await opens(browser)).to.have.length(4);
    });

    it('ends when it is not used for an hour, not before (requirement 95)', async () => {
      const browser = await signedIn();
      await scene.moveBy(3590);
      expect(await opens(browser)).to.have.length(4);
      await scene.moveBy(3590);
      expect(await opens(browser), 'it was used').to.have.length(4);
      const always = await scene.client({ alwaysIssueRefreshToken: true, isFirstParty: true });
      const { json } = await scene.tokens(always, browser, person);
      await scene.moveBy(3601);
      expect(await opens(browser)).to.deep.equal([]);
      expect(await scene.sessions(person)).to.deep.equal([]);
      const refreshed = await always.refresh(String(json.refresh_token));
      expect(refreshed.status, 'nobody has ended it').to.equal(200);
    });

    it('ends 24 hours after the sign-in, however often it is used (requirement 95)', async () => {
      const browser = await signedIn();
      const silent = { scope: 'openid orders.read', prompt: 'none' };
      for (let used = 0; used < 29; used += 1) {
        await scene.moveBy(2950);
        const { departure } = await browser.get(party.attempt(silent).url);
        expect(departure?.parameters.code, `after ${(used + 1) * 2950} s`).to.be.a('string');
      }
      await scene.moveBy(24 * 3600 - 29 * 2950 + 1);
      expect(await opens(browser)).to.deep.equal([]);
    });
  });
});
