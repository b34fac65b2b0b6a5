import { expect } from 'chai';
import type { CreatedClient, NewClientInput } from '../../src/clients/change-client.js';
import {
  createClient,
  deleteClient,
  disableClient,
  enableClient,
  updateClient,
} from '../../src/clients/change-client.js';
import type { ClientRecord } from '../../src/clients/client.js';
import { matchClientSecret } from '../../src/clients/client-secret.js';
import { ClientStore } from '../../src/clients/client-store.js';
import { RevokedTokenStore } from '../../src/clients/revoked-token-store.js';
import { SecretStore } from '../../src/clients/secret-store.js';
import { isClientId } from '../../src/crypto/random-id.js';
import { createResourceServer } from '../../src/resources/change-resource-server.js';
import {
  auditedEvents,
  changesOf,
  type Opened,
  openedDatabase,
  refusalOf,
} from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { everyCell } from './every-cell.js';

const actor = 'os:ada@example';
const orders = { identifier: 'https://api.example.com/orders', scopes: ['read', 'write'] };
const stock = { identifier: 'https://api.example.com/stock', scopes: ['count'] };
const store = new ClientStore();
const revokedTokens = new RevokedTokenStore();

forEachDatabase((_name, fresh) => {
  describe('changing clients', () => {
    let node: Opened;

    beforeEach(async () => {
      node = await openedDatabase(fresh);
      for (const input of [orders, stock])
        await createResourceServer(node, { ...input, accessTokenFor: 600 }, actor);
    });
    afterEach(async () => node.close());

    const create = (more: Partial<NewClientInput> = {}): Promise<CreatedClient> =>
      createClient(node, { name: 'reports', resources: [orders], ...more }, actor);
    const stored = (clientId: string): Promise<ClientRecord | undefined> =>
      store.find(node.database.reader, clientId);
    const newEvents = async (before: number) => (await auditedEvents(node.database)).slice(before);

    it('creates one that is read back whole, with a secret that opens it', async () => {
      const { client, secret } = await create({ resources: [{ ...orders, isDefault: true }, stock] });
      expect(isClientId(client.clientId)).to.equal(true);
      expect(await stored(client.clientId)).to.deep.equal(client);
      const now = await node.database.now();
      const match = matchClientSecret(node.hasher, client.secrets, secret?.clientSecret ?? '', now);
      expect(match?.id).to.equal(secret?.id);
      expect(match).to.include({ createdBy: actor, name: 'initial', expiresAt: undefined });
      expect((await changesOf(node.database)).at(-1)).to.equal(`client ${client.clientId}`);
      expect((await auditedEvents(node.database)).at(-1)).to.equal(`client.created ${client.clientId}`);
    });

    it('writes nothing of a client that is refused', async () => {
      const before = await everyCell(node.database);
      const refused = [
        { name: '' },
        { resources: [{ ...orders, scopes: ['count'] }] },
        { secret: { expiresIn: 1 } },
      ];
      for (const more of refused) expect((await refusalOf(create(more))).code).to.equal('invalid_request');
      expect(await everyCell(node.database)).to.deep.equal(before);
    });

    it('stores no issued secret in any readable form: hashes only (requirement 32)', async () => {
      const issued: string[] = [];
      for (let index = 0; index < 20; index += 1) issued.push((await create()).secret?.clientSecret ?? '');
      const dump = (await everyCell(node.database)).join('\n');
      for (const secret of issued) {
        expect(secret).to.match(/^cvg_cs_/);
        const random = secret.slice('cvg_cs_'.length);
        for (const form of [
          random,
          random.slice(0, 20),
          Buffer.from(secret).toString('base64').slice(0, 40),
        ]) {
          expect(dump).to.not.include(form);
        }
        // The search can find: the hash is there.
        expect(dump).to.include(node.hasher.hash(secret));
      }
    });

    it('reads a client in two queries, however many resource servers and secrets it has', async () => {
      const { client } = await create({ resources: [orders, stock] });
      let queries = 0;
      const count = () => {
        queries += 1;
      };
      node.database.reader.on('query', count);
      await stored(client.clientId);
      expect(queries).to.equal(2);
      for (const malformed of ['', 'cl_', '\0', `${client.clientId}x`, "cl_' or 1=1 --"]) {
        expect(await stored(malformed)).to.equal(undefined);
      }
      expect(queries).to.equal(2);
    });

    it('updates what is given and keeps the rest, its secrets too', async () => {
      const { client } = await create();
      node.moveBy(10);
      const renamed = await updateClient(node, { clientId: client.clientId, name: 'renamed' }, actor);
      expect(renamed).to.deep.equal({ ...client, name: 'renamed', updatedAt: renamed.updatedAt });
      expect(renamed.updatedAt).to.be.greaterThan(client.updatedAt);
      const moved = await updateClient(node, { clientId: client.clientId, resources: [stock] }, actor);
      expect(moved.resources.map(({ identifier }) => identifier)).to.deep.equal([stock.identifier]);
      expect(await stored(client.clientId)).to.deep.equal(moved);
      const events = (await auditedEvents(node.database)).length;
      expect(await updateClient(node, { clientId: client.clientId, name: 'renamed' }, actor)).to.deep.equal(
        moved,
      );
      expect(await newEvents(events)).to.deep.equal([]);
      const unknown = updateClient(node, { clientId: 'cl_nobody', name: 'x' }, actor);
      expect((await refusalOf(unknown)).code).to.equal('not_found');
    });

    it('loses none of two updates of different fields at the same instant', async () => {
      const { client } = await create();
      const other = node.another();
      for (let round = 0; round < 10; round += 1) {
        const scopes = round % 2 === 0 ? ['read'] : ['write'];
        await Promise.all([
          updateClient(node, { clientId: client.clientId, name: `round ${round}` }, actor),
          updateClient(other, { clientId: client.clientId, resources: [{ ...orders, scopes }] }, actor),
        ]);
        const after = await stored(client.clientId);
        expect(after?.name).to.equal(`round ${round}`);
        expect(after?.resources[0]?.scopes).to.deep.equal(scopes);
      }
    });

    it('keeps tokens from before a client was disabled inactive, also after it is enabled (requirement 39)', async () => {
      const { client } = await create();
      const { clientId } = client;
      const isRevoked = (at: number) =>
        revokedTokens.isRevoked(node.database.reader, { jti: 'x', clientId, iat: Math.floor(at / 1000) });
      const issuedAt = await node.database.now();
      expect(await isRevoked(issuedAt)).to.equal(false);
      node.moveBy(5);
      const before = (await auditedEvents(node.database)).length;
      const disabled = await disableClient(node, { clientId }, actor);
      expect(disabled.disabledAt).to.be.at.least(issuedAt + 5000);
      expect(await stored(clientId)).to.deep.equal(disabled);
      expect(await isRevoked(issuedAt)).to.equal(true);
      node.moveBy(5);
      expect(await disableClient(node, { clientId }, actor)).to.deep.equal(disabled);

      const enabled = await enableClient(node, { clientId }, actor);
      expect(enabled.disabledAt).to.equal(undefined);
      expect(await stored(clientId)).to.deep.equal(enabled);
      expect(await isRevoked(issuedAt)).to.equal(true);
      expect(await isRevoked(await node.database.now())).to.equal(false);
      expect(await newEvents(before)).to.deep.equal([
        `client.disabled ${clientId}`,
        `client.enabled ${clientId}`,
      ]);
      expect((await changesOf(node.database)).slice(-2)).to.deep.equal([
        `client ${clientId}`,
        `client ${clientId}`,
      ]);

      // Disabled once more, the tokens of the time in between go too.
      const between = await node.database.now();
      node.moveBy(5);
      await disableClient(node, { clientId }, actor);
      expect(await isRevoked(between)).to.equal(true);
    });

    it('keeps the revocation until the last token that the client can hold has expired', async () => {
      const { client } = await create();
      await deleteClient(node, { clientId: client.clientId }, actor);
      const issuedAt = Math.floor((await node.database.now()) / 1000);
      const facts = { jti: 'x', clientId: client.clientId, iat: issuedAt - 1 };
      const sweep = () =>
        node.database.transaction(async trx => revokedTokens.sweep(trx, await node.database.now(trx)));
      // A grant of before could be refreshed for up to a year.
      node.moveBy(400 * 86_400 - 1);
      expect(await sweep()).to.equal(0);
      expect(await revokedTokens.isRevoked(node.database.reader, facts)).to.equal(true);
      node.moveBy(2);
      expect(await sweep()).to.equal(1);
    });

    it('deletes a client with its secrets and what it may do; its tokens become inactive (requirement 39)', async () => {
      const { client } = await create();
      const { clientId } = client;
      const before = (await auditedEvents(node.database)).length;
      await deleteClient(node, { clientId }, actor);
      const { reader } = node.database;
      expect(await stored(clientId)).to.equal(undefined);
      expect(await new SecretStore().list(reader, clientId)).to.deep.equal([]);
      expect(await reader('client_resources')).to.deep.equal([]);
      const iat = Math.floor(client.createdAt / 1000);
      expect(await revokedTokens.isRevoked(reader, { jti: 'x', clientId, iat })).to.equal(true);
      expect(await newEvents(before)).to.deep.equal([`client.deleted ${clientId}`]);
      expect((await changesOf(node.database)).at(-1)).to.equal(`client ${clientId}`);
      for (const change of [deleteClient, disableClient, enableClient]) {
        expect((await refusalOf(change(node, { clientId }, actor))).code).to.equal('not_found');
      }
    });

    it('seeds 10 000 clients in a few statements and lists them by pages, each once', async () => {
      const { client } = await create();
      const clients = Array.from({ length: 10_000 }, (_, index) => {
        const clientId = `cl_${String(index).padStart(22, '0')}`;
        const secrets = client.secrets.map(secret => ({ ...secret, clientId, id: `cs_${index}` as const }));
        return { ...client, clientId, secrets };
      });
      await node.database.transaction(trx => store.insertMany(trx, clients));
      const seen: ClientRecord[] = [];
      for (;;) {
        const page = await store.list(node.database.reader, { limit: 1000, after: seen.at(-1)?.clientId });
        if (page.length === 0) break;
        seen.push(...page);
      }
      expect(seen).to.have.length(10_001);
      expect(seen.find(({ clientId }) => clientId === clients[4711]?.clientId)).to.deep.equal(clients[4711]);
      expect(new Set(seen.map(({ clientId }) => clientId)).size).to.equal(10_001);
    });
  });
});
