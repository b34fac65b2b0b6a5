import { expect } from 'chai';
import type { FormBrowser, Landing } from '../../support/form-browser.js';
import { CLIENT_ORIGIN, LOGGED_OUT_URI, type Parameters } from '../../support/relying-party.js';
import { onEachTopology, type SignedIn, type Suite } from './topologies.js';

const YES = 'button[name="logout"]';

/** Titles are the module names of the OpenID Foundation's conformance suite, and each test demands what its module does. */
describe('conformance plan RP-initiated logout', () => {
  onEachTopology('query', suite => {
    it('oidcc-rp-initiated-logout-discovery-endpoint-verification', async () => {
      const { json } = await suite().client.call('/.well-known/openid-configuration');
      expect(json.end_session_endpoint).to.equal(`${suite().cluster.config.issuer}/oauth2/logout`);
    });

    it('oidcc-rp-initiated-logout', async () => {
      const visit = await suite().signIn();
      const landing = await leave(visit, { ...withHint(visit), state: 'st-1' });
      expectReturned(landing, { state: 'st-1' });
      await expectSignedOut(visit.browser);
    });

    it('oidcc-rp-initiated-logout-no-state', async () => {
      const visit = await suite().signIn();
      expectReturned(await leave(visit, withHint(visit)), {});
      await expectSignedOut(visit.browser);
    });

    it('oidcc-rp-initiated-logout-bad-post-logout-redirect-uri', async () => {
      const visit = await suite().signIn();
      const uri = 'https://client.example.test/elsewhere';
      await expectRefused(visit, { ...withHint(visit), post_logout_redirect_uri: uri, state: 'st-2' });
    });

    it('oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri', async () => {
      const visit = await suite().signIn();
      const uri = `${LOGGED_OUT_URI}?foo=bar`;
      await expectRefused(visit, { ...withHint(visit), post_logout_redirect_uri: uri, state: 'st-3' });
    });

    it('oidcc-rp-initiated-logout-modified-id-token-hint', async () => {
      const visit = await suite().signIn();
      const [header = '', payload = '', signature = ''] = visit.tokens.idToken.split('.');
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
      const other = Buffer.from(JSON.stringify({ ...claims, sub: 'us_someone' })).toString('base64url');
      const damaged = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
      for (const hint of [`${header}.${other}.${signature}`, `${header}.${payload}.${damaged}`]) {
        await expectRefused(visit, { ...withHint(visit), id_token_hint: hint, state: 'st-4' });
      }
    });

    it('oidcc-rp-initiated-logout-bad-id-token-hint', async () => {
      const visit = await suite().signIn();
      await expectRefused(visit, { ...withHint(visit), id_token_hint: 'not.a.token', state: 'st-5' });
    });

    // Nobody proves to be the client, so the person is asked and stays here (RP-Initiated Logout 1.0 §2, §3).
    const unproven: readonly (readonly [string, Parameters])[] = [
      ['no-id-token-hint', { post_logout_redirect_uri: LOGGED_OUT_URI, state: 'st-6' }],
      ['no-params', {}],
      ['only-state', { state: 'st-7' }],
    ];
    for (const [name, parameters] of unproven) {
      it(`oidcc-rp-initiated-logout-${name}`, async () => {
        const visit = await suite().signIn();
        expectStayed(await leave(visit, parameters));
        await expectSignedOut(visit.browser);
      });
    }

    it('oidcc-rp-initiated-logout-no-post-logout-redirect-uri', async () => {
      const visit = await suite().signIn();
      const { id_token_hint } = withHint(visit);
      expectStayed(await leave(visit, { id_token_hint, state: 'st-8' }));
      await expectSignedOut(visit.browser);
    });

    function withHint({ tokens }: SignedIn) {
      return { id_token_hint: tokens.idToken, post_logout_redirect_uri: LOGGED_OUT_URI };
    }

    /** The client's link, and the person's yes where it is asked for. */
    async function leave({ browser }: SignedIn, parameters: Parameters): Promise<Landing> {
      const landing = await suite().client.signOut(browser, parameters);
      if (landing.departure !== undefined || !browser.has(YES)) return landing;
      return browser.submit(YES, {}, { button: YES });
    }

    async function expectRefused(visit: SignedIn, parameters: Parameters): Promise<void> {
      const { browser } = visit;
      const landing = await suite().client.signOut(browser, parameters);
      expect(landing.departure, 'a redirect').to.equal(undefined);
      expect(landing.status, browser.describe()).to.equal(400);
      expect(browser.has(YES)).to.equal(false);
      expect((await silent(suite(), browser)).code, 'still signed in').to.be.a('string');
    }

    async function expectSignedOut(browser: FormBrowser): Promise<void> {
      expect((await silent(suite(), browser)).error).to.equal('login_required');
    }

    async function silent({ client }: Suite, browser: FormBrowser) {
      const attempt = suite().attempt({ prompt: 'none' });
      return client.response(attempt, await browser.get(attempt.url, { from: CLIENT_ORIGIN }));
    }
  });
});

function expectReturned({ departure }: Landing, parameters: Readonly<Record<string, string>>): void {
  expect(departure?.uri).to.equal(LOGGED_OUT_URI);
  expect(departure?.parameters).to.deep.equal(parameters);
}

function expectStayed(landing: Landing): void {
  expect(landing.departure, 'a redirect').to.equal(undefined);
  expect(landing.status).to.equal(200);
  expect(landing.root.querySelector('h1')?.textContent).to.be.a('string').that.is.not.empty;
}
