import { expect } from 'chai';
import { updateResourceServer } from '../../../src/resources/change-resource-server.js';
import { disableUser } from '../../../src/users/change-user.js';
import {
  ask,
  claimsOf,
  type Person,
  type RelyingParty,
  Scene,
  userinfo,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { ProofKey } from '../../support/dpop.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import { basic, ISSUER, OPERATOR, post, RESOURCE, type SeededClient } from '../../support/nodes.js';

describe('an authorization code', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;
    let spa: RelyingParty;
    let api: SeededClient;
    let time: MovedTime;

    before(async () => {
      time = installMovedTime();
      const { clock, databaseClockOffset } = time;
      scene = await Scene.open({ url: (await fresh()).url, clock, databaseClockOffset });
      person = await scene.person();
      shop = await scene.relyingParty();
      spa = await scene.relyingParty({ authMethod: 'none' });
      api = await scene.cluster.client({ name: 'orders api', resources: [] });
      const operator = await scene.cluster.operator();
      await updateResourceServer(operator, { resource: RESOURCE, introspectors: [api.clientId] }, OPERATOR);
    });

    after(async () => {
      await scene.close();
      time.restore();
    });

    const isActive = async (token: unknown): Promise<unknown> => {
      const answer = await post(scene.node, '/oauth2/introspect', { token: String(token) }, basic(api));
      return answer.json.active;
    };

    const offline = { scope: 'openid orders.read offline_access' };

    it('is bound to its own challenge: swapped between two flows of one session it opens nothing (requirement 12)', async () => {
      const browser = scene.browser();
      const first = await shop.authorize(browser, person);
      const second = await shop.authorize(browser, undefined);
      for (const [one, other] of [
        [first, second],
        [second, first],
      ] as const) {
        const answer = await shop.redeem({ request: other.request, code: one.code });
        expect(answer.status).to.equal(400);
        expect(answer.json.error).to.equal('invalid_grant');
      }
      for (const code_verifier of [undefined, '', 'x'.repeat(43)]) {
        const again = await shop.authorize(browser, undefined);
        expect((await shop.redeem(again, { code_verifier })).json.error).to.equal('invalid_grant');
      }
    });

    it('replayed is refused, and everything it gave is dead: access token, userinfo, refresh (requirement 27)', async () => {
      const browser = scene.browser();
      const authorized = await shop.authorize(browser, person, offline);
      const first = await shop.redeem(authorized);
      const { access_token: token, refresh_token: refresh } = first.json;
      expect(await isActive(token)).to.equal(true);
      expect((await userinfo(scene.node, token)).status).to.equal(200);
      const rotated = await shop.refresh(refresh);
      expect(rotated.status, rotated.text).to.equal(200);

      const replay = await shop.redeem(authorized);
      expect(replay.status).to.equal(400);
      expect(replay.json.error).to.equal('invalid_grant');
      expect(replay.text).to.not.include('access_token');
      for (const dead of [token, rotated.json.access_token]) {
        expect(await isActive(dead)).to.equal(false);
        expect((await userinfo(scene.node, dead)).status).to.equal(401);
      }
      for (const dead of [refresh, rotated.json.refresh_token]) {
        expect((await shop.refresh(dead)).json.error).to.equal('invalid_grant');
      }
      // The person is still signed in, and starts anew.
      expect((await shop.redeem(await shop.authorize(browser, undefined))).status).to.equal(200);
    });

    it('replayed by somebody who cannot redeem it changes nothing (requirement 27)', async () => {
      const browser = scene.browser();
      const authorized = await shop.authorize(browser, person);
      const { access_token: token } = (await shop.redeem(authorized)).json;
      const stranger = await scene.relyingParty();
      expect((await stranger.redeem(authorized)).json.error).to.equal('invalid_grant');
      expect(await isActive(token), 'of another client').to.equal(true);
      const unauthenticated = await post(scene.node, '/oauth2/token', {
        grant_type: 'authorization_code',
        code: authorized.code,
        redirect_uri: shop.redirectUri,
        code_verifier: authorized.request.verifier,
        client_id: shop.client.clientId,
      });
      expect(unauthenticated.status).to.equal(401);
      expect(await isActive(token), 'without authentication').to.equal(true);
    });

    it('is over after 60 s (requirement 30)', async () => {
      const browser = scene.browser();
      const early = await shop.authorize(browser, person);
      time.moveBy(58);
      expect((await shop.redeem(early)).status).to.equal(200);
      const late = await shop.authorize(browser, undefined);
      time.moveBy(61);
      const answer = await shop.redeem(late);
      expect(answer.status).to.equal(400);
      expect(answer.json.error).to.equal('invalid_grant');
    });

    it('used, and replayed after it is over, still takes its grant down (requirement 30)', async () => {
      const authorized = await shop.authorize(scene.browser(), person, offline);
      const { access_token: token, refresh_token: refresh } = (await shop.redeem(authorized)).json;
      time.moveBy(120);
      expect(await isActive(token)).to.equal(true);
      expect((await shop.redeem(authorized)).json.error).to.equal('invalid_grant');
      expect(await isActive(token)).to.equal(false);
      expect((await shop.refresh(refresh)).json.error).to.equal('invalid_grant');
    });

    it('is bound to its client and redirect_uri, and to nobody else’s however it is changed (requirement 31)', async () => {
      const two = await scene.relyingParty({
        redirectUris: ['https://rp.example.test/callback', 'https://rp.example.test/other'],
      });
      const browser = scene.browser();
      const cases = [
        { party: spa, of: 'another client' },
        { party: two, of: 'another redirect_uri', with: { redirect_uri: 'https://rp.example.test/other' } },
        { party: two, of: 'no redirect_uri', with: { redirect_uri: undefined } },
        { party: two, of: 'a forged redirect_uri', with: { redirect_uri: 'https://evil.test/' } },
      ];
      for (const { party, of, with: parameters } of cases) {
        const owner = party === spa ? shop : party;
        const authorized = await owner.authorize(browser, person);
        const answer = await party.redeem(authorized, parameters);
        expect(answer.status, of).to.equal(400);
        expect(answer.json.error, of).to.be.oneOf(['invalid_grant', 'invalid_request']);
        expect(answer.text, of).to.not.include('access_token');
      }
      const { code, request } = await shop.authorize(browser, undefined);
      const changes = [
        code.slice(0, -1),
        `${code}x`,
        ` ${code}`,
        `${code}\0`,
        code.toUpperCase(),
        `${code.slice(0, -1)}${code.endsWith('A') ? 'B' : 'A'}`,
        `${code}.${shop.client.clientId}`,
      ];
      for (const changed of changes) {
        expect((await shop.redeem({ request, code: changed })).json.error, changed).to.equal('invalid_grant');
      }
      expect((await shop.redeem({ request, code })).status, 'unchanged').to.equal(200);
    });

    it('is bound to the DPoP key that was named with it (requirement 31, RFC 9449 §10)', async () => {
      const [key, stolen] = [await ProofKey.generate(), await ProofKey.generate()];
      const browser = scene.browser();
      const bound = { dpop_jkt: key.thumbprint };
      for (const dpop of [undefined, await stolen.proof()]) {
        const authorized = await spa.authorize(browser, person, bound);
        const answer = await spa.redeem(authorized, {}, dpop === undefined ? {} : { dpop });
        expect(answer.status).to.equal(400);
        expect(answer.text).to.not.include('access_token');
      }
      const authorized = await spa.authorize(browser, undefined, bound);
      const answer = await spa.redeem(authorized, {}, { dpop: await key.proof() });
      expect(answer.status, answer.text).to.equal(200);
      expect(answer.json.token_type).to.equal('DPoP');
      expect(claimsOf(answer.json.access_token).cnf).to.deep.equal({ jkt: key.thumbprint });
    });

    it('gives what was allowed, at no other resource server and for no further scope (requirement 31)', async () => {
      const browser = scene.browser();
      await shop.authorize(browser, person);
      for (const resource of ['https://other.example.test/', `${RESOURCE}/`]) {
        // Of a code of its own: a used one is refused whatever comes with it.
        const refused = await shop.redeem(await shop.authorize(browser, undefined), { resource });
        expect([refused.status, refused.json.error], resource).to.deep.equal([400, 'invalid_target']);
      }
      const narrow = await shop.authorize(browser, undefined);
      const answer = await shop.redeem(narrow, { scope: 'openid orders.read orders.write' });
      expect(answer.status, answer.text).to.equal(200);
      expect(String(answer.json.scope).split(' ')).to.have.members(['openid', 'orders.read']);
      const claims = claimsOf(answer.json.access_token);
      expect(claims.scope).to.equal(answer.json.scope);
      expect(claims.aud).to.have.members([RESOURCE, `${ISSUER}/oauth2/userinfo`]);
    });

    it('of a person who is gone meanwhile gives nothing', async () => {
      const guest = await scene.person();
      const authorized = await shop.authorize(scene.browser(), guest);
      await disableUser(await scene.context(), { userId: guest.userId }, { actor: 'os:ada@example' });
      const answer = await shop.redeem(authorized);
      expect(answer.json.error).to.equal('invalid_grant');
    });

    it('is 128 bits or more of chance, and in no page', async () => {
      const browser = scene.browser();
      const codes = new Set<string>();
      for (let count = 0; count < 20; count += 1) codes.add((await shop.authorize(browser, person)).code);
      expect(codes.size).to.equal(20);
      for (const code of codes) expect(code).to.match(/^[A-Za-z0-9_-]{22,}$/);
      for (const { text, url } of browser.exchanges) {
        for (const code of codes) {
          if (!url.includes('/oauth2/authorize')) expect(text).to.not.include(code);
        }
      }
      expect((await ask(scene.node, '/oauth2/authorize')).status).to.equal(400);
    });
  });
});
