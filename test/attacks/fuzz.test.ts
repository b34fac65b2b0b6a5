import { Agent } from 'node:http';
import { expect } from 'chai';
import fc from 'fast-check';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { send } from '../support/load.js';
import { basic, Cluster, RESOURCE, type SeededClient, token, urlOf } from '../support/nodes.js';
import { rounds } from '../support/rounds.js';
import { rowCounts } from '../support/tables.js';

const ENDPOINTS = ['/oauth2/token', '/oauth2/introspect', '/oauth2/revoke'] as const;

/** Names the server knows, names that JavaScript knows, and names that nobody knows. */
const name = fc.oneof(
  fc.constantFrom(
    ...['grant_type', 'scope', 'resource', 'client_id', 'client_secret', 'token', 'token_type_hint'],
    ...['client_assertion', 'client_assertion_type', 'authorization_details', 'code', 'refresh_token'],
    ...[
      'assertion',
      'subject_token',
      'audience',
      'claims',
      'request',
      '__proto__',
      'constructor',
      'toString',
    ],
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

function valueFor(client: SeededClient, jwt: string): fc.Arbitrary<string> {
  const known = [
    ...['client_credentials', 'authorization_code', 'refresh_token', 'password', 'implicit'],
    ...['orders.read', 'orders.read orders.write', 'openid', RESOURCE, `${RESOURCE}#x`, 'urn:x', 'null'],
    ...['%', '%00', '\0', '\ud800', '{"a":1}', '[]', '__proto__', 'eyJhbGciOiJub25lIn0.e30.', `${jwt}x`],
    ...[client.clientId, client.clientSecret, jwt, jwt.slice(0, -1), jwt.split('.').slice(0, 2).join('.')],
  ];
  return fc.oneof(
    fc.constantFrom(...known),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.json({ maxDepth: 3 }),
    fc.webUrl({ withFragments: true, withQueryParameters: true }),
    fc.base64String({ maxLength: 400 }),
  );
}

function encoded(pairs: readonly (readonly [string, string])[]): string {
  return new URLSearchParams(pairs.map(([key, value]) => [key, value])).toString();
}

describe('the endpoints under random requests', () => {
  forEachDatabase((_name, fresh) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    let cluster: Cluster;
    let node: RunningServer;
    let client: SeededClient;
    let jwt: string;

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      node = await cluster.start();
      await cluster.resourceServer();
      client = await cluster.client();
      jwt = await token(node, client);
    });

    after(async () => {
      agent.destroy();
      await cluster.close();
    });

    for (const endpoint of ENDPOINTS) {
      it(`${endpoint} never answers 5xx and never stores half a thing`, async function () {
        this.timeout(120_000);
        const { database } = await cluster.operator();
        const before = await rowCounts(database);
        const pairs = fc.array(fc.tuple(name, valueFor(client, jwt)), { maxLength: 8 });
        const authorization = fc.oneof(
          { weight: 5, arbitrary: fc.constant(basic(client).authorization ?? '') },
          { weight: 1, arbitrary: fc.constant('') },
          { weight: 1, arbitrary: fc.base64String({ maxLength: 100 }).map(text => `Basic ${text}`) },
          {
            weight: 1,
            arbitrary: fc.string({ maxLength: 60 }).map(text => text.replace(/[^\x20-\x7e]/g, '')),
          },
        );
        const type = fc.oneof(
          { weight: 8, arbitrary: fc.constant('application/x-www-form-urlencoded') },
          {
            weight: 1,
            arbitrary: fc.constantFrom('application/json', '', 'text/plain', ';;', 'x/y; charset=\t'),
          },
        );
        const dpop = fc.oneof(
          { weight: 6, arbitrary: fc.constant(undefined) },
          { weight: 1, arbitrary: fc.constantFrom(jwt, 'a.b.c', 'x') },
        );
        const body = fc.oneof(
          { weight: 4, arbitrary: pairs.map(encoded) },
          { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
        );
        // Most requests should come further than the first check.
        const start = fc.constantFrom('', 'grant_type=client_credentials&', `token=${jwt}&`, 'token=x&');
        const request = fc.record({ start, body, authorization, type, dpop });
        await fc.assert(
          fc.asyncProperty(request, async sent => {
            const answer = await send(agent, {
              url: urlOf(node, endpoint),
              method: 'POST',
              body: sent.start + sent.body,
              headers: {
                ...(sent.authorization === '' ? {} : { authorization: sent.authorization }),
                ...(sent.type === '' ? {} : { 'content-type': sent.type }),
                ...(sent.dpop === undefined ? {} : { dpop: sent.dpop }),
              },
            });
            expect(answer.status).to.be.within(200, 499);
            expect(answer.headers['cache-control']).to.equal('no-store');
            if (answer.status >= 400) {
              const { error } = JSON.parse(answer.body) as { error?: unknown };
              expect(error).to.match(/^[a-z_]+$/);
            }
            expect(answer.body).to.not.match(/node_modules|\/src\/|Error:/);
          }),
          { numRuns: rounds(400, 20_000) },
        );
        const after = await rowCounts(database);
        // A revoked token is meant to be remembered; the jwt itself can be among what was revoked.
        expect(after.revoked_tokens).to.be.at.most(Number(before.revoked_tokens) + 1);
        expect({ ...after, revoked_tokens: 0 }).to.deep.equal({ ...before, revoked_tokens: 0 });
      });
    }
  });
});
