import { expect } from 'chai';
import { createClient, type SecretChangeContext } from '../../src/clients/change-client.js';
import { addClientSecret, revokeClientSecret } from '../../src/clients/change-client-secret.js';
import {
  type ClientSecretRecord,
  isLive,
  MOST_LIVE_SECRETS,
  matchClientSecret,
} from '../../src/clients/client-secret.js';
import { ClientStore } from '../../src/clients/client-store.js';
import { SecretStore } from '../../src/clients/secret-store.js';
import {
  auditedEvents,
  changesOf,
  type Opened,
  openedDatabase,
  refusalOf,
} from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

const actor = 'os:ada@example';
const day = 24 * 3600;
const store = new SecretStore();

forEachDatabase((_name, fresh) => {
  describe('changing client secrets', () => {
    let node: Opened;
    let clientId: string;
    let first: { id: string; clientSecret: string };

    beforeEach(async () => {
      node = await openedDatabase(fresh);
      const { client, secret } = await createClient(node, { name: 'reports', resources: [] }, actor);
      clientId = client.clientId;
      first = { id: secret?.id ?? '', clientSecret: secret?.clientSecret ?? '' };
    });
    afterEach(async () => node.close());

    const add = (
      more: { expiresIn?: number; retireOthersIn?: number } = {},
      on: SecretChangeContext = node,
    ) => addClientSecret(on, { clientId, name: 'next', ...more }, actor);
    const list = (): Promise<ClientSecretRecord[]> => store.list(node.database.reader, clientId);
    const usable = async (): Promise<readonly ClientSecretRecord[]> =>
      (await new ClientStore().find(node.database.reader, clientId))?.secrets ?? [];
    /** What opens the client now, read as the token endpoint reads it. */
    const opens = async (clientSecret: string): Promise<string | undefined> =>
      matchClientSecret(node.hasher, await usable(), clientSecret, await node.database.now())?.id;

    it('lets the old and the new secret open the client until the old one is retired', async () => {
      const { secret, retired } = await add({ retireOthersIn: day });
      expect(retired.map(({ id }) => id)).to.deep.equal([first.id]);
      expect(await opens(first.clientSecret)).to.equal(first.id);
      expect(await opens(secret.clientSecret)).to.equal(secret.id);
      node.moveBy(day + 1);
      expect(await opens(first.clientSecret)).to.equal(undefined);
      expect(await opens(secret.clientSecret)).to.equal(secret.id);
      expect(await list()).to.have.length(2);
    });

    it('never gives a retired secret a later end than it had', async () => {
      const soon = await add({ expiresIn: day });
      await add({ retireOthersIn: 30 * day });
      const ends = new Map((await list()).map(({ id, expiresAt }) => [id, expiresAt]));
      expect(ends.get(soon.secret.id)).to.equal(soon.secret.expiresAt);
      expect(ends.get(first.id as `cs_${string}`)).to.be.greaterThan(soon.secret.expiresAt ?? Infinity);
    });

    it('audits each secret that is made, that ends sooner and that is revoked, and tells the other nodes', async () => {
      const events = (await auditedEvents(node.database)).length;
      const changes = (await changesOf(node.database)).length;
      const { secret } = await add({ retireOthersIn: 0 });
      await revokeClientSecret(node, { clientId, id: secret.id }, actor);
      expect((await auditedEvents(node.database)).slice(events)).to.deep.equal([
        `client_secret.created ${secret.id}`,
        `client_secret.expires_sooner ${first.id}`,
        `client_secret.revoked ${secret.id}`,
      ]);
      expect((await changesOf(node.database)).slice(changes)).to.deep.equal([
        `client ${clientId}`,
        `client ${clientId}`,
      ]);
    });

    it('ends a revoked secret at once and keeps it listed; again is the same as once', async () => {
      const { secret } = await add();
      const revoked = await revokeClientSecret(node, { clientId, id: first.id }, actor);
      expect(revoked.revokedAt).to.be.a('number');
      expect(await opens(first.clientSecret)).to.equal(undefined);
      expect(await opens(secret.clientSecret)).to.equal(secret.id);
      expect((await usable()).map(({ id }) => id)).to.deep.equal([secret.id]);
      expect((await list()).map(({ id }) => id)).to.have.members([first.id, secret.id]);
      const events = (await auditedEvents(node.database)).length;
      node.moveBy(10);
      expect(await revokeClientSecret(node, { clientId, id: first.id }, actor)).to.deep.equal(revoked);
      expect(await auditedEvents(node.database)).to.have.length(events);
    });

    it("does not revoke another client's secret", async () => {
      const other = await createClient(node, { name: 'other', resources: [] }, actor);
      const attempt = revokeClientSecret(node, { clientId, id: other.secret?.id ?? '' }, actor);
      expect((await refusalOf(attempt)).code).to.equal('not_found');
      const [untouched] = await store.list(node.database.reader, other.client.clientId);
      expect(untouched?.revokedAt).to.equal(undefined);
    });

    it('refuses an unknown client, a nameless secret and lives out of bounds, all faults at once', async () => {
      const wrong = addClientSecret(node, { clientId, name: '', expiresIn: 59, retireOthersIn: -1 }, actor);
      expect((await refusalOf(wrong)).faults.map(({ at }) => at)).to.deep.equal([
        ...['name', 'expires_in', 'retire_others_in'],
      ]);
      const nobody = addClientSecret(node, { clientId: 'cl_nobody', name: 'x' }, actor);
      expect((await refusalOf(nobody)).code).to.equal('not_found');
      expect(await list()).to.have.length(1);
    });

    it('keeps the limit of live secrets when many nodes add at the same instant', async () => {
      const nodes = [node, node.another(), node.another()];
      const codes = await Promise.all(
        Array.from({ length: 30 }, (_, index) =>
          add({}, nodes[index % 3]).then(
            () => 'added',
            error => String(error.code),
          ),
        ),
      );
      expect(codes.filter(code => code === 'added')).to.have.length(MOST_LIVE_SECRETS - 1);
      expect(codes.filter(code => code === 'conflict')).to.have.length(30 - MOST_LIVE_SECRETS + 1);
      const now = await node.database.now();
      expect((await list()).filter(secret => isLive(secret, now))).to.have.length(MOST_LIVE_SECRETS);

      // A full client can still change over at once, and room comes back by revoking.
      const { secret } = await add({ retireOthersIn: 0 });
      expect(await opens(secret.clientSecret)).to.equal(secret.id);
      expect(await opens(first.clientSecret)).to.equal(undefined);
    });

    it('reads every live secret of a client with years of expired ones, and not those years', async () => {
      for (let month = 0; month < 40; month += 1) {
        await add({ expiresIn: 60 });
        node.moveBy(61);
      }
      const secrets = await usable();
      expect(secrets).to.have.length(MOST_LIVE_SECRETS);
      expect(secrets[0]?.id).to.equal(first.id);
      expect(await opens(first.clientSecret)).to.equal(first.id);
    });

    it('records the last use of a secret and never moves it back', async () => {
      const record = (at: number) =>
        node.database.transaction(trx => store.recordUses(trx, new Map([[first.id, at]])));
      await record(2000);
      await record(1000);
      expect((await list())[0]?.lastUsedAt).to.equal(2000);
      await record(3000);
      expect((await list())[0]?.lastUsedAt).to.equal(3000);
    });

    it('forgets secrets that ended long ago and no others', async () => {
      const { secret: expired } = await add({ expiresIn: 60 });
      const { secret: revoked } = await add();
      await revokeClientSecret(node, { clientId, id: revoked.id }, actor);
      node.moveBy(90 * day);
      const { secret: fresh } = await add({ expiresIn: 60 });
      const now = await node.database.now();
      expect(await node.database.transaction(trx => store.sweep(trx, now - 30 * day * 1000))).to.equal(2);
      expect((await list()).map(({ id }) => id)).to.have.members([first.id, fresh.id]);
      expect([expired.id, revoked.id]).to.not.include(fresh.id);
    });
  });
});
