import { expect } from 'chai';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { parse } from 'node-html-parser';
import {
  claimsOf,
  given,
  type Parameters,
  type Person,
  type RelyingParty,
  Scene,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser, Landing } from '../../support/form-browser.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import { basic, post } from '../../support/nodes.js';

const AFTERWARDS = 'https://rp.example.test/signed-out';

describe('signing out by a client’s link (OpenID Connect RP-Initiated Logout 1.0)', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;
    let time: MovedTime;

    before(async () => {
      time = installMovedTime();
      const { clock, databaseClockOffset } = time;
      scene = await Scene.open({ url: (await fresh()).url, clock, databaseClockOffset });
      person = await scene.person();
      shop = await scene.relyingParty({ postLogoutRedirectUris: [AFTERWARDS] });
    });

    after(async () => {
      await scene.close();
      time.restore();
    });

    const logout = (browser: FormBrowser, parameters: Parameters): Promise<Landing> =>
      browser.get(`/oauth2/logout?${new URLSearchParams(given(parameters))}`, {
        from: 'https://rp.example.test',
      });

    const confirm = (browser: FormBrowser): Promise<Landing> =>
      browser.submit('form:has(button[name="logout"])', {}, { button: 'button[name="logout"]' });

    const isSignedIn = async (browser: FormBrowser): Promise<boolean> =>
      (await browser.get(shop.begin({ prompt: 'none' }).path)).departure?.parameters.code !== undefined;

    it('asks first, with a hint and without; only the answer ends the session (requirement 83)', async () => {
      for (const withHint of [true, false]) {
        const browser = scene.browser();
        const { json } = await shop.tokens(browser, person);
        const parameters: Parameters = withHint
          ? { id_token_hint: String(json.id_token), post_logout_redirect_uri: AFTERWARDS, state: 'x&y=z' }
          : {};
        const landing = await logout(browser, parameters);
        expect(landing.status).to.equal(200);
        expect(landing.departure).to.equal(undefined);
        expect(browser.has('button[name="logout"]'), browser.describe()).to.equal(true);
        expect(await isSignedIn(browser.window())).to.equal(true);
        await logout(browser, parameters);
        const after = await confirm(browser);
        if (withHint) {
          expect(after.departure?.uri).to.equal(AFTERWARDS);
          expect(after.departure?.parameters).to.deep.equal({ state: 'x&y=z' });
        } else {
          expect(after.departure).to.equal(undefined);
          expect(after.status).to.equal(200);
        }
        expect(await isSignedIn(browser)).to.equal(false);
      }
    });

    it('without a hint, or a client, sends nobody anywhere (requirement 83)', async () => {
      const browser = scene.browser();
      await shop.authorize(browser, person);
      for (const uri of [AFTERWARDS, 'https://evil.test/']) {
        await logout(browser, { post_logout_redirect_uri: uri });
        expect(browser.landing.text).to.not.include('evil.test');
      }
      const after = await confirm(browser);
      expect(after.departure).to.equal(undefined);
      expect(new URL(after.url).pathname).to.equal('/oauth2/logout/success');
    });

    it('goes back to an address that is registered as it is written, and to no other (requirement 83)', async () => {
      const browser = scene.browser();
      const { json } = await shop.tokens(browser, person);
      const hint = String(json.id_token);
      const forged = [
        `${AFTERWARDS}/`,
        `${AFTERWARDS}?x=1`,
        `${AFTERWARDS}#x`,
        AFTERWARDS.toUpperCase(),
        'https://rp.example.test@evil.test/signed-out',
        'https://rp.example.test.evil.test/signed-out',
        'https://rp.example.test:443/signed-out',
        'http://rp.example.test/signed-out',
        'https://rp.example.test/%73igned-out',
        '//evil.test',
        'javascript:alert(1)',
        'data:text/html,<script>alert(1)</script>',
        `${AFTERWARDS}\r\nLocation: https://evil.test`,
        shop.redirectUri,
      ];
      for (const uri of forged) {
        for (const parameters of [{ id_token_hint: hint }, { client_id: shop.client.clientId }]) {
          const landing = await logout(browser, { ...parameters, post_logout_redirect_uri: uri });
          expect(landing.departure, uri).to.equal(undefined);
          expect(landing.status, uri).to.equal(400);
          expect(landing.text, uri).to.not.match(/evil\.test|javascript:|<script>alert/);
        }
      }
      expect(await isSignedIn(browser)).to.equal(true);
    });

    it('takes a hint of ours only: unsigned, foreign, changed or another kind of token is refused (requirement 83)', async () => {
      const browser = scene.browser();
      const { json } = await shop.tokens(browser, person, { scope: 'openid orders.read' });
      const hint = String(json.id_token);
      const claims = claimsOf(hint);
      const [header = '', payload = '', signature = ''] = hint.split('.');
      const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
      const { privateKey, publicKey } = await generateKeyPair('RS256');
      const jwk = await exportJWK(publicKey);
      const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString());
      const forged: Readonly<Record<string, string>> = {
        none: `${encode({ alg: 'none' })}.${payload}.`,
        'none in capitals': `${encode({ alg: 'NONE' })}.${payload}.`,
        'signature left out': `${header}.${payload}.`,
        'none with the signature': `${encode({ alg: 'none' })}.${payload}.${signature}`,
        'another subject': `${header}.${encode({ ...claims, sub: 'us_0000000000000000000000' })}.${signature}`,
        'foreign key': await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid }).sign(privateKey),
        'foreign key in the header': await new SignJWT(claims)
          .setProtectedHeader({ alg: 'RS256', jwk })
          .sign(privateKey),
        HS256: await new SignJWT(claims)
          .setProtectedHeader({ alg: 'HS256' })
          .sign(Buffer.from(JSON.stringify(jwk))),
        'an access token': String(json.access_token),
        garbage: '<script>alert(1)</script>',
      };
      for (const [of, id_token_hint] of Object.entries(forged)) {
        const landing = await logout(browser, { id_token_hint, post_logout_redirect_uri: AFTERWARDS });
        expect(landing.status, `${of}: ${browser.describe()}`).to.equal(400);
        expect(landing.departure, of).to.equal(undefined);
        expect(landing.text, of).to.not.include('<script>alert');
      }
      const other = await scene.relyingParty();
      const mixed = await logout(browser, { id_token_hint: hint, client_id: other.client.clientId });
      expect(mixed.status, 'of another client').to.equal(400);
      expect(await isSignedIn(browser)).to.equal(true);
    });

    it('takes a hint of ours that is over: people sign out later than ID tokens live (requirement 83)', async () => {
      const browser = scene.browser();
      const { json } = await shop.tokens(browser, person);
      time.moveBy(1200);
      await logout(browser, { id_token_hint: String(json.id_token), post_logout_redirect_uri: AFTERWARDS });
      expect(browser.has('button[name="logout"]'), browser.describe()).to.equal(true);
      expect((await confirm(browser)).departure?.uri).to.equal(AFTERWARDS);
    });

    it('is done by the form of our own page only', async () => {
      const browser = scene.browser();
      await shop.authorize(browser, person);
      for (const fields of [{ logout: 'yes' }, { logout: 'yes', xsrf: 'x' }]) {
        const landing = await browser.post('/oauth2/logout/confirm', fields, { from: 'https://evil.test' });
        expect(landing.status).to.be.oneOf([400, 403]);
      }
      expect(await isSignedIn(browser)).to.equal(true);
      // Staying is an answer, too.
      await logout(browser, {});
      await browser.submit('form:has(button[name="logout"])', {}, { button: 'button[name="stay"]' });
      expect(await isSignedIn(browser)).to.equal(true);
    });

    it('shows state and names as text (requirement 83)', async () => {
      const browser = scene.browser();
      const { json } = await shop.tokens(browser, person);
      const state = `"'><script>alert(1)</script>`;
      const parameters = {
        id_token_hint: String(json.id_token),
        post_logout_redirect_uri: AFTERWARDS,
        state,
      };
      const { text } = await logout(browser, parameters);
      expect(parse(text).querySelectorAll('script:not([src])')).to.have.length(0);
      const { departure } = await confirm(browser);
      expect(departure?.parameters.state).to.equal(state);
    });

    it('ends the tokens of the session, and leaves offline access', async () => {
      const browser = scene.browser();
      const online = await shop.tokens(browser, person);
      const second = await scene.relyingParty();
      const offline = await second.tokens(browser, person, { scope: 'openid orders.read offline_access' });
      await logout(browser, {});
      await confirm(browser);
      const credentials = { clientId: shop.client.clientId, clientSecret: shop.client.clientSecret ?? '' };
      const { json } = await post(
        scene.node,
        '/oauth2/introspect',
        { token: String(online.json.access_token) },
        basic(credentials),
      );
      expect(json).to.deep.equal({ active: false });
      expect((await second.refresh(offline.json.refresh_token)).status).to.equal(200);
    });

    it('with nobody signed in changes nothing and fails nowhere', async () => {
      const browser = scene.browser();
      const landing = await logout(browser, {
        client_id: shop.client.clientId,
        post_logout_redirect_uri: AFTERWARDS,
      });
      expect(landing.status).to.equal(200);
      expect(landing.headers['content-security-policy']).to.include("frame-ancestors 'none'");
      // A page that sends itself; without scripts somebody presses its button.
      await browser.submit('form');
      expect(browser.landing.departure?.uri, browser.describe()).to.equal(AFTERWARDS);
    });
  });
});
