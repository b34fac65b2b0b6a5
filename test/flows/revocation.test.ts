import { expect } from 'chai';
import { decodeJwt } from 'jose';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { basic, Cluster, post, RESOURCE, type SeededClient, token } from '../support/nodes.js';
import { auditRows, lastAuditId } from '../support/tables.js';

const OPAQUE = 'https://api.example.test/opaque';

describe('revocation (RFC 7009)', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let nodes: readonly RunningServer[];
    let node: RunningServer;
    let client: SeededClient;
    let stranger: SeededClient;

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      nodes = [await cluster.start(), await cluster.start()];
      [node] = nodes as [RunningServer];
      await cluster.resourceServer();
      await cluster.resourceServer({ identifier: OPAQUE, scopes: ['o.read'], accessTokenFormat: 'opaque' });
      const resources = [
        { identifier: RESOURCE, scopes: ['orders.read'], isDefault: true },
        { identifier: OPAQUE, scopes: ['o.read'] },
      ];
      [client, stranger] = [await cluster.client({ resources }), await cluster.client({ resources })];
    });

    after(() => cluster.close());

    async function isActive(value: string, on = node): Promise<unknown> {
      return (await post(on, '/oauth2/introspect', { token: value }, basic(client))).json.active;
    }

    for (const resource of [RESOURCE, OPAQUE]) {
      describe(`of a token for ${resource}`, () => {
        it('ends the token on every node at once, and again is the same as once (§2.2)', async () => {
          const value = await token(node, client, { resource });
          for (const asked of nodes) expect(await isActive(value, asked)).to.equal(true);
          for (let time = 0; time < 2; time += 1) {
            const answer = await post(node, '/oauth2/revoke', { token: value }, basic(client));
            expect([answer.status, answer.text]).to.deep.equal([200, '']);
            expect(answer.headers.get('cache-control')).to.equal('no-store');
            for (const asked of nodes) expect(await isActive(value, asked)).to.equal(false);
          }
        });

        it('leaves the client’s other tokens alive', async () => {
          const [one, two] = [
            await token(node, client, { resource }),
            await token(node, client, { resource }),
          ];
          await post(node, '/oauth2/revoke', { token: one }, basic(client));
          expect(await isActive(two)).to.equal(true);
        });

        it('does nothing for a client it was not issued to, and does not tell (§2.1)', async () => {
          const value = await token(node, client, { resource });
          const answer = await post(node, '/oauth2/revoke', { token: value }, basic(stranger));
          expect([answer.status, answer.text]).to.deep.equal([200, '']);
          expect(await isActive(value)).to.equal(true);
        });

        it('does nothing for a caller who cannot prove who it is', async () => {
          const value = await token(node, client, { resource });
          const answer = await post(
            node,
            '/oauth2/revoke',
            { token: value },
            basic({ ...client, clientSecret: stranger.clientSecret }),
          );
          expect(answer.status).to.equal(401);
          expect(await isActive(value)).to.equal(true);
        });

        it('tells the audit who revoked what, and who tried to', async () => {
          const { database } = await cluster.operator();
          const value = await token(node, client, { resource });
          const before = await lastAuditId(database);
          await post(node, '/oauth2/revoke', { token: value }, basic(stranger));
          await post(node, '/oauth2/revoke', { token: value }, basic(client));
          const rows = await auditRows(database, before);
          expect(rows.map(row => [row.event, row.outcome, row.actor])).to.deep.equal([
            ['token.revocation_refused', 'refused', `client:${stranger.clientId}`],
            ['token.revoked', 'success', `client:${client.clientId}`],
          ]);
          // An opaque token's jti is the token itself.
          expect(rows[1]?.subject).to.equal(resource === OPAQUE ? null : decodeJwt(value).jti);
          expect(JSON.stringify(rows)).to.not.include(value);
        });
      });
    }

    for (const value of ['unknown', 'a.b.c', 'eyJhbGciOiJub25lIn0.e30.', '\0', 'x'.repeat(20_000)]) {
      it(`answers 200 for ${JSON.stringify(value.slice(0, 30))}, which is nobody’s (§2.2)`, async () => {
        const answer = await post(node, '/oauth2/revoke', { token: value }, basic(client));
        expect([answer.status, answer.text]).to.deep.equal([200, '']);
      });
    }

    it('needs a token (invalid_request, §2.2.1)', async () => {
      const answer = await post(node, '/oauth2/revoke', {}, basic(client));
      expect([answer.status, answer.json.error]).to.deep.equal([400, 'invalid_request']);
    });
  });
});
