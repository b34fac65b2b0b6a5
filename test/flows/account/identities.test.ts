import { expect } from 'chai';
import { Secret } from '../../../src/config/config.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { startUpstream, type Upstream } from '../../users/upstream-provider.js';
import { AccountWorld, ISSUER, noticeOf, pathOf } from './account-world.js';

const CLIENT = { client_id: 'claviger', client_secret: 'upstream-secret-upstream-secret' };
const LINK_FORM = 'form[action$="/identities/link"]';

describe('sign-ins elsewhere, on the account pages', () => {
  forEachDatabase((_name, fresh) => {
    let world: AccountWorld;
    let upstream: Upstream;
    let people = 0;

    before(async function () {
      this.timeout(60_000);
      upstream = await startUpstream(CLIENT, {
        redirectUris: [`${ISSUER}/federation/account-callback/up`, `${ISSUER}/federation/callback/up`],
      });
      world = new AccountWorld((await fresh()).url);
      await world.start([
        {
          id: 'up',
          name: 'Upstream',
          issuer: upstream.issuer,
          clientId: CLIENT.client_id,
          clientSecret: new Secret(CLIENT.client_secret),
          scopes: ['openid', 'email'],
          allowsSignUp: false,
        },
      ]);
    });
    after(async () => {
      await world.close();
      await upstream.close();
    });

    async function person(): Promise<string> {
      people += 1;
      const email = `linked-${people}@example.test`;
      await world.person(email);
      return email;
    }

    /** Out by the form, and through the other provider's pages. @returns where it sends the browser back to */
    async function away(browser: FormBrowser, subject: string): Promise<string> {
      await browser.get('/account/security');
      await browser.submit(LINK_FORM, {}, { button: 'button[name="provider"]' });
      const refresh = String(browser.landing.headers.refresh);
      const url = refresh.replace(/^0; url=/, '');
      expect(url, browser.describe()).to.match(/^http:\/\/127\.0\.0\.1/);
      expect(browser.has(`a[href^="${upstream.issuer}"]`), 'a way on without Refresh').to.equal(true);
      return (await upstream.signIn(url, subject)).href;
    }

    it('links an identity to who is signed in, whatever its address, and unlinks it', async () => {
      const email = await person();
      upstream.people.set('ada-1', { email: 'somebody.else@example.test', email_verified: false });
      const browser = await world.signedIn(email);
      await world.mails();
      await browser.get(await away(browser, 'ada-1'), { from: upstream.issuer });
      expect(pathOf(browser), browser.describe()).to.equal('/account/security');
      expect(noticeOf(browser)).to.include('Upstream connected');
      expect((await world.mails()).map(({ to, mail }) => [to, mail])).to.deep.equal([
        [email, 'identity-linked'],
      ]);
      expect(browser.has(LINK_FORM), 'one of each').to.equal(false);
      await browser.submit('form[action$="/identities/unlink"]', {}, { button: 'button[name="provider"]' });
      expect(pathOf(browser)).to.equal('/account/security/identities/unlink?provider=up');
      await browser.submit('main form');
      expect(noticeOf(browser)).to.include('Upstream disconnected');
      expect(browser.has(LINK_FORM)).to.equal(true);
    });

    it('links nothing in a browser that did not go out: an answer of somebody else is none (requirement 93)', async () => {
      const [ada, eve] = [await person(), await person()];
      const attacker = await world.signedIn(eve);
      const answer = await away(attacker, 'eve-1');
      // The attacker's own answer, sent to the victim as a link: the identity would open the victim's account.
      const victim = await world.signedIn(ada);
      await victim.get(answer, { from: 'https://evil.example' });
      expect(noticeOf(victim)).to.equal('Nothing was changed.');
      await away(victim, 'ada-2');
      await victim.get(answer, { from: 'https://evil.example' });
      expect(noticeOf(victim)).to.include('did not sign you in');
      const rows = await world.database.read(on => on('federated_identities').where({ subject: 'eve-1' }));
      expect(rows).to.deep.equal([]);
    });

    it('links no identity that belongs to another account, and once is once', async () => {
      const [ada, eve] = [await person(), await person()];
      const browser = await world.signedIn(ada);
      const answer = await away(browser, 'ada-3');
      await browser.get(answer, { from: upstream.issuer });
      expect(noticeOf(browser)).to.include('Upstream connected');
      await browser.get(answer, { from: upstream.issuer });
      expect(noticeOf(browser)).to.equal('Nothing was changed.');
      const other = await world.signedIn(eve);
      await other.get(await away(other, 'ada-3'), { from: upstream.issuer });
      expect(noticeOf(other)).to.include('did not sign you in');
      expect(other.has(LINK_FORM)).to.equal(true);
    });

    it('says so when the other provider cannot be reached, or its person said no', async () => {
      const browser = await world.signedIn(await person());
      const answer = new URL(await away(browser, 'ada-4'));
      answer.searchParams.delete('code');
      answer.searchParams.set('error', 'access_denied');
      await browser.get(answer.href, { from: upstream.issuer });
      expect(pathOf(browser)).to.equal('/account/security');
      expect(noticeOf(browser)).to.include('did not sign you in');
      const { status } = await browser.get('/federation/account-callback/unknown?code=x&state=y');
      expect(status).to.equal(200);
      expect(noticeOf(browser)).to.equal('Nothing was changed.');
    });
  });
});
