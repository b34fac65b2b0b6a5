import { expect } from 'chai';
import { ArtifactStore } from '../../../src/oidc/artifact-store.js';
import {
  ask,
  type Person,
  type RelyingParty,
  redirectOf,
  Scene,
  walk,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';

async function cookieHeader(browser: FormBrowser, path: string): Promise<string> {
  return Object.entries(await browser.cookies(path))
    .map(([name, value]) => `${name}=${value}`)
    .join('; ');
}

describe('a browser’s session', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      person = await scene.person();
      shop = await scene.relyingParty();
    });

    after(() => scene.close());

    /** What prompt=none says to whoever brings these cookies. */
    async function silently(cookie: string): Promise<string> {
      const answer = await ask(scene.node, shop.begin({ prompt: 'none' }).path, { headers: { cookie } });
      const { parameters } = redirectOf(answer);
      return parameters.error ?? 'code';
    }

    it('has another id after each sign-in and step-up, and the one before is dead (requirement 17)', async () => {
      const browser = scene.browser();
      await browser.get(shop.begin().path);
      const before = await cookieHeader(browser, '/oauth2/authorize');
      await walk(browser, person);
      const signedIn = await cookieHeader(browser, '/oauth2/authorize');
      expect(signedIn).to.not.equal(before);
      expect(await silently(before)).to.equal('login_required');
      expect(await silently(signedIn)).to.equal('code');

      await browser.get(shop.begin({ prompt: 'login' }).path);
      await walk(browser, person);
      const again = await cookieHeader(browser, '/oauth2/authorize');
      expect(again).to.not.equal(signedIn);
      expect(await silently(signedIn)).to.equal('login_required');
      expect(await silently(again)).to.equal('code');

      await browser.get('/oauth2/logout');
      await browser.submit('form:has(button[name="logout"])', {}, { button: 'button[name="logout"]' });
      expect(await silently(again)).to.equal('login_required');
      expect(await silently(await cookieHeader(browser, '/oauth2/authorize'))).to.equal('login_required');
    });

    it('is nobody’s who planted its cookie before (requirement 17)', async () => {
      const [attacker, victim] = [scene.browser(), scene.browser()];
      await attacker.get(shop.begin().path);
      const planted = await attacker.cookies('/oauth2/authorize');
      for (const [name, value] of Object.entries(planted)) {
        await victim.jar.setCookie(`${name}=${value}; Path=/`, 'http://localhost:4400/');
      }
      await shop.authorize(victim, person);
      expect(await silently(await cookieHeader(attacker, '/oauth2/authorize'))).to.equal('login_required');
    });

    it('cannot be reached through somebody else’s interaction: its link ends with 400 (requirement 17)', async () => {
      const attacker = scene.browser();
      await attacker.get(shop.begin().path);
      const { pathname } = new URL(attacker.landing.url);
      const uid = pathname.split('/').at(-1);
      const signedIn = scene.browser();
      await shop.authorize(signedIn, person);
      for (const victim of [scene.browser(), signedIn]) {
        for (const path of [
          pathname,
          `${pathname}/sign-in`,
          `${pathname}/sign-up`,
          `/oauth2/authorize/${uid}`,
        ]) {
          const landing = await victim.get(path, { from: 'https://evil.test' });
          expect(landing.status, path).to.be.oneOf([400, 404]);
          expect(landing.departure, path).to.equal(undefined);
          expect(victim.has('input[name="password"]'), path).to.equal(false);
        }
        // Even with the name of the cookie, whose signature the attacker cannot make for this browser.
        await victim.jar.setCookie(`interaction=${uid}; Path=${pathname}`, 'http://localhost:4400/');
        const forged = await victim.get(pathname);
        expect(forged.status).to.equal(400);
      }
      // Nor is what the attacker ends there of use to the victim: the resumption is bound to the browser, too.
      await attacker.submit('form:has(input[name="password"])', {
        email: person.email,
        password: 'wrong wrong wrong',
      });
      expect(attacker.landing.departure).to.equal(undefined);
    });

    it('is there for whoever holds the cookie of the interaction (control: the cookie is what protects)', async () => {
      const owner = scene.browser();
      await owner.get(shop.begin().path);
      const { pathname } = new URL(owner.landing.url);
      const uid = pathname.split('/').at(-1) ?? '';
      const { database, keys } = await scene.cluster.operator();
      const store = new ArtifactStore({ hasher: keys.hasher, envelope: keys.artifactEnvelope });
      const isKept = async (): Promise<boolean> =>
        (await store.find(database.reader, 'Interaction', uid)) !== undefined;
      const other = scene.browser();
      expect([(await other.get(pathname)).status, await isKept()]).to.deep.equal([400, true]);
      for (const [name, value] of Object.entries(await owner.cookies(pathname))) {
        await other.jar.setCookie(`${name}=${value}; Path=${pathname}`, 'http://localhost:4400/');
      }
      expect((await other.get(pathname)).status).to.equal(200);
      expect(other.has('input[name="password"]')).to.equal(true);
    });

    it('is signed: a changed or foreign cookie is none', async () => {
      const browser = scene.browser();
      await shop.authorize(browser, person);
      const { session = '', 'session.sig': signature = '' } = await browser.cookies('/oauth2/authorize');
      expect(await silently(`session=${session}; session.sig=${signature}`)).to.equal('code');
      const changed = `${session.slice(0, -1)}${session.endsWith('A') ? 'B' : 'A'}`;
      for (const cookie of [
        `session=${session}`,
        `session=${changed}; session.sig=${signature}`,
        `session=${session}; session.sig=${signature.slice(0, -2)}AA`,
        `session=${session}; session.sig=`,
      ]) {
        expect(await silently(cookie), cookie).to.equal('login_required');
      }
    });

    it('is made once: of two submissions of one page one counts, and none fails', async () => {
      const browser = scene.browser();
      await browser.get(shop.begin({ scope: 'openid email orders.write' }).path);
      const { url } = browser.landing;
      const windows = [1, 2, 3, 4].map(() => browser.window());
      for (const window of windows) await window.get(url);
      await Promise.all(
        windows.map(window =>
          window.submit('form:has(input[name="password"])', {
            email: person.email,
            password: person.password,
          }),
        ),
      );
      const statuses = windows.map(({ landing }) => landing.status);
      expect(
        statuses.filter(status => status >= 500),
        statuses.join(' '),
      ).to.have.length(0);
      await browser.get(shop.begin().path);
      expect((await walk(browser, person)).departure?.parameters.code).to.be.a('string');
    });
  });
});
