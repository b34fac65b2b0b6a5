import { expect } from 'chai';
import { readRing } from '../../src/keys/key-store.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { installMovedTime, type MovedTime } from '../support/moved-time.js';
import { basic, Cluster, get, post, RESOURCE, type SeededClient } from '../support/nodes.js';
import { auditRows, lastAuditId } from '../support/tables.js';

const ROTATE_EVERY = 30 * 86_400;

describe('alerts about signing keys', () => {
  forEachDatabase((_name, fresh) => {
    let time: MovedTime;
    let cluster: Cluster;
    let nodes: RunningServer[];
    let since = 0;

    // One ring for all: RSA keys take long to make. Each test looks at what it has caused itself.
    before(async () => {
      time = installMovedTime();
      cluster = new Cluster({
        url: (await fresh()).url,
        clock: time.clock,
        databaseClockOffset: time.databaseClockOffset,
        env: { CLAVIGER_ALERTS_MAIL_TO: 'oncall@example.com' },
      });
      nodes = [await cluster.start({ hasTimers: false }), await cluster.start({ hasTimers: false })];
    });

    beforeEach(async () => {
      since = await lastAuditId((await cluster.operator()).database);
    });

    after(async () => {
      await cluster.close();
      time.restore();
    });

    const tickAll = async () => {
      for (const node of nodes) await node.tick();
    };
    const ringNow = async () => (await cluster.operator()).database.read(readRing);
    async function raised(): Promise<{ signal: unknown; subject: string | null; by: string }[]> {
      const { database } = await cluster.operator();
      const rows = (await auditRows(database, since)).filter(({ event }) => event === 'alert.raised');
      return rows.map(({ detail, subject, node_id }) => ({ signal: detail.signal, subject, by: node_id }));
    }
    const metricsOf = async (node: RunningServer) =>
      (await fetch(`http://127.0.0.1:${node.operationsPort}/metrics`)).text();
    const readyz = async (node: RunningServer) =>
      (await get(node, '/readyz')).json as { status: string; checks: Record<string, string> };

    /** As a disk or a wrong hand would: one bit of what is stored. */
    async function flipByte(kid: string): Promise<void> {
      const { database } = await cluster.operator();
      const row = await database.reader('signing_keys').where({ kid }).first('sealed_private');
      const sealed = String(row?.sealed_private);
      const at = sealed.length - 10;
      const flipped = `${sealed.slice(0, at)}${sealed[at] === 'A' ? 'B' : 'A'}${sealed.slice(at + 1)}`;
      await database.write(on => on('signing_keys').where({ kid }).update({ sealed_private: flipped }));
    }

    it('show ages, the next steps, who is waited for, and how old the knowledge is', async () => {
      await tickAll();
      const [node] = nodes as [RunningServer];
      const text = await metricsOf(node);
      expect(text).to.match(/^claviger_signing_key_active_seconds\{alg="ES256"\} \d/m);
      expect(text).to.match(/^claviger_signing_keys\{alg="RS256",state="announced"\} 1$/m);
      expect(text).to.match(/^claviger_key_ring_version 1$/m);
      expect(text).to.match(/^claviger_key_ring_age_seconds 0/m);
      const next = /^claviger_signing_key_next_seconds\{alg="ES256",kind="activate"\} (\d+)/m.exec(text);
      expect(Number(next?.[1])).to.be.within(ROTATE_EVERY - 60, ROTATE_EVERY);
      expect(text).to.match(/^claviger_signing_key_barrier_nodes\{alg="ES256"\} 0$/m);
      // A live node that publishes nothing yet is waited for.
      const { database } = await cluster.operator();
      const now = await database.now();
      await database.write(on =>
        on('nodes').insert({
          node_id: 'slow',
          served_version: 0,
          lease_until: now + 30_000,
          started_at: now,
        }),
      );
      await node.tick();
      expect(await metricsOf(node)).to.match(/^claviger_signing_key_barrier_nodes\{alg="ES256"\} 1$/m);
    });

    it('raise one about a node whose clock is off, by its name', async () => {
      const [node] = nodes as [RunningServer];
      const clock = { ...time.clock };
      Object.assign(time.clock, { now: () => clock.now() + 45_000 });
      await node.tick();
      expect((await raised()).map(({ signal, subject }) => [signal, subject])).to.deep.equal([
        ['clock.drifted', node.nodeId],
      ]);
      Object.assign(time.clock, clock);
    });

    it('find a damaged successor before it has to sign, which takes no node out of service', async () => {
      const successor = (await ringNow()).keys.find(
        ({ alg, state }) => alg === 'ES256' && state === 'announced',
      );
      await flipByte(String(successor?.kid));
      const late = await cluster.start({ hasTimers: false });
      await late.tick();
      expect((await raised()).map(({ signal, subject }) => [signal, subject])).to.deep.equal([
        ['signing_key.damaged', successor?.kid],
      ]);
      const { status, checks } = await readyz(late);
      expect(status).to.equal('ready');
      expect(checks.signing)
        .to.match(/^warning: .*claviger key revoke/)
        .and.include(successor?.kid);
    });

    it('raise one about a key whose ciphertext has changed by a byte; the other keys go on signing', async () => {
      await cluster.resourceServer();
      await cluster.resourceServer({ identifier: 'https://api.example.test/rs256', alg: 'RS256' });
      const client: SeededClient = await cluster.client({
        resources: [RESOURCE, 'https://api.example.test/rs256'].map(identifier => ({
          identifier,
          scopes: ['orders.read'],
        })),
      });
      const ask = async (node: RunningServer, resource: string) =>
        (await post(node, '/oauth2/token', { grant_type: 'client_credentials', resource }, basic(client)))
          .status;
      await tickAll();
      expect(await raised(), 'control').to.deep.equal([]);
      const es256 = (await ringNow()).keys.find(({ alg, state }) => alg === 'ES256' && state === 'active');
      await flipByte(String(es256?.kid));
      // Nodes hold what they have opened; whoever starts now finds the damage.
      const late = [await cluster.start({ hasTimers: false }), await cluster.start({ hasTimers: false })];
      for (const node of late) for (let round = 0; round < 3; round += 1) await node.tick();
      const alerts = await raised();
      expect(alerts, 'once, by one of the nodes').to.have.length(1);
      expect(alerts[0]).to.include({ signal: 'signing_key.damaged', subject: es256?.kid });
      const [node] = late as [RunningServer];
      expect(await ask(node, RESOURCE)).to.equal(503);
      expect(await ask(node, 'https://api.example.test/rs256')).to.equal(200);
      expect((await get(node, '/.well-known/jwks.json')).text).to.include(String(es256?.kid));
      expect((await readyz(node)).checks.signing).to.include('ES256');
      expect(await metricsOf(node)).to.match(/^claviger_signing_keys_damaged 2$/m);
      const [healthy] = nodes as [RunningServer];
      expect(await metricsOf(healthy), 'control').to.match(/^claviger_signing_keys_damaged 0$/m);
    });

    it('raise one, warn and count when a rotation is overdue by more than one interval (requirement 65)', async () => {
      const [node, other] = nodes as [RunningServer, RunningServer];
      const overdue = async () => (await raised()).filter(({ signal }) => signal === 'signing_key.overdue');
      await tickAll();
      expect((await readyz(node)).checks.rotation, 'control').to.equal('ok');
      // Nobody may rotate: the successors are gone, and whoever would announce new ones has no turn.
      const { database } = await cluster.operator();
      await database.write(on =>
        on('job_leases').whereLike('job', 'rotate-keys%').update({ holder: 'stuck', lease_until: 9e15 }),
      );
      time.moveBy(ROTATE_EVERY * 2 - 60);
      await tickAll();
      expect(await overdue(), 'by less than one interval').to.deep.equal([]);
      time.moveBy(120);
      for (let round = 0; round < 3; round += 1) await tickAll();
      const alerts = await overdue();
      expect(alerts.map(({ signal, subject }) => `${signal} ${subject}`)).to.have.members([
        'signing_key.overdue ES256',
        'signing_key.overdue RS256',
      ]);
      const { status, checks } = await readyz(other);
      expect(status).to.equal('ready');
      expect(checks.rotation).to.match(/^warning: .*ES256/);
      const shown = /^claviger_signing_key_overdue_seconds\{alg="ES256"\} (\d+)/m.exec(
        await metricsOf(other),
      );
      expect(Number(shown?.[1])).to.be.within(ROTATE_EVERY, ROTATE_EVERY + 300);
      // Whoever leaves it is told again, an hour later.
      time.moveBy(3601);
      await tickAll();
      expect(await overdue()).to.have.length(4);
    });
  });
});
