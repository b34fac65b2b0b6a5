import { expect } from 'chai';
import { PeopleScene, signIn } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import type { Exchange, FormBrowser } from '../../support/form-browser.js';
import { ISSUER } from '../../support/nodes.js';
import { pagePaths } from './page-paths.js';

describe('every address that shows a page', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    const pages: Exchange[] = [];
    const shown = new Set<string>();

    before(async function () {
      this.timeout(120_000);
      const env = { CLAVIGER_USERS_SIGN_UP: 'true' };
      people = await PeopleScene.open({ url: (await fresh()).url, env });
      const { scene } = people;
      const shop = await scene.relyingParty({ isFirstParty: true });
      const [plain, careful] = [await scene.person(), await scene.person()];
      const app = await people.authenticator(careful);
      const signedIn = scene.browser();
      await shop.authorize(signedIn, plain);
      const strong = await people.atSignIn(shop);
      await signIn(strong, careful.email, careful.password);
      expect(strong.landing.url).to.include('/second-factor');
      // Where the other pages of an interaction are: with one factor shown, and a second one to set up.
      const enrolling = await people.atSignIn(shop, { acr_values: 'urn:claviger:acr:2' });
      await signIn(enrolling, plain.email, plain.password);
      expect(enrolling.landing.url).to.include('/enrolment');
      const visit = async (browser: FormBrowser): Promise<void> => {
        const uid = new URL(browser.landing.url).pathname.split('/')[2] ?? 'none';
        for (const template of pagePaths('GET')) {
          await browser.get(template.replace('*', uid));
          if (browser.landing.status === 200 && browser.landing.root.querySelector('h1') !== null)
            shown.add(new URL(browser.landing.url).pathname.replace(uid, '*'));
        }
        pages.push(
          ...browser.exchanges.filter(({ headers }) => /^text\/html/.test(headers['content-type'] ?? '')),
        );
      };
      await visit(signedIn);
      for (const browser of [strong, enrolling]) await visit(browser);
      await strong.get(shop.begin().path);
      await signIn(strong, careful.email, careful.password);
      await strong.submit('form:has(input[name="code"])', { code: await app.code() });
      await visit(strong);
    });

    after(() => people.close());

    it('was shown, those behind a first factor and a recent sign-in, too', () => {
      expect([...shown]).to.include.members([
        '/interaction/*',
        '/interaction/*/second-factor',
        '/interaction/*/enrolment',
        '/interaction/*/sign-up',
        '/sign-up',
        '/forgot',
        '/account',
        '/account/profile',
        '/account/security',
        '/account/security/totp',
        '/account/security/totp/remove',
        '/account/profile/delete',
        '/account/access',
        '/account/sessions',
        '/account/requests',
        '/account/activity',
      ]);
    });

    it('is in nobody’s frame (requirement 15) and sends no referrer (requirement 16)', () => {
      for (const { url, status, headers } of pages) {
        const of = `${status} ${url}`;
        const policy = String(headers['content-security-policy']);
        expect(policy, of).to.include("default-src 'none'").and.include("frame-ancestors 'none'");
        expect(policy, of).to.not.match(/unsafe-|\*/);
        expect(headers['x-frame-options'], of).to.match(/^deny$/i);
        expect(headers['referrer-policy'], of).to.equal('no-referrer');
        expect(headers['cache-control'], of).to.include('no-store');
      }
    });

    it('loads nothing from anybody else (requirement 16)', () => {
      for (const { url, status, text } of pages) {
        const loaded = [
          ...text.matchAll(
            /<(?:script|img|iframe|link|source|object|embed)\b[^>]*?\b(?:src|href)="([^"]*)"/g,
          ),
        ];
        // A redirect has a text of its own, and no style.
        if (status < 300 || status > 399) expect(loaded.length, url).to.be.above(0);
        for (const [, address = ''] of loaded) expect(new URL(address, ISSUER).origin, url).to.equal(ISSUER);
      }
    });
  });
});
