import { expect } from 'chai';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { updateClient } from '../../src/clients/change-client.js';
import { deleteResourceServer, updateResourceServer } from '../../src/resources/change-resource-server.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { basic, Cluster, OPERATOR, post, RESOURCE, type SeededClient } from '../support/nodes.js';

const FORM = { grant_type: 'client_credentials' };

describe('a change takes effect on the tokens issued from that moment, on every node', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let nodes: readonly RunningServer[];
    let client: SeededClient;

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      // Without timers: what a node learns of a change it learns from the commit, at once.
      for (let count = 0; count < 3; count += 1) await cluster.start({ hasTimers: false });
      nodes = [...cluster.nodes];
      await cluster.resourceServer({ scopes: ['orders.read', 'orders.write'] });
      client = await cluster.client();
    });

    after(() => cluster.close());

    function askAll(form: Record<string, string> = {}, as = client) {
      return Promise.all(nodes.map(node => post(node, '/oauth2/token', { ...FORM, ...form }, basic(as))));
    }

    async function expectScopes(scope: string): Promise<void> {
      for (const answer of await askAll()) expect(answer.json.scope).to.equal(scope);
    }

    it('of a client’s scopes', async () => {
      await expectScopes('orders.read orders.write');
      const operator = await cluster.operator();
      const { clientId } = client;
      await updateClient(
        operator,
        { clientId, resources: [{ identifier: RESOURCE, scopes: ['orders.read'] }] },
        OPERATOR,
      );
      await expectScopes('orders.read');
      for (const { json } of await askAll({ scope: 'orders.write' }))
        expect(json.error).to.equal('invalid_scope');
      await updateClient(
        operator,
        { clientId, resources: [{ identifier: RESOURCE, scopes: ['orders.read', 'orders.write'] }] },
        OPERATOR,
      );
      await expectScopes('orders.read orders.write');
    });

    it('of a resource server’s lifetime, scopes, algorithm and format', async () => {
      const operator = await cluster.operator();
      await updateResourceServer(operator, { resource: RESOURCE, accessTokenFor: 120 }, OPERATOR);
      for (const { json } of await askAll()) expect(json.expires_in).to.equal(120);
      await updateResourceServer(operator, { resource: RESOURCE, alg: 'RS256' }, OPERATOR);
      for (const { json } of await askAll())
        expect(decodeProtectedHeader(String(json.access_token)).alg).to.equal('RS256');
      await updateResourceServer(operator, { resource: RESOURCE, accessTokenFormat: 'opaque' }, OPERATOR);
      for (const { json } of await askAll()) expect(json.access_token).to.not.include('.');
      await updateResourceServer(
        operator,
        { resource: RESOURCE, accessTokenFormat: 'jwt', alg: 'ES256', scopes: ['orders.read'] },
        OPERATOR,
      );
      for (const { json } of await askAll()) {
        expect(json.scope).to.equal('orders.read');
        expect(decodeJwt(String(json.access_token)).scope).to.equal('orders.read');
      }
    });

    it('of a client’s authentication method', async () => {
      const operator = await cluster.operator();
      const other = await cluster.client({ resources: [{ identifier: RESOURCE, scopes: ['orders.read'] }] });
      for (const { status } of await askAll({}, other)) expect(status).to.equal(200);
      await updateClient(operator, { clientId: other.clientId, authMethod: 'client_secret_post' }, OPERATOR);
      for (const { status } of await askAll({}, other)) expect(status).to.equal(401);
    });

    it('of a resource server that is deleted', async () => {
      await deleteResourceServer(await cluster.operator(), { resource: RESOURCE, force: true }, OPERATOR);
      for (const { json } of await askAll()) expect(json.error).to.equal('invalid_target');
      for (const { json } of await askAll({ resource: RESOURCE }))
        expect(json.error).to.equal('invalid_target');
    });
  });
});
