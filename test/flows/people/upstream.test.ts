import { expect } from 'chai';
import { Secret } from '../../../src/config/config.js';
import type { UpstreamProvider } from '../../../src/config/federation-file.js';
import { disableUser } from '../../../src/users/change-user.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER, OPERATOR } from '../../support/nodes.js';
import { startUpstream, type Upstream } from '../../users/upstream-provider.js';
import { claimsOf, type RelyingParty } from '../authorization/relying-party.js';
import { faults, heading, PeopleScene, signIn, stepOf } from './people-scene.js';

const CLIENT = { client_id: 'claviger', client_secret: 'upstream-secret-for-tests-1' };
const CALLBACK = `${ISSUER}/federation/callback/up`;

describe('signing in with another provider', () => {
  forEachDatabase((_name, fresh) => {
    let upstream: Upstream;
    let people: PeopleScene;
    let shop: RelyingParty;

    before(async () => {
      upstream = await startUpstream(CLIENT, { redirectUris: [CALLBACK] });
      const provider: UpstreamProvider = {
        id: 'up',
        name: 'Upstream',
        issuer: upstream.issuer,
        clientId: CLIENT.client_id,
        clientSecret: new Secret(CLIENT.client_secret),
        scopes: ['openid', 'email', 'profile'],
        allowsSignUp: true,
      };
      people = await PeopleScene.open({
        url: (await fresh()).url,
        nodes: 2,
        env: { CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '127.0.0.1' },
        upstreamProviders: [provider],
      });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });

    after(async () => {
      await people.close();
      await upstream.close();
    });

    /** Where the provider's page is. */
    async function away(browser: FormBrowser): Promise<string> {
      await browser.submit('form[action$="/upstream"]', {}, { button: 'button[name="provider"]' });
      const refresh = String(browser.landing.headers.refresh);
      expect(refresh).to.match(/^0; url=http:\/\/127\.0\.0\.1:/);
      const url = refresh.replace('0; url=', '');
      expect(browser.landing.root.querySelector('main a.btn')?.getAttribute('href')).to.equal(url);
      return url;
    }

    async function through(browser: FormBrowser, subject: string): Promise<void> {
      const back = await upstream.signIn(await away(browser), subject);
      await browser.get(back.href, { from: upstream.issuer });
    }

    it('makes an account for somebody whose address the provider vouches for, and knows them again', async () => {
      upstream.people.set('new-1', { email: 'new-1@example.org', email_verified: true, name: 'New' });
      const subjects: unknown[] = [];
      for (let count = 0; count < 2; count += 1) {
        const browser = await people.atSignIn(shop);
        await through(browser, 'new-1');
        const code = browser.landing.departure?.parameters.code;
        expect(code, browser.describe()).to.be.a('string');
        const authorized = await shop.authorize(browser, undefined);
        subjects.push(claimsOf((await shop.redeem(authorized)).json.id_token).sub);
      }
      expect(subjects[0]).to.match(/^us_/).and.to.equal(subjects[1]);
    });

    it('links an account only by a verified address and proof of the account (requirement 93)', async () => {
      const ada = await people.scene.person();
      upstream.people.set('ada', { email: ada.email.toUpperCase(), email_verified: true });
      const browser = await people.atSignIn(shop);
      await through(browser, 'ada');
      expect([stepOf(browser), browser.landing.departure]).to.deep.equal(['sign-in', undefined]);
      expect(browser.landing.text).to.contain('Sign in to it once to connect');
      expect((await browser.cookies()).session).to.equal(undefined);
      // A wrong password proves nothing.
      await signIn(browser, ada.email, 'another lamp under bridge');
      const stillStrange = await people.atSignIn(shop);
      await through(stillStrange, 'ada');
      expect(stepOf(stillStrange)).to.equal('sign-in');
      const { departure } = await signIn(browser, ada.email, ada.password);
      expect(departure?.parameters.code).to.be.a('string');
      const again = await people.atSignIn(shop);
      await through(again, 'ada');
      expect(again.landing.departure?.parameters.code).to.be.a('string');
    });

    it('links nothing to the account of somebody else who signs in there', async () => {
      const [ada, eve] = [await people.scene.person(), await people.scene.person()];
      upstream.people.set('ada-2', { email: ada.email, email_verified: true });
      const browser = await people.atSignIn(shop);
      await through(browser, 'ada-2');
      expect((await signIn(browser, eve.email, eve.password)).departure?.parameters.code).to.be.a('string');
      const again = await people.atSignIn(shop);
      await through(again, 'ada-2');
      expect([stepOf(again), again.landing.departure]).to.deep.equal(['sign-in', undefined]);
    });

    it('is worth nothing with an address that the provider has not verified', async () => {
      const ada = await people.scene.person();
      upstream.people.set('liar', { email: ada.email, email_verified: false });
      const browser = await people.atSignIn(shop);
      await through(browser, 'liar');
      expect(browser.landing.departure).to.equal(undefined);
      expect(faults(browser)).to.contain('has not confirmed your e-mail address');
    });

    it('still asks for the second factor of the account, and lets nobody in who may not be used', async () => {
      const ada = await people.scene.person();
      upstream.people.set('ada-3', { email: ada.email, email_verified: true });
      const linking = await people.atSignIn(shop);
      await through(linking, 'ada-3');
      await signIn(linking, ada.email, ada.password);
      const app = await people.authenticator(ada);
      const browser = await people.atSignIn(shop);
      await through(browser, 'ada-3');
      expect(stepOf(browser)).to.equal('second-factor');
      await browser.submit('form:has(input[name="code"])', { code: await app.code() });
      expect(browser.landing.departure?.parameters.code).to.be.a('string');
      await disableUser(await people.scene.context(), ada, { actor: OPERATOR });
      const late = await people.atSignIn(shop);
      await through(late, 'ada-3');
      expect([late.landing.departure, heading(late)]).to.deep.equal([undefined, 'Sign in']);
    });

    it('comes back once, and only into the browser that went out', async () => {
      upstream.people.set('new-2', { email: 'new-2@example.org', email_verified: true });
      const browser = await people.atSignIn(shop);
      const back = await upstream.signIn(await away(browser), 'new-2');
      const victim = await people.atSignIn(shop);
      expect((await victim.get(back.href, { from: upstream.issuer })).status).to.equal(400);
      await browser.get(back.href, { from: upstream.issuer });
      expect(browser.landing.departure?.parameters.code).to.be.a('string');
      expect((await browser.get(back.href, { from: upstream.issuer })).status).to.equal(400);
    });

    it('ends on the sign-in page when it fails there, or the provider does not answer', async () => {
      const browser = await people.atSignIn(shop);
      const url = new URL(await away(browser));
      const state = url.searchParams.get('state') ?? '';
      await browser.get(
        `${CALLBACK}?${new URLSearchParams({ error: 'access_denied', state, iss: upstream.issuer })}`,
      );
      expect(browser.landing.status).to.equal(422);
      expect(faults(browser)).to.contain('Upstream did not sign you in');
      const known = await people.scene.person();
      expect((await signIn(browser, known.email, known.password)).departure?.parameters.code).to.be.a(
        'string',
      );
    });

    it('is not begun for a provider that is not there', async () => {
      const browser = await people.atSignIn(shop);
      const csrf = browser.form().querySelector('[name="csrf"]')?.getAttribute('value') ?? '';
      await browser.post(`${browser.landing.url}/upstream`, { csrf, provider: 'evil' }, { from: ISSUER });
      expect(heading(browser)).to.equal('Sign in');
    });
  });
});
