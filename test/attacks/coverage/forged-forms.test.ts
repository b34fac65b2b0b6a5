import { expect } from 'chai';
import { type Person, type RelyingParty, Scene } from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { ISSUER } from '../../support/nodes.js';
import { rowCounts } from '../../support/tables.js';
import { pagePaths } from './page-paths.js';

describe('a form that another site makes a signed-in person send', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open(
        { url: (await fresh()).url, env: { CLAVIGER_USERS_SIGN_UP: 'true' } },
        { hasTimers: false },
      );
      person = await scene.person();
      shop = await scene.relyingParty();
    });

    after(() => scene.close());

    it('is refused at every address of ours that takes forms, and does nothing (requirement 18)', async () => {
      const paths = pagePaths('POST');
      expect(paths.length).to.be.above(30);
      const browser = scene.browser();
      await shop.authorize(browser, person);
      /** Of the page that is there now: an answer to a form without cookies begins with another one. */
      const ownToken = async (): Promise<string> => {
        const { root } = await browser.window().get('/account/sessions');
        const token = root.querySelector('form [name="csrf"]')?.getAttribute('value') ?? '';
        expect(token).to.match(/^[A-Za-z0-9_-]{43}$/);
        return token;
      };
      await browser.get(shop.begin({ prompt: 'login' }).path);
      const uid = new URL(browser.landing.url).pathname.split('/')[2] ?? '';
      const { database } = await scene.cluster.operator();
      const before = await rowCounts(database);
      const fields = { email: person.email, password: person.password, answer: 'allow' };
      for (const template of paths) {
        const path = template.replace('*', uid);
        const forgeries = [
          [{ ...fields }, ISSUER, 'without a token'],
          [{ ...fields, csrf: 'x'.repeat(43) }, ISSUER, 'with a token that was made up'],
          [{ ...fields, csrf: await ownToken() }, 'http://localhost:4401', 'from another port of this host'],
          [{ ...fields, csrf: await ownToken() }, 'https://evil.test', 'from another site'],
        ] as const;
        for (const [form, from, how] of forgeries) {
          const { status, departure } = await browser.post(path, form, { from });
          expect(status, `${path} ${how}`).to.equal(403);
          expect(departure, `${path} ${how}`).to.equal(undefined);
        }
      }
      expect(await rowCounts(database)).to.deep.equal(before);
      await browser.get('/account');
      expect(browser.has('input[name="password"]'), 'still signed in').to.equal(false);
      // The control: the same token, from a page of ours.
      const csrf = await ownToken();
      const ended = await browser.post('/account/sessions/end-others', { csrf }, { from: ISSUER });
      expect(ended.status).to.equal(200);
    });

    it('signs nobody out: the form of signing out has a secret of its own (requirement 18)', async () => {
      const browser = scene.browser();
      await shop.authorize(browser, person);
      await browser.get('/oauth2/logout');
      const xsrf = browser.form().querySelector('[name="xsrf"]')?.getAttribute('value') ?? '';
      expect(xsrf).to.not.equal('');
      for (const form of [{ logout: 'yes' }, { logout: 'yes', xsrf: 'x'.repeat(xsrf.length) }]) {
        const { status } = await browser.post('/oauth2/logout/confirm', form, { from: ISSUER });
        expect(status).to.be.within(400, 403);
      }
      // The cookie is Lax: another site's form does not bring it.
      const { status } = await browser.post(
        '/oauth2/logout/confirm',
        { logout: 'yes', xsrf },
        { from: 'https://evil.test' },
      );
      expect(status).to.be.within(400, 403);
      await browser.get('/account');
      expect(browser.has('input[name="password"]'), 'still signed in').to.equal(false);
      // The control: the same form, sent by its own page.
      await browser.get('/oauth2/logout');
      await browser.submit('form:has(button[name="logout"])', {}, { button: 'button[name="logout"]' });
      await browser.get('/account');
      expect(browser.has('input[name="password"]'), 'signed out').to.equal(true);
    });
  });
});
