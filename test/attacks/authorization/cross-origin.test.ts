import { expect } from 'chai';
import { ask, type RelyingParty, Scene } from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { type Answer, post } from '../../support/nodes.js';

const ORIGIN = 'https://rp.example.test';
const FOREIGN = 'https://evil.test';

/** What a page of another origin can tell about an answer. */
function crossOriginOf({ headers }: Answer): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')));
}

describe('a page of another origin', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let spa: RelyingParty;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      spa = await scene.relyingParty({ authMethod: 'none' });
      shop = await scene.relyingParty();
    });

    after(() => scene.close());

    it('reads nothing of the authorization endpoint, the pages or signing out (requirement 25)', async () => {
      const paths = [
        spa.begin().path,
        spa.begin({ prompt: 'none' }).path,
        spa.begin({ client_id: 'unknown' }).path,
        '/oauth2/logout',
        '/oauth2/device/verify',
      ];
      for (const path of paths) {
        for (const origin of [ORIGIN, FOREIGN, 'null']) {
          for (const method of ['GET', 'OPTIONS']) {
            const answer = await ask(scene.node, path, {
              method,
              headers: {
                origin,
                ...(method === 'OPTIONS' ? { 'access-control-request-method': 'GET' } : {}),
              },
            });
            expect(crossOriginOf(answer), `${method} ${path} ${origin}`).to.deep.equal({});
          }
        }
      }
    });

    it('reads tokens and userinfo only where its client registered the origin (requirement 25)', async () => {
      const person = await scene.person();
      const browser = scene.browser();
      for (const [origin, isAllowed] of [
        [ORIGIN, true],
        [FOREIGN, false],
        ['null', false],
        ['https://rp.example.test.evil.test', false],
        ['http://rp.example.test', false],
        ['https://RP.example.test', false],
        ['https://rp.example.test:443', false],
        ['https://sub.rp.example.test', false],
      ] as const) {
        const authorized = await spa.authorize(browser, person, { scope: 'openid email' });
        const answer = await spa.redeem(authorized, {}, { origin });
        expect(answer.status, origin).to.equal(200);
        expect(crossOriginOf(answer)['access-control-allow-origin'], origin).to.equal(
          isAllowed ? origin : undefined,
        );
        expect(crossOriginOf(answer)['access-control-allow-credentials']).to.equal(undefined);
        expect(answer.headers.get('vary')).to.match(/Origin/i);
        const authorization = `Bearer ${String(answer.json.access_token)}`;
        const about = await ask(scene.node, '/oauth2/userinfo', { headers: { authorization, origin } });
        expect(about.status, about.text).to.equal(200);
        expect(crossOriginOf(about)['access-control-allow-origin'], origin).to.equal(
          isAllowed ? origin : undefined,
        );
      }
    });

    it('may send what it likes beforehand, unless it has no origin of its own (requirement 25)', async () => {
      for (const path of [
        '/oauth2/token',
        '/oauth2/userinfo',
        '/oauth2/revoke',
        '/oauth2/par',
        '/oauth2/device',
      ]) {
        const ofOrigin = (origin: string): Promise<Answer> =>
          ask(scene.node, path, {
            method: 'OPTIONS',
            headers: { origin, 'access-control-request-method': 'POST' },
          });
        expect(crossOriginOf(await ofOrigin('null')), path).to.deep.equal({});
        for (const origin of [ORIGIN, FOREIGN]) {
          const allowed = crossOriginOf(await ofOrigin(origin));
          expect(allowed['access-control-allow-origin'], path).to.equal(origin);
          expect(allowed['access-control-allow-methods'], path).to.include('POST');
          expect(allowed['access-control-allow-headers'], path).to.equal('Authorization, Content-Type, DPoP');
          expect(allowed, path).to.not.have.property('access-control-allow-credentials');
        }
      }
      for (const path of ['/oauth2/introspect', '/oauth2/ciba']) {
        const answer = await ask(scene.node, path, { method: 'OPTIONS', headers: { origin: ORIGIN } });
        expect(crossOriginOf(answer), path).to.deep.equal({});
      }
    });

    it('learns nothing about which clients exist (requirement 25)', async () => {
      const known = [spa.client.clientId, shop.client.clientId];
      const unknown = 'cl_0000000000000000000000';
      for (const [path, form] of [
        ['/oauth2/token', { grant_type: 'authorization_code', code: 'x', redirect_uri: ORIGIN }],
        ['/oauth2/revoke', { token: 'x' }],
        ['/oauth2/par', { response_type: 'code' }],
        ['/oauth2/device', { scope: 'openid' }],
      ] as const) {
        const seen = new Set<string>();
        for (const client_id of [...known, unknown]) {
          const preflight = await ask(scene.node, `${path}?client_id=${client_id}`, {
            method: 'OPTIONS',
            headers: { origin: FOREIGN, 'access-control-request-method': 'POST' },
          });
          const answer = await post(scene.node, path, { client_id, ...form }, { origin: FOREIGN });
          // To the page every answer that it may not read is the same network error.
          seen.add(JSON.stringify([crossOriginOf(preflight), preflight.status, crossOriginOf(answer)]));
        }
        expect([...seen], path).to.have.length(1);
      }
      // Nor does an origin change what is answered.
      const form = {
        client_id: spa.client.clientId,
        grant_type: 'authorization_code',
        code: 'x',
        redirect_uri: ORIGIN,
      };
      const [without, foreign] = [
        await post(scene.node, '/oauth2/token', form),
        await post(scene.node, '/oauth2/token', form, { origin: FOREIGN }),
      ];
      expect([foreign.status, foreign.text]).to.deep.equal([without.status, without.text]);
      const absent = { ...form, client_id: unknown };
      const [plain, crossed] = [
        await post(scene.node, '/oauth2/token', absent),
        await post(scene.node, '/oauth2/token', absent, { origin: FOREIGN }),
      ];
      expect([crossed.status, crossed.text]).to.deep.equal([plain.status, plain.text]);
    });
  });
});
