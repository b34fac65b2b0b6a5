import { expect } from 'chai';
import { TOTP } from 'otpauth';
import { ACR_ONE_FACTOR, ACR_TWO_FACTORS } from '../../../src/protocol.js';
import { setPassword } from '../../../src/users/set-password.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser, Landing } from '../../support/form-browser.js';
import { claimsOf, type Person, type RelyingParty } from '../authorization/relying-party.js';
import {
  type Authenticator,
  faults,
  heading,
  NEXT_PASSWORD,
  PeopleScene,
  signIn,
  stepOf,
} from './people-scene.js';

const CODE = 'form:has(input[name="code"])';

describe('the second factor', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let ada: Person;
    let app: Authenticator;

    before(async () => {
      people = await PeopleScene.open({
        url: (await fresh()).url,
        env: { CLAVIGER_RATE_LIMITS: 'production' },
      });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });

    beforeEach(async () => {
      ada = await people.scene.person();
      app = await people.authenticator(ada);
    });

    after(() => people.close());

    async function atCode(parameters = {}): Promise<FormBrowser> {
      const browser = await people.atSignIn(shop, parameters);
      await signIn(browser, ada.email, ada.password);
      expect(stepOf(browser)).to.equal('second-factor');
      return browser;
    }

    async function idTokenOf(browser: FormBrowser, parameters = {}): Promise<Record<string, unknown>> {
      const authorized = await shop.authorize(browser, undefined, parameters);
      return claimsOf((await shop.redeem(authorized)).json.id_token);
    }

    it('is asked for after the password, and there is no session before it is shown (requirement 90)', async () => {
      const browser = await atCode();
      const elsewhere = browser.window();
      const silent = await elsewhere.get(shop.begin({ prompt: 'none' }).path);
      expect(silent.departure?.parameters.error).to.equal('login_required');
      expect((await browser.cookies()).session).to.equal(undefined);
      const { departure } = await browser.submit(CODE, { code: await app.code() });
      expect(departure?.parameters.code).to.be.a('string');
      const { acr } = await idTokenOf(browser, { claims: JSON.stringify({ id_token: { acr: null } }) });
      expect(acr).to.equal(ACR_TWO_FACTORS);
    });

    it('takes each code once (requirement 89)', async () => {
      const code = await app.code();
      const first = await atCode();
      const second = await atCode();
      expect((await first.submit(CODE, { code })).departure).to.not.equal(undefined);
      const { status, departure } = await second.submit(CODE, { code });
      expect([status, departure]).to.deep.equal([422, undefined]);
      expect(second.has('#code-error')).to.equal(true);
    });

    it('takes a recovery code in its place, once', async () => {
      const [code = ''] = app.recoveryCodes;
      const browser = await atCode();
      await browser.follow('a[href*="way=recovery_code"]');
      const { departure } = await browser.submit(CODE, { code: code.toLowerCase().replaceAll('-', ' ') });
      expect(departure?.parameters.code).to.be.a('string');
      const again = await atCode();
      expect((await again.submit(CODE, { code })).status).to.equal(422);
    });

    it('stops guessing after ten tries, whichever browser it is, with 429 and when to come back (requirement 88)', async () => {
      const statuses: number[] = [];
      let last: Landing | undefined;
      for (let count = 0; count < 11; count += 1) {
        const browser = await atCode();
        last = await browser.submit(CODE, { code: '000000' });
        statuses.push(last.status);
      }
      expect(statuses.filter(status => status === 422)).to.have.length(10);
      expect(last?.status).to.equal(429);
      expect(Number(last?.headers['retry-after'])).to.be.within(1, 900);
      const right = await atCode();
      expect((await right.submit(CODE, { code: await app.code() })).status).to.equal(429);
    });

    it('is not asked for on a device that its owner trusts, but always when the client demands it', async () => {
      const browser = await atCode();
      await browser.submit(CODE, { code: await app.code(), trust: 'on' });
      const request = shop.begin({ prompt: 'login' });
      await browser.get(request.path);
      expect((await signIn(browser, ada.email, ada.password)).departure?.parameters.code).to.be.a('string');
      await browser.get(shop.begin({ prompt: 'login', acr_values: ACR_TWO_FACTORS }).path);
      await signIn(browser, ada.email, ada.password);
      expect(stepOf(browser)).to.equal('second-factor');
      // Another person's device is not trusted for it.
      expect(heading(await atCode())).to.not.equal('');
    });

    it('is alone asked for when somebody who has just signed in needs it (RFC 9470)', async () => {
      const eve = await people.scene.person();
      const browser = await people.atSignIn(shop);
      await signIn(browser, eve.email, eve.password);
      await people.authenticator(eve);
      const claims = JSON.stringify({ id_token: { acr: { essential: true, value: ACR_TWO_FACTORS } } });
      await browser.get(shop.begin({ claims }).path);
      expect(stepOf(browser)).to.equal('second-factor');
      await people.moveBy(600);
      const late = browser.window();
      await late.get(shop.begin({ claims }).path);
      expect(heading(late)).to.equal('Confirm it is you');
    });

    it('must be shown within 15 minutes of the first', async () => {
      const browser = await atCode();
      await people.moveBy(901);
      await browser.submit(CODE, { code: await app.code() });
      expect(heading(browser)).to.equal('Sign in');
      expect(browser.landing.departure).to.equal(undefined);
    });

    it('is worth nothing once the password has changed meanwhile', async () => {
      const browser = await atCode();
      const context = await people.scene.context();
      const { userId } = ada;
      await setPassword(context, { userId, password: NEXT_PASSWORD }, { actor: `user:${userId}` });
      const { departure } = await browser.submit(CODE, { code: await app.code() });
      expect([departure, heading(browser)]).to.deep.equal([undefined, 'Sign in']);
      expect((await browser.cookies()).session).to.equal(undefined);
    });

    it('is set up on the way by whoever has none and needs one, with recovery codes', async () => {
      const eve = await people.scene.person();
      const browser = await people.atSignIn(shop, { acr_values: ACR_TWO_FACTORS });
      await signIn(browser, eve.email, eve.password);
      expect(stepOf(browser)).to.equal('enrolment');
      const secret = secretOf(browser);
      await browser.submit(CODE, { code: '000000' });
      expect([browser.landing.status, secretOf(browser)]).to.deep.equal([422, secret]);
      const { database } = await people.scene.context();
      const code = new TOTP({ secret }).generate({ timestamp: await database.now() });
      await browser.submit(CODE, { code });
      expect([stepOf(browser), browser.landing.status]).to.deep.equal(['recovery-codes', 200]);
      const codes = browser.landing.text.match(/(?:[0-9A-Z]{4}-){3}[0-9A-Z]{4}/g) ?? [];
      expect(codes).to.have.length(10);
      // A reload loses nothing.
      await browser.get(browser.landing.url);
      expect(browser.landing.text).to.contain(codes[0]);
      const { departure } = await browser.follow('main a.btn');
      expect(departure?.parameters.code).to.be.a('string');
      await people.tick();
      const next = await people.atSignIn(shop);
      await signIn(next, eve.email, eve.password);
      expect(stepOf(next)).to.equal('second-factor');
    });

    it('cannot be replaced by whoever knows only the password', async () => {
      const eve = await people.scene.person();
      const thief = await people.atSignIn(shop, { acr_values: ACR_TWO_FACTORS });
      await signIn(thief, eve.email, eve.password);
      const stolen = secretOf(thief);
      await people.authenticator(eve);
      const { database } = await people.scene.context();
      const code = new TOTP({ secret: stolen }).generate({ timestamp: await database.now() });
      await thief.submit(CODE, { code });
      expect(heading(thief)).to.equal('Sign in');
      const other = await atCode();
      const { url } = other.landing;
      await other.get(url.replace('second-factor', 'enrolment'));
      expect(heading(other)).to.equal('Sign in');
    });

    it('leads back to the start for somebody else', async () => {
      const browser = await atCode();
      await browser.submit('form[action$="/switch"]');
      expect(heading(browser)).to.equal('Sign in');
      await browser.get(browser.landing.url.replace('sign-in', 'second-factor'));
      expect([heading(browser), faults(browser)]).to.deep.equal(['Sign in', '']);
    });

    it('is not needed for one factor', async () => {
      const eve = await people.scene.person();
      const browser = await people.atSignIn(shop);
      await signIn(browser, eve.email, eve.password);
      const { acr } = await idTokenOf(browser, { claims: JSON.stringify({ id_token: { acr: null } }) });
      expect(acr).to.equal(ACR_ONE_FACTOR);
    });
  });
});

function secretOf({ landing }: FormBrowser): string {
  const secret = /(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}/.exec(landing.text)?.[0];
  if (secret === undefined) throw new Error('the page shows no secret');
  return secret.replaceAll(' ', '');
}
