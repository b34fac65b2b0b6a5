import { expect } from 'chai';
import { deleteClient, disableClient, enableClient } from '../../src/clients/change-client.js';
import { revokeClientSecret } from '../../src/clients/change-client-secret.js';
import { ClientStore } from '../../src/clients/client-store.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { startLoad } from '../support/load.js';
import { basic, Cluster, OPERATOR, post, type SeededClient, token, urlOf } from '../support/nodes.js';

const FORM = { grant_type: 'client_credentials' };

describe('a client that is disabled, deleted or has lost its secret (requirement 39)', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let nodes: readonly RunningServer[];

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      // Nothing happens by itself: what these nodes know of a change they know from the commit alone.
      for (let count = 0; count < 3; count += 1) await cluster.start({ hasTimers: false });
      nodes = [...cluster.nodes];
      await cluster.resourceServer();
    });

    after(() => cluster.close());

    async function revokeSecret(client: SeededClient): Promise<void> {
      const operator = await cluster.operator();
      const record = await new ClientStore().find(operator.database.reader, client.clientId);
      const id = record?.secrets[0]?.id ?? 'none';
      await revokeClientSecret(operator, { clientId: client.clientId, id }, OPERATOR);
    }

    const ENDS: readonly (readonly [what: string, end: (client: SeededClient) => Promise<unknown>])[] = [
      ['disabled', async client => disableClient(await cluster.operator(), client, OPERATOR)],
      ['deleted', async client => deleteClient(await cluster.operator(), client, OPERATOR)],
      ['without its secret', revokeSecret],
    ];

    for (const [what, end] of ENDS) {
      it(`gets no token on any of three nodes from the moment it is ${what}, although they hold it in memory`, async () => {
        const client = await cluster.client();
        for (const node of nodes) await token(node, client);
        await end(client);
        for (const node of nodes) {
          const answer = await post(node, '/oauth2/token', FORM, basic(client));
          expect([answer.status, answer.json.error]).to.deep.equal([401, 'invalid_client']);
        }
      });

      it(`may not introspect or revoke from the moment it is ${what}`, async () => {
        const client = await cluster.client();
        const value = await token(nodes[0] as RunningServer, client);
        for (const node of nodes) await post(node, '/oauth2/introspect', { token: value }, basic(client));
        await end(client);
        for (const node of nodes) {
          for (const path of ['/oauth2/introspect', '/oauth2/revoke']) {
            const answer = await post(node, path, { token: value }, basic(client));
            expect([answer.status, answer.json.error]).to.deep.equal([401, 'invalid_client']);
          }
        }
      });

      it(`gets no token by asking at the very moment it is ${what}, under load on three nodes`, async function () {
        this.timeout(60_000);
        const client = await cluster.client();
        for (const node of nodes) await token(node, client);
        // Requests sent after the operator has been told "done".
        let isDone = false;
        const late: number[] = [];
        let early = 0;
        const load = startLoad({
          connections: 12,
          next: count => ({
            url: urlOf(nodes[count % nodes.length] as RunningServer, '/oauth2/token'),
            method: 'POST',
            headers: {
              'content-type': 'application/x-www-form-urlencoded',
              ...basic(client),
              'x-late': String(isDone),
            },
            body: 'grant_type=client_credentials',
          }),
          onResponse: (response, sent) => {
            if (sent.headers?.['x-late'] === 'true') late.push(response.status);
            else if (response.status === 200) early += 1;
          },
        });
        while (early < 50) await new Promise(setImmediate);
        await end(client);
        isDone = true;
        while (late.length < 200) await new Promise(setImmediate);
        await load.stop();
        expect(early, 'it did get tokens before').to.be.at.least(50);
        expect(new Set(late)).to.deep.equal(new Set([401]));
      });
    }

    it('gets tokens again when it is enabled, at once on every node', async () => {
      const client = await cluster.client();
      const operator = await cluster.operator();
      await disableClient(operator, client, OPERATOR);
      for (const node of nodes)
        expect((await post(node, '/oauth2/token', FORM, basic(client))).status).to.equal(401);
      await enableClient(operator, client, OPERATOR);
      for (const node of nodes) await token(node, client);
    });
  });
});
