import { request } from 'node:http';
import { getListFromStatusListJWT, getStatusListFromJWT } from '@sd-jwt/jwt-status-list';
import { expect } from 'chai';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { deleteClient, disableClient, enableClient, updateClient } from '../../src/clients/change-client.js';
import { isAppError } from '../../src/errors.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { type RotationContext, revokeSigningKey } from '../../src/keys/rotate.js';
import { revokedStatuses } from '../../src/oidc/ring-companions.js';
import { deleteResourceServer, updateResourceServer } from '../../src/resources/change-resource-server.js';
import type { RunningServer } from '../../src/server.js';
import { VerificationError } from '../../src/verifier/errors.js';
import { forEachDatabase } from '../support/databases.js';
import {
  type Answer,
  answerOf,
  basic,
  Cluster,
  get,
  ISSUER,
  OPERATOR,
  post,
  RESOURCE,
  type SeededClient,
  token,
  urlOf,
} from '../support/nodes.js';
import { figure } from '../support/scale.js';
import { auditRows } from '../support/tables.js';
import { verifierAt } from '../support/verifier-at.js';

const PLAIN = 'https://api.example.test/plain';
const OTHER = 'https://api.example.test/other';

interface Status {
  readonly idx: number;
  readonly uri: string;
}

const statusOf = (jwt: string) =>
  (decodeJwt(jwt).status as { readonly status_list: Status } | undefined)?.status_list;

describe('status lists: JWTs that are revoked without a look-up', function () {
  this.timeout(30_000);
  forEachDatabase((name, fresh) => {
    let cluster: Cluster;
    let nodes: readonly RunningServer[];
    let node: RunningServer;
    let other: RunningServer;
    let client: SeededClient;

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      nodes = [await cluster.start(), await cluster.start()];
      [node, other] = nodes as [RunningServer, RunningServer];
      await cluster.resourceServer({ revocation: 'status-list' });
      await cluster.resourceServer({ identifier: PLAIN, scopes: ['p.read'] });
      await cluster.resourceServer({ identifier: OTHER, scopes: ['orders.read'], revocation: 'status-list' });
      client = await newClient();
    });
    after(() => cluster.close());

    function newClient(): Promise<SeededClient> {
      return cluster.client({
        resources: [
          { identifier: RESOURCE, scopes: ['orders.read', 'orders.write'], isDefault: true },
          { identifier: PLAIN, scopes: ['p.read'] },
        ],
      });
    }

    const pathOf = (jwt: string) => new URL(String(statusOf(jwt)?.uri)).pathname;

    /** What resource servers find that ask different nodes and remember nothing. */
    async function verdicts(jwt: string): Promise<string[]> {
      return Promise.all(
        nodes.map(async each => {
          const answer = await verifierAt(each)
            .verify(jwt)
            .catch((error: unknown) => error);
          return answer instanceof VerificationError ? answer.code : 'good';
        }),
      );
    }

    /** Asked until both say so; @returns seconds. */
    async function until(jwt: string, verdict: string): Promise<number> {
      const startedAt = performance.now();
      while ((await verdicts(jwt)).some(each => each !== verdict)) {
        if (performance.now() - startedAt > 5000) throw new Error(`not ${verdict} within 5 s`);
      }
      return (performance.now() - startedAt) / 1000;
    }

    it('issues no token without a place: 503 and come again, with nothing in the record, until there is one', async () => {
      const { database } = await cluster.operator();
      const rename = (from: string, to: string) =>
        database.write(on => on.schema.renameTable(from, to).then(() => undefined));
      const rows = async () => (await auditRows(database)).length;
      const ask = (form = {}) =>
        post(node, '/oauth2/token', { grant_type: 'client_credentials', ...form }, basic(client));
      await rename('status_lists', 'hidden_lists');
      try {
        const before = await rows();
        const refused = await ask();
        expect([refused.status, refused.headers.get('retry-after')]).to.deep.equal([503, '1']);
        expect(refused.json.error).to.equal('temporarily_unavailable');
        expect(await rows()).to.equal(before);
        expect((await ask({ resource: PLAIN })).status, 'others go on').to.equal(200);
      } finally {
        await rename('hidden_lists', 'status_lists');
      }
      const startedAt = performance.now();
      while ((await ask()).status !== 200) expect(performance.now() - startedAt).to.be.below(5000);
    });

    it('gives a place to tokens of resource servers that ask for it, and to no others', async () => {
      const place = statusOf(await token(node, client));
      expect(place?.uri).to.match(/^http:\/\/localhost:4400\/status-lists\/\d+$/);
      expect(place?.idx).to.be.within(0, 2 ** 20 - 1);
      expect(decodeJwt(await token(node, client, { resource: PLAIN }))).not.to.have.property('status');
    });

    it('costs about 70 bytes a token', async () => {
      const claims = decodeJwt(await token(node, client));
      const [bytes, without] = [claims, { ...claims, status: undefined }].map(
        each => JSON.stringify(each).length,
      );
      expect(Number(bytes) - Number(without)).to.be.within(40, 90);
    });

    it('publishes a list that another implementation reads, signed by the active key (draft §5.1, §8)', async () => {
      const [revoked, good] = [await token(node, client), await token(node, client)];
      await post(node, '/oauth2/revoke', { token: revoked }, basic(client));
      await until(revoked, 'revoked');
      const answer = await get(other, pathOf(revoked));
      expect([answer.status, answer.headers.get('content-type')]).to.deep.equal([
        200,
        'application/statuslist+jwt',
      ]);
      const jwks = (await get(node, '/.well-known/jwks.json')).json as unknown as JSONWebKeySet;
      const { payload, protectedHeader } = await jwtVerify(answer.text, createLocalJWKSet(jwks), {
        issuer: ISSUER,
        subject: String(statusOf(revoked)?.uri),
        typ: 'statuslist+jwt',
      });
      expect(protectedHeader).to.include({ alg: 'ES256', kid: decodeProtectedHeader(good).kid });
      expect(payload.ttl).to.equal(10);
      const list = getListFromStatusListJWT(answer.text);
      expect(list.getStatus(getStatusListFromJWT(revoked).idx)).to.equal(1);
      expect(list.getStatus(getStatusListFromJWT(good).idx)).to.equal(0);
    });

    it('can be kept by caches for its ttl and asked for again by its tag, from any origin', async () => {
      const path = pathOf(await token(node, client));
      const first = await get(node, path);
      expect(first.headers.get('cache-control')).to.equal('public, max-age=10');
      expect(first.headers.get('access-control-allow-origin')).to.equal('*');
      const etag = String(first.headers.get('etag'));
      expect(etag).to.match(/^"[\w-]{27}"$/);
      const again = await get(node, path, { 'if-none-match': etag });
      expect([again.status, again.text]).to.deep.equal([304, '']);
      const head = await answerOf(await fetch(urlOf(node, path), { method: 'HEAD' }));
      expect([head.status, head.text, head.headers.get('content-length')]).to.deep.equal([
        200,
        '',
        String(first.text.length),
      ]);
    });

    /** As an attacker spells it: fetch would tidy it up. */
    function raw(path: string): Promise<number | undefined> {
      return new Promise((resolve, reject) => {
        const sent = request({ host: '127.0.0.1', port: node.port, path }, response => {
          response.resume();
          resolve(response.statusCode);
        });
        sent.on('error', reject).end();
      });
    }

    it('answers 404 for what is no list, 405 for what is no reading, and keeps neither', async () => {
      const path = pathOf(await token(node, client));
      for (const wrong of ['0', '01', '999999', '', 'a', '1.0', '%31', '../1', '1/', '1?a']) {
        expect(await raw(`/status-lists/${wrong}`), wrong).to.equal(404);
      }
      const refused: Answer[] = [await get(node, '/status-lists/999999'), await post(node, path, {})];
      expect(refused.map(({ status }) => status)).to.deep.equal([404, 405]);
      for (const { headers } of refused) expect(headers.get('cache-control')).to.equal('no-store');
      expect(refused[1]?.headers.get('allow')).to.equal('GET, HEAD');
    });

    it('refuses a revoked token on every node within a second; introspection and a verifier without lists (control)', async () => {
      const jwt = await token(node, client);
      expect(await verdicts(jwt)).to.deep.equal(['good', 'good']);
      await post(node, '/oauth2/revoke', { token: jwt }, basic(client));
      for (const each of nodes) {
        const { json } = await post(each, '/oauth2/introspect', { token: jwt }, basic(client));
        expect(json.active).to.equal(false);
      }
      const seconds = await until(jwt, 'revoked');
      figure(`status list: a revocation reaches two nodes after ${seconds.toFixed(2)} s (${name})`);
      expect(seconds).to.be.below(1);
      expect(await verifierAt(node, { statusLists: false }).verify(jwt)).to.have.property('jti');
    });

    it('stands in the audit event of the token, which is how it is found again', async () => {
      const jwt = await token(node, client);
      const { database } = await cluster.operator();
      const row = (await auditRows(database)).find(({ subject }) => subject === decodeJwt(jwt).jti);
      expect(row).to.include({ status_index: statusOf(jwt)?.idx });
    });

    describe('ends', () => {
      async function changes() {
        const { database, nodeId, config } = await cluster.operator();
        return { database, nodeId, config };
      }

      it('all tokens of a client that is disabled, and none that it gets once it is enabled', async () => {
        const [one, bystander] = [await newClient(), await token(node, client)];
        const old = await Promise.all([token(node, one), token(other, one)]);
        await disableClient(await changes(), one, OPERATOR);
        for (const jwt of old) await until(jwt, 'revoked');
        await enableClient(await changes(), one, OPERATOR);
        const jwt = await token(node, one);
        expect([await verdicts(jwt), await verdicts(bystander)]).to.deep.equal([
          ['good', 'good'],
          ['good', 'good'],
        ]);
      });

      it('all tokens of a client that is deleted', async () => {
        const one = await newClient();
        const jwt = await token(node, one);
        await deleteClient(await changes(), one, OPERATOR);
        await until(jwt, 'revoked');
      });

      it('tokens with a scope that the client has lost, and no others', async () => {
        const one = await newClient();
        const lost = await token(node, one, { scope: 'orders.read orders.write' });
        const kept = await token(node, one, { scope: 'orders.read' });
        const resources = [{ identifier: RESOURCE, scopes: ['orders.read'], isDefault: true }];
        await updateClient(await changes(), { clientId: one.clientId, resources }, OPERATOR);
        await until(lost, 'revoked');
        expect(await verdicts(kept)).to.deep.equal(['good', 'good']);
      });

      it('all tokens of a client that fewer people may use from now on', async () => {
        const one = await newClient();
        const jwt = await token(node, one);
        const allowedUsers = { userIds: [], groups: ['staff'] };
        await updateClient(await changes(), { clientId: one.clientId, allowedUsers }, OPERATOR);
        await until(jwt, 'revoked');
        expect(await verdicts(await token(node, one))).to.deep.equal(['good', 'good']);
      });

      it('tokens with a scope that the resource server has lost, except where the client has it elsewhere', async () => {
        const resource = 'https://api.example.test/shrinking';
        await cluster.resourceServer({
          identifier: resource,
          scopes: ['orders.read', 'a'],
          revocation: 'status-list',
        });
        const here = { identifier: resource, scopes: ['orders.read', 'a'], isDefault: true };
        const loser = await cluster.client({ resources: [here] });
        const keeper = await cluster.client({
          resources: [here, { identifier: OTHER, scopes: ['orders.read'] }],
        });
        const audience = { audience: resource };
        const ask = { scope: 'orders.read', resource };
        const [lost, kept] = [await token(node, loser, ask), await token(node, keeper, ask)];
        await updateResourceServer(await changes(), { resource, scopes: ['a'] }, OPERATOR);
        for (let tries = 0; ; tries += 1) {
          const error = await verifierAt(other, audience)
            .verify(lost)
            .catch((reason: unknown) => reason);
          if (error instanceof VerificationError && error.code === 'revoked') break;
          if (tries > 200) throw new Error('it is not revoked');
        }
        await verifierAt(other, audience).verify(kept);
        const active = async (jwt: string, by: SeededClient) =>
          (await post(node, '/oauth2/introspect', { token: jwt }, basic(by))).json.active;
        expect([await active(lost, loser), await active(kept, keeper)], 'as introspection').to.deep.equal([
          false,
          true,
        ]);
      });

      it('tokens for a resource server that is deleted', async () => {
        const resource = 'https://api.example.test/vanishing';
        await cluster.resourceServer({ identifier: resource, scopes: ['v'], revocation: 'status-list' });
        const one = await cluster.client({ resources: [{ identifier: resource, scopes: ['v'] }] });
        const jwt = await token(node, one, { scope: 'v' });
        await deleteResourceServer(await changes(), { resource, force: true }, OPERATOR);
        const list = async () => getListFromStatusListJWT((await get(other, pathOf(jwt))).text);
        const startedAt = performance.now();
        while ((await list()).getStatus(Number(statusOf(jwt)?.idx)) === 0) {
          expect(performance.now() - startedAt).to.be.below(5000);
        }
      });

      it('all tokens of a revoked signing key, at a resource server that still holds that key', async () => {
        const jwt = await token(node, client);
        const held = (await get(node, '/.well-known/jwks.json')).json as unknown as JSONWebKeySet;
        const verdict = async (): Promise<string> => {
          const error = await verifierAt(other, { jwks: () => held })
            .verify(jwt)
            .catch((reason: unknown) => reason);
          return error instanceof VerificationError ? error.code : 'good';
        };
        expect(await verdict()).to.equal('good');
        const { database, keys, nodeId, config } = await cluster.operator();
        const context: RotationContext = {
          database,
          policy: deriveKeyPolicy(config),
          envelope: keys.signingKeyEnvelope,
          nodeId,
          actor: OPERATOR,
          companions: [revokedStatuses],
        };
        await revokeSigningKey(context, String(decodeProtectedHeader(jwt).kid));
        const startedAt = performance.now();
        while ((await verdict()) !== 'revoked') expect(performance.now() - startedAt).to.be.below(5000);
        figure(
          `status list: a revoked key's tokens are refused after ${((performance.now() - startedAt) / 1000).toFixed(2)} s (${name})`,
        );
        const fresh = await token(node, client);
        expect(decodeProtectedHeader(fresh).kid).not.to.equal(decodeProtectedHeader(jwt).kid);
        expect(await verdicts(fresh)).to.deep.equal(['good', 'good']);
        expect(statusOf(fresh)?.uri, 'a list of its own').not.to.equal(statusOf(jwt)?.uri);
      });
    });

    it('is nothing for opaque tokens', async () => {
      const refused = await cluster
        .resourceServer({
          identifier: 'https://api.example.test/x',
          accessTokenFormat: 'opaque',
          revocation: 'status-list',
        })
        .catch((error: unknown) => error);
      expect(isAppError(refused, 'invalid_request')).to.equal(true);
    });
  });
});
