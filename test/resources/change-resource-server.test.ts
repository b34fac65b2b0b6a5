import { expect } from 'chai';
import { createClient } from '../../src/clients/change-client.js';
import { ClientStore } from '../../src/clients/client-store.js';
import {
  createResourceServer,
  deleteResourceServer,
  updateResourceServer,
} from '../../src/resources/change-resource-server.js';
import type { ResourceServerInput } from '../../src/resources/resource-server.js';
import { ResourceStore } from '../../src/resources/resource-store.js';
import { forEachDatabase } from '../support/databases.js';
import { auditedEvents, changesOf, type Opened, openedDatabase, refusalOf } from './opened-database.js';

const actor = 'os:ada@example';
const store = new ResourceStore();

function orders(more: Partial<ResourceServerInput> = {}): ResourceServerInput {
  return {
    identifier: 'https://api.example.com/orders',
    scopes: ['orders:read', 'orders:write'],
    accessTokenFor: 600,
    ...more,
  };
}

forEachDatabase((_name, fresh) => {
  describe('changing resource servers', () => {
    let node: Opened;

    beforeEach(async () => {
      node = await openedDatabase(fresh);
    });
    afterEach(async () => node.close());

    it('creates one that is found by id and by its exact identifier', async () => {
      const server = await createResourceServer(node, orders({ name: 'Orders' }), actor);
      const { reader } = node.database;
      expect(server.id).to.match(/^rs_[0-9A-Za-z]{22}$/);
      expect(await store.find(reader, server.id)).to.deep.equal(server);
      expect(await store.findByIdentifier(reader, server.identifier)).to.deep.equal(server);
      expect(await store.findByIdentifier(reader, `${server.identifier}/`)).to.equal(undefined);
      expect(await store.list(reader)).to.deep.equal([server]);
      expect(await changesOf(node.database)).to.deep.equal([`resource_server ${server.id}`]);
      expect(await auditedEvents(node.database)).to.deep.equal([`resource_server.created ${server.id}`]);
    });

    it('finds nothing, without failing, by a text that no row can hold', async () => {
      for (const text of ['', '\0', 'rs_\0', 'x'.repeat(100_000), "' or 1=1 --"]) {
        expect(await store.find(node.database.reader, text)).to.equal(undefined);
        expect(await store.findByIdentifier(node.database.reader, text)).to.equal(undefined);
        expect((await refusalOf(updateResourceServer(node, { resource: text }, actor))).code).to.equal(
          'not_found',
        );
      }
    });

    it('refuses a second one with the same identifier and writes nothing of it', async () => {
      await createResourceServer(node, orders(), actor);
      const refusal = await refusalOf(createResourceServer(node, orders({ name: 'Again' }), actor));
      expect(refusal.code).to.equal('already_exists');
      expect(await store.list(node.database.reader)).to.have.length(1);
      expect(await auditedEvents(node.database)).to.have.length(1);
      expect(await changesOf(node.database)).to.have.length(1);
    });

    it('lets one of many nodes create an identifier at the same instant; the others get already_exists', async () => {
      const nodes = [node, node.another(), node.another()];
      for (let round = 0; round < 10; round += 1) {
        const input = orders({ identifier: `https://api.example.com/${round}` });
        const outcomes = await Promise.all(
          [...nodes, ...nodes].map(each =>
            createResourceServer(each, input, actor).then(
              () => 'created',
              error => error.code as string,
            ),
          ),
        );
        expect(outcomes.filter(outcome => outcome === 'created')).to.have.length(1);
        expect(outcomes.filter(outcome => outcome === 'already_exists')).to.have.length(5);
      }
      expect(await store.list(node.database.reader)).to.have.length(10);
      expect(await auditedEvents(node.database)).to.have.length(10);
    });

    it('loses none of two updates of different fields at the same instant', async () => {
      const { id } = await createResourceServer(node, orders(), actor);
      const other = node.another();
      for (let round = 1; round <= 10; round += 1) {
        await Promise.all([
          updateResourceServer(node, { resource: id, name: `Orders ${round}` }, actor),
          updateResourceServer(other, { resource: id, accessTokenFor: 60 + round }, actor),
        ]);
        const server = await store.find(node.database.reader, id);
        expect(server).to.include({ name: `Orders ${round}`, accessTokenFor: 60 + round });
      }
    });

    it('updates what is given, keeps the rest, and says nothing of an update that changes nothing', async () => {
      const before = await createResourceServer(node, orders(), actor);
      node.moveBy(10);
      const same = await updateResourceServer(
        node,
        { resource: before.identifier, accessTokenFor: 600 },
        actor,
      );
      expect(same).to.deep.equal(before);
      const after = await updateResourceServer(
        node,
        { resource: before.id, accessTokenFormat: 'opaque' },
        actor,
      );
      expect(after).to.deep.equal({ ...before, accessTokenFormat: 'opaque', updatedAt: after.updatedAt });
      expect(after.updatedAt).to.be.at.least(before.updatedAt + 10_000);
      expect(await store.find(node.database.reader, before.id)).to.deep.equal(after);
      expect(await auditedEvents(node.database)).to.have.length(2);
      const refusal = await refusalOf(
        updateResourceServer(node, { resource: before.id, scopes: ['openid'] }, actor),
      );
      expect(refusal.faults.map(({ at }) => at)).to.deep.equal(['scopes[0]']);
    });

    it('keeps the words for a scope, in each language, until the scope goes', async () => {
      const scopeDescriptions = {
        'orders:read': { en: 'Read your orders', de: 'Ihre Bestellungen lesen' },
        'orders:write': { en: 'Order for you' },
      };
      const server = await createResourceServer(node, orders({ scopeDescriptions }), actor);
      expect(server.scopeDescriptions).to.deep.equal(scopeDescriptions);
      expect(await store.find(node.database.reader, server.id)).to.deep.equal(server);
      const less = await updateResourceServer(node, { resource: server.id, scopes: ['orders:read'] }, actor);
      expect(less.scopeDescriptions).to.deep.equal({ 'orders:read': scopeDescriptions['orders:read'] });
      const row = await node.database.reader('audit_events').orderBy('id', 'desc').first();
      expect(JSON.parse(row.detail).changed).to.have.members(['scopes', 'scope_descriptions']);
      expect(await store.find(node.database.reader, server.id)).to.deep.equal(less);
    });

    it('takes a removed scope from every client that holds it, in the same transaction', async () => {
      const server = await createResourceServer(node, orders(), actor);
      const { identifier } = server;
      const grant = async (scopes: string[], defaultScopes = scopes) =>
        (await createClient(node, { name: 'c', resources: [{ identifier, scopes, defaultScopes }] }, actor))
          .client;
      const both = await grant(['orders:read', 'orders:write'], ['orders:write']);
      const alike = await grant(['orders:read', 'orders:write'], ['orders:write']);
      const reads = await grant(['orders:read']);
      const [changes, events] = [await changesOf(node.database), await auditedEvents(node.database)];
      node.moveBy(10);

      await updateResourceServer(node, { resource: server.id, scopes: ['orders:read'] }, actor);

      const clients = new ClientStore();
      for (const { clientId, updatedAt } of [both, alike]) {
        const client = await clients.find(node.database.reader, clientId);
        expect(client?.resources[0]).to.deep.include({ scopes: ['orders:read'], defaultScopes: [] });
        expect(client?.updatedAt).to.be.greaterThan(updatedAt);
      }
      expect(await clients.find(node.database.reader, reads.clientId)).to.deep.equal(reads);
      expect((await changesOf(node.database)).slice(changes.length)).to.have.members([
        `client ${both.clientId}`,
        `client ${alike.clientId}`,
        `resource_server ${server.id}`,
      ]);
      expect((await auditedEvents(node.database)).slice(events.length)).to.have.members([
        `resource_server.updated ${server.id}`,
        `client.updated ${both.clientId}`,
        `client.updated ${alike.clientId}`,
      ]);
    });

    it('leaves no client with a scope that is removed at the instant it is granted', async () => {
      const { id, identifier } = await createResourceServer(node, orders(), actor);
      const other = node.another();
      for (let round = 0; round < 10; round += 1) {
        await updateResourceServer(node, { resource: id, scopes: ['orders:read', 'orders:write'] }, actor);
        await Promise.allSettled([
          updateResourceServer(node, { resource: id, scopes: ['orders:read'] }, actor),
          createClient(other, { name: 'c', resources: [{ identifier, scopes: ['orders:write'] }] }, actor),
        ]);
        for (const client of await new ClientStore().list(node.database.reader, { limit: 1000 })) {
          expect(client.resources[0]?.scopes).to.not.include('orders:write');
        }
      }
    });

    it('deletes one that clients use only with force, and takes it from them', async () => {
      const server = await createResourceServer(node, orders(), actor);
      const resources = [{ identifier: server.identifier, scopes: ['orders:read'] }];
      const { client } = await createClient(node, { name: 'c', resources }, actor);
      const refusal = await refusalOf(deleteResourceServer(node, { resource: server.id }, actor));
      expect(refusal.code).to.equal('conflict');
      expect(await store.find(node.database.reader, server.id)).to.deep.equal(server);

      await deleteResourceServer(node, { resource: server.id, force: true }, actor);
      expect(await store.find(node.database.reader, server.id)).to.equal(undefined);
      const after = await new ClientStore().find(node.database.reader, client.clientId);
      expect(after?.resources).to.deep.equal([]);
      expect((await changesOf(node.database)).slice(-2)).to.deep.equal([
        `client ${client.clientId}`,
        `resource_server ${server.id}`,
      ]);
      expect((await auditedEvents(node.database)).slice(-2)).to.deep.equal([
        `resource_server.deleted ${server.id}`,
        `client.updated ${client.clientId}`,
      ]);
      expect((await refusalOf(deleteResourceServer(node, { resource: server.id }, actor))).code).to.equal(
        'not_found',
      );
    });

    it('changes thousands of clients in one step', async () => {
      const { id, identifier } = await createResourceServer(node, orders(), actor);
      const { client } = await createClient(
        node,
        { name: 'c', resources: [{ identifier, scopes: ['orders:write'] }] },
        actor,
      );
      const clients = Array.from({ length: 3000 }, (_, index) => ({
        ...client,
        clientId: `cl_${String(index).padStart(22, '0')}`,
        secrets: [],
      }));
      await node.database.transaction(trx => new ClientStore().insertMany(trx, clients));
      await updateResourceServer(node, { resource: id, scopes: [] }, actor);
      const changes = await changesOf(node.database);
      expect(changes.filter(change => change.startsWith('client '))).to.have.length(1 + 3001);
      const sequence = await node.database.reader('change_sequence').first();
      expect(Number(sequence?.value)).to.equal(changes.length);
    });
  });
});
