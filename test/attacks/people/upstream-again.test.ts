import { expect } from 'chai';
import { CookieJar } from 'tough-cookie';
import { Secret } from '../../../src/config/config.js';
import type { Person, RelyingParty } from '../../flows/authorization/relying-party.js';
import { PeopleScene, signIn, stepOf } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER } from '../../support/nodes.js';
import { startUpstream, type Upstream } from '../../users/upstream-provider.js';

const CLIENT = { client_id: 'claviger', client_secret: 'upstream-secret-for-tests-1' };

function pathOf({ landing }: FormBrowser): string {
  return new URL(landing.url).pathname;
}

describe('who finds a browser whose owner is signed in here and at another provider', () => {
  forEachDatabase((_name, fresh) => {
    let upstream: Upstream;
    let people: PeopleScene;
    let shop: RelyingParty;

    before(async () => {
      upstream = await startUpstream(CLIENT, { redirectUris: [`${ISSUER}/federation/callback/up`] });
      people = await PeopleScene.open({
        url: (await fresh()).url,
        env: { CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '127.0.0.1' },
        upstreamProviders: [
          {
            id: 'up',
            name: 'Upstream',
            issuer: upstream.issuer,
            clientId: CLIENT.client_id,
            clientSecret: new Secret(CLIENT.client_secret),
            scopes: ['openid', 'email'],
            allowsSignUp: true,
          },
        ],
      });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });

    after(async () => {
      await people.close();
      await upstream.close();
    });

    async function away(browser: FormBrowser): Promise<URL> {
      await browser.submit('form[action$="/upstream"]', {}, { button: 'button[name="provider"]' });
      return new URL(String(browser.landing.headers.refresh).replace('0; url=', ''));
    }

    it('is not let on to what is sensitive by the provider’s session: it is told to ask anew (requirement 94)', async () => {
      upstream.people.set('ada', { email: 'ada@example.org', email_verified: true });
      const browser = await people.atSignIn(shop);
      const first = await away(browser);
      expect(first.searchParams.get('prompt')).to.equal(null);
      await browser.get((await upstream.signIn(first.href, 'ada')).href, { from: upstream.issuer });
      expect(browser.landing.departure?.parameters.code, browser.describe()).to.be.a('string');
      await people.moveBy(10 * 60);
      await browser.get('/account/profile/delete');
      const again = await away(browser);
      expect(again.searchParams.get('prompt')).to.equal('login');
      expect(again.searchParams.get('max_age')).to.equal('0');
      // Its owner, who does sign in there.
      await browser.get((await upstream.signIn(again.href, 'ada')).href, { from: upstream.issuer });
      expect(pathOf(browser)).to.equal('/account/profile/delete');
    });

    /** Somebody with a password and a linked account, whose sign-in is ten minutes old, sent to the provider again. */
    async function abandoned(subject: string): Promise<{ browser: FormBrowser; person: Person; url: URL }> {
      const person = await people.scene.person();
      upstream.people.set(subject, { email: person.email, email_verified: true });
      const browser = await people.atSignIn(shop);
      const linking = await upstream.signIn((await away(browser)).href, subject);
      await browser.get(linking.href, { from: upstream.issuer });
      await signIn(browser, person.email, person.password);
      expect(browser.landing.departure?.parameters.code, browser.describe()).to.be.a('string');
      await people.moveBy(10 * 60);
      await browser.get('/account/profile/delete');
      return { browser, person, url: await away(browser) };
    }

    it('takes the question out of the address, and is asked for the password here (requirement 94)', async () => {
      const { browser, person, url } = await abandoned('bea');
      for (const name of ['prompt', 'max_age']) url.searchParams.delete(name);
      await browser.get((await upstream.signIn(url.href, 'bea')).href, { from: upstream.issuer });
      expect(browser.landing.text).to.contain('Upstream did not say that you signed in just now.');
      expect(browser.has('input[name="password"]')).to.equal(true);
      await browser.get('/account/profile/delete');
      expect(pathOf(browser), 'still not let on').to.match(/^\/interaction\//);
      await signIn(browser, person.email, person.password);
      expect(pathOf(browser)).to.equal('/account/profile/delete');
    });

    it('gets nothing for a sign-in at the provider that is older than the question (OpenID Connect Core §3.1.3.7)', async () => {
      const { browser, url } = await abandoned('cyd');
      const jar = new CookieJar();
      await upstream.signIn(url.href, 'cyd', jar);
      await people.moveBy(5 * 60);
      await browser.get('/account/profile/delete');
      const later = await away(browser);
      later.searchParams.delete('prompt');
      later.searchParams.set('max_age', '100000');
      await browser.get((await upstream.signIn(later.href, 'nobody', jar)).href, { from: upstream.issuer });
      expect(browser.landing.text).to.contain('Upstream did not say that you signed in just now.');
    });

    it('is let on by a sign-in at the provider just now, and by it alone', async () => {
      const { browser, url } = await abandoned('dot');
      await browser.get((await upstream.signIn(url.href, 'dot')).href, { from: upstream.issuer });
      expect(pathOf(browser)).to.equal('/account/profile/delete');
    });

    it('is asked for the code of an account that has an authenticator app, whatever the provider says', async () => {
      const { browser, person, url } = await abandoned('eli');
      const app = await people.authenticator(person);
      for (const name of ['prompt', 'max_age']) url.searchParams.delete(name);
      await browser.get((await upstream.signIn(url.href, 'eli')).href, { from: upstream.issuer });
      expect(stepOf(browser)).to.equal('second-factor');
      await browser.submit('form:has(input[name="code"])', { code: await app.code() });
      expect(pathOf(browser)).to.equal('/account/profile/delete');
    });

    it('is as good as its owner only where the owner has nothing but a provider that says no time', async () => {
      upstream.people.set('fay', { email: 'fay@example.org', email_verified: true });
      const browser = await people.atSignIn(shop);
      const first = await upstream.signIn((await away(browser)).href, 'fay');
      await browser.get(first.href, { from: upstream.issuer });
      await people.moveBy(10 * 60);
      await browser.get('/account/profile/delete');
      const again = await away(browser);
      again.searchParams.delete('max_age');
      await browser.get((await upstream.signIn(again.href, 'fay')).href, { from: upstream.issuer });
      expect(pathOf(browser)).to.equal('/account/profile/delete');
    });
  });
});
