import { expect } from 'chai';
import { Alerts } from '../../src/alerts/alerts.js';
import { disableClient } from '../../src/clients/change-client.js';
import { type Database, openDatabase } from '../../src/database/connect.js';
import { Outbox } from '../../src/delivery/outbox.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { assertInvariants } from '../../src/keys/key-state.js';
import { readRing } from '../../src/keys/key-store.js';
import { advanceRing, type RotationContext, revokeSigningKey, rotateNow } from '../../src/keys/rotate.js';
import { ringCompanions } from '../../src/oidc/ring-companions.js';
import { forEachDatabase } from '../support/databases.js';
import { Cluster, OPERATOR, type SeededClient } from '../support/nodes.js';
import { auditRows, lastAuditId } from '../support/tables.js';

const OPERATORS = 3;

describe('operators who revoke at the same instant', function () {
  this.timeout(60_000);
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let databases: Database[];
    let clients: SeededClient[];
    let contextOf: (operator: number) => RotationContext;

    before(async () => {
      const { url } = await fresh();
      cluster = new Cluster({ url });
      const { keys, config } = await cluster.operator();
      const policy = { ...deriveKeyPolicy(cluster.config), algorithms: ['ES256' as const] };
      databases = Array.from({ length: OPERATORS }, () => openDatabase({ url }));
      contextOf = operator => {
        const database = databases[operator] as Database;
        const nodeId = `operator-${operator}`;
        const alerts = new Alerts({ database, nodeId, outbox: new Outbox(keys.accountEnvelope), config });
        const companions = ringCompanions({ database, nodeId, config, alerts });
        return { database, policy, envelope: keys.signingKeyEnvelope, nodeId, actor: OPERATOR, companions };
      };
      await advanceRing(contextOf(0));
      await rotateNow(contextOf(0), { now: true, acceptsRisk: true });
      await cluster.resourceServer();
      clients = await Promise.all(Array.from({ length: 3 }, () => cluster.client()));
    });
    after(async () => {
      await Promise.all(databases.map(database => database.close()));
      await cluster.close();
    });

    it('a key of every state each, while keys rotate and clients are disabled: each is revoked once, and another signs', async () => {
      const { database, nodeId } = await cluster.operator();
      const before = await database.read(readRing);
      expect(before.keys.map(({ state }) => state)).to.have.members(['retained', 'active', 'announced']);
      const since = await lastAuditId(database);
      const kids = before.keys.map(({ kid }) => kid);
      const work = databases.flatMap((_, operator) => [
        ...kids.map(kid => revokeSigningKey(contextOf(operator), kid)),
        advanceRing(contextOf(operator)),
        rotateNow(contextOf(operator), { now: true, acceptsRisk: true }),
      ]);
      const disabled = clients.map(({ clientId }) =>
        disableClient({ database, nodeId }, { clientId }, OPERATOR),
      );
      await Promise.all([...work, ...disabled]);

      const after = await database.read(readRing);
      assertInvariants(after, ['ES256']);
      for (const kid of kids) {
        expect(after.keys.find(key => key.kid === kid)).to.include({
          state: 'revoked',
          sealedPrivate: undefined,
        });
      }
      expect(after.keys.filter(({ state }) => state === 'active')).to.have.length(1);
      const told = await auditRows(database, since);
      const subjectsOf = (event: string) => told.filter(row => row.event === event).map(row => row.subject);
      expect(subjectsOf('signing_key.revoked')).to.have.members(kids);
      expect(subjectsOf('alert.raised')).to.have.members(kids);
      const listed = await database.reader('revoked_tokens').where({ kind: 'kid' }).select('value');
      expect(listed.map(({ value }) => value)).to.have.members(kids);
      expect(subjectsOf('client.disabled'), 'nothing of it was given up').to.have.length(3);
    });
  });
});
