import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import express from 'express';
import openid from 'express-openid-connect';
import { type OpenedPage, openPage } from '../../support/chromium.js';
import { seedWebClient } from '../../support/people.js';
import { type Listening, listen, ReachableIssuer } from './reachable-issuer.js';

const MODES = [
  ['code in the query', 'client_secret_basic', false],
  ['code in the query, request pushed beforehand', 'client_secret_post', true],
] as const;

describe('express-openid-connect', function () {
  this.timeout(90_000);
  let house: ReachableIssuer;
  before(async () => {
    house = await ReachableIssuer.open();
  });
  after(() => house?.close());

  for (const [mode, clientAuthMethod, pushedAuthorizationRequests] of MODES) {
    describe(`with ${mode}`, () => {
      let site: Listening;
      let opened: OpenedPage;
      before(async () => {
        const server = express();
        // Another host than the issuer's: cookies know no ports, and the two must not share any.
        site = await listen(server, { host: '127.0.0.1' });
        const { client } = await seedWebClient(house.cluster, {
          authMethod: clientAuthMethod,
          redirectUris: [`${site.origin}/callback`],
          postLogoutRedirectUris: [site.origin],
        });
        server.use(
          openid.auth({
            issuerBaseURL: house.issuer,
            baseURL: site.origin,
            clientID: client.clientId,
            clientSecret: client.clientSecret ?? '',
            clientAuthMethod,
            pushedAuthorizationRequests,
            secret: randomBytes(32).toString('base64url'),
            authRequired: false,
            idpLogout: true,
            authorizationParams: { response_type: 'code', scope: 'openid profile email offline_access' },
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
        opened = await openPage();
      });
      after(async () => {
        await opened?.close();
        await site?.close();
      });

      it('signs a person in for a page that demands it, reads userinfo, renews, and signs out again', async () => {
        const { page, problems } = opened;
        await page.goto(`${site.origin}/desk`);
        expect(new URL(page.url()).origin).to.equal(house.issuer);
        await house.typePassword(page);
        await page.click('button[value="allow"]');
        await page.waitForURL(`${site.origin}/desk`);
        const { user, email } = house.person;
        const desk = JSON.parse((await page.textContent('body')) ?? '');
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
    });
  }
});
