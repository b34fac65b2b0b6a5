import { expect } from 'chai';
import * as oidc from 'openid-client';
import type { FormBrowser } from '../../support/form-browser.js';
import { seedPublicClient, seedWebClient, signIn, walk } from '../../support/people.js';
import { LOGGED_OUT_URI, REDIRECT_URI, type RegisteredClient } from '../../support/relying-party.js';
import { ReachableIssuer } from './reachable-issuer.js';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const SCOPE = 'openid profile email offline_access';

/** What the client keeps from sending the person away until the person is back. */
interface Departed {
  readonly url: URL;
  readonly checks: oidc.AuthorizationCodeGrantChecks;
}

describe('openid-client', () => {
  let house: ReachableIssuer;
  let browser: FormBrowser;
  before(async () => {
    house = await ReachableIssuer.open();
  });
  beforeEach(() => {
    browser = house.browser();
  });
  after(() => house?.close());

  async function discovered({ clientId, clientSecret }: RegisteredClient): Promise<oidc.Configuration> {
    const auth = clientSecret === undefined ? oidc.None() : oidc.ClientSecretBasic(clientSecret);
    return oidc.discovery(new URL(house.issuer), clientId, undefined, auth, {
      execute: [oidc.allowInsecureRequests],
    });
  }

  async function depart(configuration: oidc.Configuration, isPushed: boolean): Promise<Departed> {
    const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
    const [expectedState, expectedNonce] = [oidc.randomState(), oidc.randomNonce()];
    const parameters = {
      redirect_uri: REDIRECT_URI,
      scope: SCOPE,
      state: expectedState,
      nonce: expectedNonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    };
    const url = isPushed
      ? await oidc.buildAuthorizationUrlWithPAR(configuration, parameters)
      : oidc.buildAuthorizationUrl(configuration, parameters);
    const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
    return { url, checks };
  }

  async function tokensFor(configuration: oidc.Configuration, { url, checks }: Departed) {
    const { departure } = await signIn(browser, url.href, house.person);
    return oidc.authorizationCodeGrant(configuration, new URL(departure?.url ?? ''), checks);
  }

  const kinds = [
    ['a web server', () => seedWebClient(house.cluster)],
    ['a public client', () => seedPublicClient(house.cluster)],
  ] as const;
  for (const [kind, seed] of kinds) {
    it(`signs a person in to ${kind} by code and PKCE, reads userinfo and renews (RFC 7636, RFC 9207)`, async () => {
      const configuration = await discovered((await seed()).client);
      expect(configuration.serverMetadata().supportsPKCE()).to.equal(true);
      const tokens = await tokensFor(configuration, await depart(configuration, false));
      const { user, email } = house.person;
      expect(tokens.claims()?.sub).to.equal(user.id);
      const said = await oidc.fetchUserInfo(configuration, tokens.access_token, user.id);
      expect(said).to.include({ email, email_verified: true, name: 'Ada Example' });

      const renewed = await oidc.refreshTokenGrant(configuration, tokens.refresh_token ?? '');
      expect(renewed.refresh_token).to.be.a('string').that.does.not.equal(tokens.refresh_token);
      expect(renewed.access_token).to.not.equal(tokens.access_token);
      expect(renewed.claims()?.sub).to.equal(user.id);
      expect(await oidc.fetchUserInfo(configuration, renewed.access_token, user.id)).to.include({ email });
    });
  }

  it('pushes its request, which the browser then only names (RFC 9126)', async () => {
    const { client } = await seedWebClient(house.cluster, { requirePar: true });
    const configuration = await discovered(client);
    const departed = await depart(configuration, true);
    expect([...departed.url.searchParams.keys()]).to.have.members(['client_id', 'request_uri']);
    const tokens = await tokensFor(configuration, departed);
    expect(tokens.claims()?.sub).to.equal(house.person.user.id);
  });

  it('checks a signed answer (JARM)', async () => {
    const { client } = await seedWebClient(house.cluster, {
      responseModes: ['jwt'],
      authorizationSignedResponseAlg: 'RS256',
    });
    const configuration = await discovered(client);
    oidc.useJwtResponseMode(configuration);
    const tokens = await tokensFor(configuration, await depart(configuration, false));
    expect(tokens.claims()?.sub).to.equal(house.person.user.id);
  });

  it('throws when the person says no', async () => {
    const configuration = await discovered((await seedWebClient(house.cluster)).client);
    const { url, checks } = await depart(configuration, false);
    const { departure } = await signIn(browser, url.href, house.person, { consent: 'deny' });
    let refusal: unknown;
    await oidc.authorizationCodeGrant(configuration, new URL(departure?.url ?? ''), checks).catch(error => {
      refusal = error;
    });
    expect(refusal).to.be.instanceOf(oidc.AuthorizationResponseError).with.property('error', 'access_denied');
  });

  it('polls for a device until its person has agreed, at the pace that the server sets (RFC 8628)', async () => {
    const { client } = await seedPublicClient(house.cluster, {
      grantTypes: [DEVICE_GRANT, 'refresh_token'],
      redirectUris: [],
      postLogoutRedirectUris: [],
    });
    const configuration = await discovered(client);
    const device = await oidc.initiateDeviceAuthorization(configuration, { scope: SCOPE });
    const { interval = 0 } = device;
    expect(interval).to.equal(5);
    const errors: unknown[] = [];
    const agreed = new Promise<void>((resolve, reject) => {
      configuration[oidc.customFetch] = async (url, options) => {
        const response = await fetch(url, options as RequestInit);
        if (!response.ok) {
          errors.push(((await response.clone().json()) as { error?: unknown }).error);
          await agree().then(resolve, reject);
          house.moveBy(interval);
        }
        return response;
      };
    });
    async function agree(): Promise<void> {
      await browser.get(device.verification_uri_complete ?? '');
      await browser.submit('form:has(input[name="user_code"])');
      await browser.submit('form:has([name="confirm"])', {}, { button: '[name="confirm"]' });
      const { email, password } = house.person;
      await browser.submit('input[name="password"]', { email, password });
      const button = 'button[name="answer"][value="allow"]';
      await browser.submit(button, {}, { button });
    }
    // The library waits by the clock on the wall, the server counts by the database's, which runs ahead here.
    const hurried = { ...device, interval: 1 };
    const [tokens] = await Promise.all([oidc.pollDeviceAuthorizationGrant(configuration, hurried), agreed]);
    expect(errors).to.deep.equal(['authorization_pending']);
    expect(tokens.claims()?.sub).to.equal(house.person.user.id);
    expect(tokens.refresh_token).to.be.a('string');
  });

  it('signs a person out, who comes back to the client (OpenID Connect RP-Initiated Logout)', async () => {
    const configuration = await discovered((await seedWebClient(house.cluster)).client);
    const tokens = await tokensFor(configuration, await depart(configuration, false));
    const state = oidc.randomState();
    const url = oidc.buildEndSessionUrl(configuration, {
      id_token_hint: tokens.id_token ?? '',
      post_logout_redirect_uri: LOGGED_OUT_URI,
      state,
    });
    await browser.get(url.href, { from: new URL(REDIRECT_URI).origin });
    if (browser.landing.departure === undefined) {
      await browser.submit('form:has([name="logout"])', {}, { button: '[name="logout"]' });
    }
    expect(browser.landing.departure).to.deep.include({ uri: LOGGED_OUT_URI, parameters: { state } });
    // Nobody is signed in any more.
    await browser.get((await depart(configuration, false)).url.href);
    expect(browser.has('input[name="password"]')).to.equal(true);
    expect((await walk(browser, house.person)).departure?.uri).to.equal(REDIRECT_URI);
  });
});
