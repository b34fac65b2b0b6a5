import { expect } from 'chai';
import { decodeJwt, generateKeyPair, importJWK, SignJWT } from 'jose';
import { createClient, deleteClient, disableClient } from '../../src/clients/change-client.js';
import { updateResourceServer } from '../../src/resources/change-resource-server.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import {
  basic,
  Cluster,
  ISSUER,
  OPERATOR,
  post,
  RESOURCE,
  type SeededClient,
  token,
} from '../support/nodes.js';

const OPAQUE = 'https://api.example.test/opaque';
const INACTIVE = '{"active":false}';

describe('introspection (RFC 7662)', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let node: RunningServer;
    let client: SeededClient;
    let introspector: SeededClient;
    let stranger: SeededClient;
    /** Milliseconds by which this cluster's clocks are moved. */
    let moved = 0;

    before(async () => {
      cluster = new Cluster({
        url: (await fresh()).url,
        clock: { now: () => Date.now() + moved, monotonic: () => performance.now() },
        databaseClockOffset: () => moved,
      });
      node = await cluster.start({ hasTimers: false });
      await cluster.resourceServer();
      await cluster.resourceServer({ identifier: OPAQUE, scopes: ['o.read'], accessTokenFormat: 'opaque' });
      const resources = [
        { identifier: RESOURCE, scopes: ['orders.read'], isDefault: true },
        { identifier: OPAQUE, scopes: ['o.read'] },
      ];
      client = await cluster.client({ resources });
      introspector = await cluster.client({ resources: [] });
      stranger = await cluster.client({ resources });
      const operator = await cluster.operator();
      for (const resource of [RESOURCE, OPAQUE]) {
        await updateResourceServer(operator, { resource, introspectors: [introspector.clientId] }, OPERATOR);
      }
    });

    after(() => cluster.close());

    function introspect(value: string, caller: SeededClient, form: Record<string, string> = {}) {
      return post(node, '/oauth2/introspect', { token: value, ...form }, basic(caller));
    }

    async function expectInactive(value: string, caller: SeededClient): Promise<void> {
      const answer = await introspect(value, caller);
      expect(answer.status).to.equal(200);
      expect(answer.text).to.equal(INACTIVE);
      expect(answer.headers.get('cache-control')).to.equal('no-store');
    }

    interface Forgery {
      readonly typ?: string;
      readonly claims?: Readonly<Record<string, unknown>>;
      readonly kid?: string;
      readonly isForeignKey?: boolean;
    }

    /** A JWT like ours, signed with our own active key or another, wrong in one point. */
    async function forged({
      typ = 'at+jwt',
      claims = {},
      kid,
      isForeignKey = false,
    }: Forgery): Promise<string> {
      const own = node.ring.served.signing.get('ES256');
      if (own?.privateJwk === undefined) throw new Error('no key');
      const now = Math.floor((Date.now() + moved) / 1000);
      const key = isForeignKey
        ? (await generateKeyPair('ES256')).privateKey
        : await importJWK(own.privateJwk, 'ES256');
      return new SignJWT({
        iss: ISSUER,
        sub: client.clientId,
        aud: RESOURCE,
        client_id: client.clientId,
        jti: crypto.randomUUID(),
        iat: now,
        exp: now + 600,
        scope: 'orders.read',
        ...claims,
      })
        .setProtectedHeader({ alg: 'ES256', typ, kid: kid ?? own.kid })
        .sign(key);
    }

    it('asks the caller who it is (§2.1, requirement 72)', async () => {
      const value = await token(node, client);
      const anonymous = await post(node, '/oauth2/introspect', { token: value });
      expect([anonymous.status, anonymous.json.error]).to.deep.equal([400, 'invalid_request']);
      const wrong = await introspect(value, { ...client, clientSecret: stranger.clientSecret });
      expect(wrong.status).to.equal(401);
      expect(wrong.text).to.not.include('active');
    });

    it('answers no public client, whose name anybody can use: as if it had failed to prove itself (§2.1)', async () => {
      const { keys, ...operator } = await cluster.operator();
      const { client: open } = await createClient(
        { ...operator, hasher: keys.hasher },
        {
          name: 'Page',
          authMethod: 'none',
          redirectUris: ['https://rp.example.test/callback'],
          resources: [],
        },
        OPERATOR,
      );
      const client_id = open.clientId;
      const refused = await introspect('unknown', { ...client, clientSecret: stranger.clientSecret });
      const values = [await token(node, client), await token(node, client, { resource: OPAQUE }), 'unknown'];
      for (const value of values) {
        for (const extra of [{}, { client_secret: '' }, { client_secret: 'x'.repeat(43) }]) {
          const form = { token: value, client_id, ...extra };
          const answer = await post(node, '/oauth2/introspect', form);
          expect(answer.status).to.equal(401);
          expect(answer.text).to.equal(refused.text);
        }
        // RFC 7009 §2.1: to revoke, its name is enough; somebody else's token it does not end.
        expect((await post(node, '/oauth2/revoke', { token: value, client_id })).status).to.equal(200);
      }
      expect((await introspect(values[0] ?? '', client)).json.active).to.equal(true);
    });

    for (const resource of [RESOURCE, OPAQUE]) {
      describe(`of a token for ${resource}`, () => {
        it('tells the client it was issued to, and the resource server’s introspector (requirement 72)', async () => {
          const value = await token(node, client, { resource });
          for (const caller of [client, introspector]) {
            const answer = await introspect(value, caller);
            expect(answer.json).to.include({
              active: true,
              iss: ISSUER,
              aud: resource,
              client_id: client.clientId,
              token_type: 'Bearer',
            });
            expect(Number(answer.json.exp) - Number(answer.json.iat)).to.equal(600);
          }
        });

        it('tells anyone else exactly {"active":false} (§4, requirement 72)', async () => {
          await expectInactive(await token(node, client, { resource }), stranger);
        });

        it('says exactly {"active":false} of a revoked token, to everyone', async () => {
          const value = await token(node, client, { resource });
          expect((await post(node, '/oauth2/revoke', { token: value }, basic(client))).status).to.equal(200);
          await expectInactive(value, client);
          await expectInactive(value, introspector);
        });

        it('says exactly {"active":false} of a token whose client is disabled, or is gone', async () => {
          for (const end of [disableClient, deleteClient]) {
            const doomed = await cluster.client({
              resources: [{ identifier: resource, scopes: [resource === OPAQUE ? 'o.read' : 'orders.read'] }],
            });
            const value = await token(node, doomed);
            expect((await introspect(value, introspector)).json.active).to.equal(true);
            await end(await cluster.operator(), doomed, OPERATOR);
            await node.tick();
            await expectInactive(value, introspector);
          }
        });

        it('heeds no token_type_hint that is wrong (§2.1)', async () => {
          const value = await token(node, client, { resource });
          for (const hint of ['refresh_token', 'nonsense', 'access_token']) {
            expect((await introspect(value, client, { token_type_hint: hint })).json.active).to.equal(true);
          }
        });
      });
    }

    it('accepts a forgery that is wrong in nothing (control: the ones below are refused for their one fault)', async () => {
      expect((await introspect(await forged({}), client)).json.active).to.equal(true);
    });

    const FORGERIES: readonly (readonly [what: string, forgery: Forgery])[] = [
      ['an ID token of ours', { typ: 'JWT' }],
      ['a logout token of ours', { typ: 'logout+jwt' }],
      ['a token signed by a foreign key', { isForeignKey: true }],
      ['a token under an unknown kid', { kid: 'unknown' }],
      ['a token of another issuer', { claims: { iss: 'https://other.example' } }],
      ['a token that has expired', { claims: { exp: Math.floor(Date.now() / 1000) - 1 } }],
      ['a token from the future', { claims: { iat: Math.floor(Date.now() / 1000) + 3600 } }],
      ['a token of no client', { claims: { client_id: 'cl_0000000000000000000000' } }],
      ['a token without an audience', { claims: { aud: undefined } }],
      ['a token without a jti', { claims: { jti: undefined } }],
    ];
    for (const [what, forgery] of FORGERIES) {
      it(`says exactly {"active":false} of ${what} (requirement 72)`, async () => {
        await expectInactive(await forged(forgery), client);
        await expectInactive(await forged(forgery), introspector);
      });
    }

    for (const value of [
      'unknown',
      'eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.',
      'eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.AAAA',
      'a.b.c',
      '..',
      '\0',
      'ü',
      'x'.repeat(20_000),
    ]) {
      it(`says exactly {"active":false} of ${JSON.stringify(value.slice(0, 30))}`, () =>
        expectInactive(value, client));
    }

    it('says {"active":false} from the second in which the token ends', async () => {
      const value = await token(node, client);
      moved = (Number(decodeJwt(value).exp) - 2) * 1000 - Date.now();
      await node.tick();
      expect((await introspect(value, client)).json.active).to.equal(true);
      moved += 3000;
      await node.tick();
      await expectInactive(value, client);
      moved = 0;
      await node.tick();
    });

    it('needs a token (invalid_request)', async () => {
      const answer = await post(node, '/oauth2/introspect', { token_type_hint: 'x' }, basic(client));
      expect([answer.status, answer.json.error]).to.deep.equal([400, 'invalid_request']);
    });
  });
});
