import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { UserManager, UserManagerSettings } from 'oidc-client-ts';
import type { Page } from 'playwright-core';
import { type OpenedPage, openPage } from '../../support/chromium.js';
import { seedPublicClient } from '../../support/people.js';
import { type Listening, listen, ReachableIssuer } from './reachable-issuer.js';

const LIBRARY = readFileSync(
  join(import.meta.dirname, '../../../node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js'),
);
const PAGE = '<!doctype html><title>Fieldbook</title><script src="/oidc-client-ts.js"></script>';

/** What the page has: the library, as its script tag gives it, and what the test keeps there. */
interface PageGlobals {
  oidc: typeof import('oidc-client-ts');
  people: UserManager;
}

interface SignedIn {
  readonly sub: string;
  readonly email: string | undefined;
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
}

describe('oidc-client-ts in Chromium', function () {
  this.timeout(90_000);
  let house: ReachableIssuer;
  let home: Listening;
  let foreign: Listening;
  let clientId: string;
  let opened: OpenedPage;

  before(async () => {
    house = await ReachableIssuer.open();
    const site = () =>
      listen((request, response) => {
        const isLibrary = request.url === '/oidc-client-ts.js';
        response.setHeader('content-type', isLibrary ? 'text/javascript' : 'text/html');
        response.end(isLibrary ? LIBRARY : PAGE);
      });
    [home, foreign] = [await site(), await site()];
  });
  beforeEach(async () => {
    const { client } = await seedPublicClient(house.cluster, {
      redirectUris: [`${home.origin}/`, `${foreign.origin}/`],
      postLogoutRedirectUris: [`${home.origin}/signed-out`],
      corsOrigins: [home.origin],
    });
    clientId = client.clientId;
    opened = await openPage();
  });
  afterEach(() => opened?.close());
  after(async () => {
    await home?.close();
    await foreign?.close();
    await house?.close();
  });

  /** As a page does whenever it is loaded. */
  async function begin(page: Page, { origin }: Listening): Promise<void> {
    const settings: UserManagerSettings = {
      authority: house.issuer,
      client_id: clientId,
      redirect_uri: `${origin}/`,
      post_logout_redirect_uri: `${origin}/signed-out`,
      scope: 'openid profile email offline_access',
      loadUserInfo: true,
      automaticSilentRenew: false,
    };
    await page.evaluate(given => {
      const globals = globalThis as unknown as PageGlobals;
      const { UserManager: People, WebStorageStateStore } = globals.oidc;
      globals.people = new People({
        ...given,
        userStore: new WebStorageStateStore({ store: sessionStorage }),
      });
    }, settings);
  }

  /** To the issuer, through its pages, and back to the site with a code. */
  async function depart(page: Page, site: Listening): Promise<void> {
    await page.goto(`${site.origin}/`);
    await begin(page, site);
    await page.evaluate(() => {
      // It never settles: the page is gone.
      void (globalThis as unknown as PageGlobals).people.signinRedirect();
    });
    await page.waitForURL(`${house.issuer}/**`);
    await house.typePassword(page);
    await page.click('button[value="allow"]');
    await page.waitForURL(`${site.origin}/?code=*`);
    await begin(page, site);
  }

  const finish = (page: Page): Promise<SignedIn> =>
    page.evaluate(async () => {
      const user = await (globalThis as unknown as PageGlobals).people.signinRedirectCallback();
      const { profile, access_token: accessToken, refresh_token: refreshToken } = user;
      return { sub: profile.sub, email: profile.email, accessToken, refreshToken };
    });

  it('signs a person in, reads userinfo and renews by its refresh token, all across origins (requirement 25)', async () => {
    const { page, problems } = opened;
    await depart(page, home);
    const { user, email } = house.person;
    const signedIn = await finish(page);
    expect(signedIn).to.include({ sub: user.id, email });
    expect(signedIn.refreshToken).to.be.a('string');

    const renewed = await page.evaluate(async () => {
      const again = await (globalThis as unknown as PageGlobals).people.signinSilent();
      return {
        accessToken: again?.access_token,
        refreshToken: again?.refresh_token,
        sub: again?.profile.sub,
      };
    });
    expect(renewed.sub).to.equal(user.id);
    expect(renewed.accessToken).to.be.a('string').that.does.not.equal(signedIn.accessToken);
    expect(renewed.refreshToken).to.be.a('string').that.does.not.equal(signedIn.refreshToken);

    await page.evaluate(() => (globalThis as unknown as PageGlobals).people.revokeTokens());
    await page.evaluate(() => {
      void (globalThis as unknown as PageGlobals).people.signoutRedirect();
    });
    await page.click('[name="logout"]');
    await page.waitForURL(`${home.origin}/signed-out*`);
    expect(problems).to.deep.equal([]);
  });

  it('gets nothing at an origin that is not registered: Chromium keeps the answer from the page (requirement 25)', async () => {
    const { page, problems } = opened;
    await depart(page, foreign);
    const refusal = await finish(page).then(
      () => 'tokens',
      error => String(error),
    );
    expect(refusal).to.include('Failed to fetch');
    const blocked = problems.filter(problem => problem.includes('blocked by CORS policy'));
    expect(blocked, problems.join('\n')).to.have.length(1);
    expect(blocked[0]).to.include(`${house.issuer}/oauth2/token`).and.include(foreign.origin);
    const stored = await page.evaluate(() => Object.keys(sessionStorage));
    expect(stored.filter(key => key.startsWith('oidc.user:'))).to.deep.equal([]);
  });

  it('a stolen token opens userinfo to no page of another origin (requirement 25)', async () => {
    const { page } = opened;
    await depart(page, home);
    const { accessToken } = await finish(page);
    const read = (token: string): Promise<string> =>
      page.evaluate(
        async ([url, bearer]) => {
          try {
            const headers = { authorization: `Bearer ${bearer}` };
            return (await fetch(url ?? '', { headers })).status.toString();
          } catch (error) {
            return String(error);
          }
        },
        [`${house.issuer}/oauth2/userinfo`, token] as const,
      );
    expect(await read(accessToken)).to.equal('200');
    await page.goto(`${foreign.origin}/`);
    expect(await read(accessToken)).to.include('Failed to fetch');
  });
});
