import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import express from 'express';
import openid from 'express-openid-connect';
import type { Page } from 'playwright-core';
import type { NewClientInput } from '../../../src/clients/change-client.js';
import { openAccess } from '../../../src/oidc/people.js';
import { type OpenedPage, openPage } from '../../support/chromium.js';
import { OPERATOR } from '../../support/nodes.js';
import { seedWebClient } from '../../support/people.js';
import { type Listening, listen, ReachableIssuer } from './reachable-issuer.js';

/** Which sessions the site was told to end, and the news that it was. */
class LogoutStore {
  readonly told: Promise<void>;
  readonly #ended = new Map<string, openid.SessionStorePayload<Pick<openid.SessionStorePayload, 'cookie'>>>();
  #tell: () => void = () => undefined;

  constructor() {
    this.told = new Promise(resolve => {
      this.#tell = resolve;
    });
  }

  get: openid.SessionStore<Pick<openid.SessionStorePayload, 'cookie'>>['get'] = (id, callback) =>
    callback(null, this.#ended.get(id));

  set: openid.SessionStore<Pick<openid.SessionStorePayload, 'cookie'>>['set'] = (id, session, callback) => {
    this.#ended.set(id, session);
    callback?.(null);
    this.#tell();
  };

  destroy: openid.SessionStore['destroy'] = (id, callback) => {
    this.#ended.delete(id);
    callback?.(null);
  };
}

describe('express-openid-connect', function () {
  this.timeout(90_000);
  let house: ReachableIssuer;
  let site: Listening;
  let opened: OpenedPage;
  before(async () => {
    house = await ReachableIssuer.open();
  });
  beforeEach(async () => {
    opened = await openPage();
  });
  afterEach(async () => {
    await opened?.close();
    await site?.close();
  });
  after(() => house?.close());

  async function open(
    settings: openid.ConfigParams,
    registered: (origin: string) => Partial<NewClientInput> = () => ({}),
  ): Promise<void> {
    const server = express();
    // Another host than the issuer's: cookies know no ports, and the two must not share any.
    site = await listen(server, { host: '127.0.0.1' });
    const { client } = await seedWebClient(house.cluster, {
      redirectUris: [`${site.origin}/callback`],
      postLogoutRedirectUris: [site.origin],
      ...registered(site.origin),
    });
    server.use(
      openid.auth({
        issuerBaseURL: house.issuer,
        baseURL: site.origin,
        clientID: client.clientId,
        clientSecret: client.clientSecret ?? '',
        clientAuthMethod: client.authMethod,
        secret: randomBytes(32).toString('base64url'),
        authRequired: false,
        idpLogout: true,
        authorizationParams: { response_type: 'code', scope: 'openid profile email offline_access' },
        ...settings,
      }),
    );
    server.get('/', (request, response) => {
      response.send(request.oidc.isAuthenticated() ? 'somebody' : 'nobody');
    });
    server.get('/desk', openid.requiresAuth(), async (request, response) => {
      const { accessToken, idTokenClaims } = request.oidc;
      const renewed = await accessToken?.refresh();
      response.json({
        sub: idTokenClaims?.sub,
        userinfo: await request.oidc.fetchUserInfo(),
        isRenewed: renewed !== undefined && renewed.access_token !== accessToken?.access_token,
      });
    });
  }

  /** Through the issuer's pages to the page of the site that demands somebody. */
  async function signIn(page: Page): Promise<Record<string, unknown>> {
    await page.goto(`${site.origin}/desk`);
    expect(new URL(page.url()).origin).to.equal(house.issuer);
    await house.typePassword(page);
    await page.click('button[value="allow"]');
    await page.waitForURL(`${site.origin}/desk`);
    return JSON.parse((await page.textContent('body')) ?? '');
  }

  for (const [mode, authMethod, pushedAuthorizationRequests] of [
    ['by code and PKCE', 'client_secret_basic', false],
    ['by a pushed request (RFC 9126)', 'client_secret_post', true],
  ] as const) {
    it(`signs a person in ${mode} for a page that demands it, reads userinfo, renews, and signs out`, async () => {
      await open({ pushedAuthorizationRequests }, () => ({
        authMethod,
        requirePar: pushedAuthorizationRequests,
      }));
      const { page, problems } = opened;
      const { user, email } = house.person;
      const desk = await signIn(page);
      expect(desk).to.deep.include({ sub: user.id, isRenewed: true });
      expect(desk.userinfo).to.include({ sub: user.id, email, name: 'Ada Example' });

      await page.goto(`${site.origin}/logout`);
      await page.click('[name="logout"]');
      await page.waitForURL(`${site.origin}/`);
      expect(await page.textContent('body')).to.equal('nobody');
      // Nor at the issuer: a password is asked for again.
      await page.goto(`${site.origin}/login`);
      await page.waitForSelector('input[name="password"]');
      expect(problems).to.deep.equal([]);
    });
  }

  it('ends its own session when it is told that the issuer’s has ended (Back-Channel Logout)', async () => {
    const store = new LogoutStore();
    await open({ backchannelLogout: { store } }, origin => ({
      backchannelLogoutUri: `${origin}/backchannel-logout`,
      backchannelLogoutSessionRequired: true,
    }));
    const { page } = opened;
    await signIn(page);
    await page.goto(`${site.origin}/`);
    expect(await page.textContent('body')).to.equal('somebody');
    const { sessions } = openAccess(await house.cluster.operator());
    expect(await sessions.endAll(house.person.user.id, { actor: OPERATOR })).to.equal(1);
    await store.told;
    await page.reload();
    expect(await page.textContent('body')).to.equal('nobody');
  });
});
