import { expect } from 'chai';
import { decodeProtectedHeader } from 'jose';
import { Alerts } from '../../src/alerts/alerts.js';
import { checkRestore } from '../../src/cli/check-restore.js';
import { Outbox } from '../../src/delivery/outbox.js';
import { confirmRestore, planRestore } from '../../src/keys/confirm-restore.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { activeOf } from '../../src/keys/key-state.js';
import { readRing } from '../../src/keys/key-store.js';
import { mergeRings } from '../../src/keys/merge-rings.js';
import { RememberedRingStore } from '../../src/keys/remembered-ring-store.js';
import { type RotationContext, revokeSigningKey, rotateNow } from '../../src/keys/rotate.js';
import { ringCompanions } from '../../src/oidc/ring-companions.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { type Dump, dumpOf, restoreDump } from '../support/dump.js';
import {
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
import { auditRows } from '../support/tables.js';
import { StrictVerifier } from '../support/verifier-with-cache.js';

const RING_TABLES = ['key_ring', 'signing_keys', 'change_sequence', 'changes', 'revoked_tokens'] as const;

describe('a backup that is restored under running nodes', function () {
  this.timeout(60_000);
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let client: SeededClient;
    let nodes: [RunningServer, RunningServer];
    let backup: Dump;

    before(async () => {
      cluster = new Cluster({
        url: (await fresh()).url,
      });
      nodes = [await cluster.start({ hasTimers: false }), await cluster.start({ hasTimers: false })];
      await cluster.resourceServer({ accessTokenFor: 600 });
      client = await cluster.client();
    });

    after(async () => {
      await cluster.close();
    });

    const operatorDatabase = async () => (await cluster.operator()).database;
    const ringNow = async () => (await operatorDatabase()).read(readRing);
    const tickAll = async () => {
      for (const node of cluster.nodes) await node.tick();
    };
    const ask = (node: RunningServer) =>
      post(node, '/oauth2/token', { grant_type: 'client_credentials' }, basic(client));
    const publishedKids = async (node: RunningServer) =>
      ((await get(node, '/.well-known/jwks.json')).json.keys as { kid: string }[]).map(({ kid }) => kid);
    const kidOf = (jwt: string) => String(decodeProtectedHeader(jwt).kid);

    async function context(): Promise<RotationContext> {
      const { database, keys, nodeId } = await cluster.operator();
      const policy = deriveKeyPolicy(cluster.config);
      return { database, policy, envelope: keys.signingKeyEnvelope, nodeId, actor: OPERATOR };
    }

    async function rotateOnce(): Promise<void> {
      // With its second heartbeat a node says that it serves what it read with the first.
      for (const node of cluster.nodes) await node.ring.heartbeat();
      const asked = { alg: 'ES256', now: true, acceptsRisk: true } as const;
      const [rotation] = await rotateNow(await context(), asked);
      expect(rotation?.outcome).to.equal('rotates');
      await tickAll();
    }

    it('is confirmed by one command, after which every node signs again with keys that verifiers know', async () => {
      const database = await operatorDatabase();
      await tickAll();
      backup = await dumpOf(database);
      await rotateOnce();
      await rotateOnce();
      const lost = await ringNow();
      const verifier = new StrictVerifier({
        jwksUri: urlOf(nodes[0], '/.well-known/jwks.json'),
        issuer: ISSUER,
        audience: RESOURCE,
        now: () => Date.now(),
      });
      const before = await token(nodes[0], client);
      await verifier.verify(before);
      expect(await database.read(async on => planRestore(on, await database.now(on))), 'control').to.equal(
        undefined,
      );

      await restoreDump(database, backup, RING_TABLES);
      await tickAll();
      await tickAll();
      for (const node of nodes) {
        expect((await ask(node)).status).to.equal(503);
        const { status, json } = await get(node, '/readyz');
        expect(status).to.equal(503);
        expect((json.checks as Record<string, string>).keys).to.include('claviger key confirm-restore');
      }
      const alerts = (await auditRows(database)).filter(({ event }) => event === 'alert.raised');
      expect(alerts.map(({ detail }) => detail.signal)).to.deep.equal(['key_ring.regressed']);

      // A node that starts now cannot know; what it makes and signs with is published by the others too.
      const late = await cluster.start({ hasTimers: false });
      const since = await token(late, client);
      await tickAll();
      for (const node of nodes) {
        expect(await publishedKids(node)).to.include.members([kidOf(before), kidOf(since)]);
      }

      const restored = await ringNow();
      const plan = await database.read(async on => planRestore(on, await database.now(on)));
      expect(plan?.nodes).to.have.length(2);
      expect(await ringNow(), 'a plan changes nothing').to.deep.equal(restored);
      const [finding] = await checkRestore(database, await database.now());
      expect(finding).to.include({ id: 'key_ring', severity: 'error' });
      expect(finding?.finding).to.include(nodes[0].nodeId).and.include(nodes[1].nodeId);
      const outcome = await confirmRestore(await context());
      expect(await checkRestore(database, await database.now()), 'control').to.deep.equal([]);
      expect(outcome?.after.version).to.equal(Math.max(lost.version, outcome?.before.version ?? 0) + 1);
      await tickAll();
      for (const node of cluster.nodes) {
        const jwt = await token(node, client);
        expect(kidOf(jwt)).to.equal(activeOf(lost, 'ES256')?.kid);
        // The verifier has not fetched the keys again since before the restore.
        await verifier.verify(jwt);
        expect(await publishedKids(node)).to.include.members([kidOf(before), kidOf(since)]);
        expect((await get(node, '/readyz')).status).to.equal(200);
      }
      const [told] = (await auditRows(database)).filter(
        ({ event }) => event === 'key_ring.restore_confirmed',
      );
      expect(told).to.include({ actor: OPERATOR, subject: String(outcome?.after.version) });
      expect(await confirmRestore(await context()), 'once is enough').to.equal(undefined);
    });

    it('does not bring back a key that was revoked after the backup', async () => {
      const database = await operatorDatabase();
      backup = await dumpOf(database);
      const stolen = String(activeOf(await ringNow(), 'ES256')?.kid);
      const jwt = await token(nodes[0], client);
      await revokeSigningKey(await context(), stolen);
      await tickAll();
      await restoreDump(database, backup, RING_TABLES);
      expect(activeOf(await ringNow(), 'ES256')?.kid, 'control: the backup trusts it').to.equal(stolen);
      await tickAll();
      for (const node of cluster.nodes) expect(await publishedKids(node)).to.not.include(stolen);
      await tickAll();
      const outcome = await confirmRestore(await context());
      expect(outcome?.revokedAgain).to.deep.equal([stolen]);
      await tickAll();
      for (const node of cluster.nodes) {
        expect(kidOf(await token(node, client))).to.not.equal(stolen);
        expect(await publishedKids(node)).to.not.include(stolen);
        const introspected = await post(node, '/oauth2/introspect', { token: jwt }, basic(client));
        expect(introspected.json).to.deep.equal({ active: false });
      }
      const [row] = await database.reader('revoked_tokens').where({ kind: 'kid', value: stolen });
      expect(row).to.not.equal(undefined);
    });

    it('revokes again a key that was made after the backup, with its tokens and with an alert', async () => {
      const { database, keys, nodeId } = await cluster.operator();
      backup = await dumpOf(database);
      await rotateOnce();
      const before = new Set((backup.signing_keys ?? []).map(({ kid }) => kid));
      const stolen = (await ringNow()).keys.find(
        ({ kid, state }) => state === 'announced' && !before.has(kid),
      );
      const kid = String(stolen?.kid);
      await revokeSigningKey(await context(), kid);
      await tickAll();
      await restoreDump(database, backup, RING_TABLES);
      expect(await database.reader('revoked_tokens').where({ value: kid }), 'control').to.deep.equal([]);
      await tickAll();
      const { config } = cluster;
      const alerts = new Alerts({ database, nodeId, outbox: new Outbox(keys.accountEnvelope), config });
      const companions = ringCompanions({ database, nodeId, config, alerts });
      const outcome = await confirmRestore({ ...(await context()), companions });
      expect(outcome?.revokedAgain).to.deep.equal([kid]);
      expect(outcome?.broughtBack).to.not.include(kid);
      expect(await database.reader('revoked_tokens').where({ kind: 'kid', value: kid })).to.have.length(1);
      const told = (await auditRows(database)).filter(
        ({ event, subject }) => event === 'alert.raised' && subject === kid,
      );
      expect(told.map(({ detail }) => detail.signal)).to.deep.equal(['signing_key.revoked']);
      await tickAll();
    });

    it('does not bring back a revoked key when the restored ring has moved on before any node looked', async () => {
      const database = await operatorDatabase();
      await tickAll();
      const stolen = String((await ringNow()).keys.find(({ state }) => state === 'retained')?.kid);
      backup = await dumpOf(database);
      await revokeSigningKey(await context(), stolen);
      await tickAll();
      const known = await ringNow();
      await restoreDump(database, backup, RING_TABLES);
      const [trusted] = (await ringNow()).keys.filter(({ kid }) => kid === stolen);
      expect(trusted?.state, 'control: the backup trusts it').to.equal('retained');
      // As after a step that somebody else took: the version tells nothing, and no key is missing.
      await database.write(on => on('key_ring').where({ id: 1 }).update({ version: known.version }));
      await tickAll();
      for (const node of cluster.nodes) {
        expect(await publishedKids(node)).to.not.include(stolen);
        expect(node.ring.canSign).to.equal(false);
      }
      await tickAll();
      expect((await confirmRestore(await context()))?.revokedAgain).to.deep.equal([stolen]);
      await tickAll();
      for (const node of cluster.nodes) expect(node.ring.canSign).to.equal(true);
    });

    it('is not decided by what a node had written down and the database has had since', async () => {
      const database = await operatorDatabase();
      await tickAll();
      const stale = await ringNow();
      await rotateOnce();
      const now = await database.now();
      // As when a node's heartbeat and the confirmation that it is about are committed at one moment.
      await database.transaction(trx => new RememberedRingStore().remember(trx, 'gone', stale, now));
      const current = await ringNow();
      const wouldSign = activeOf(mergeRings(current, [stale], now), 'ES256')?.kid;
      expect(wouldSign, 'control: an old key would sign again').to.not.equal(activeOf(current, 'ES256')?.kid);
      expect(await checkRestore(database, now)).to.deep.equal([]);
      expect(await confirmRestore(await context())).to.equal(undefined);
      expect(await ringNow()).to.deep.equal(current);
    });

    it('is forgotten by a node that finds its own past again', async () => {
      const database = await operatorDatabase();
      await tickAll();
      backup = await dumpOf(database);
      await rotateOnce();
      const right = await dumpOf(database);
      await restoreDump(database, backup, RING_TABLES);
      await tickAll();
      await tickAll();
      const remembered = async () =>
        (await new RememberedRingStore().list(database.reader)).map(each => each.nodeId);
      expect(await remembered(), 'control').to.include.members(cluster.nodes.map(({ nodeId }) => nodeId));
      await restoreDump(database, right, RING_TABLES);
      await tickAll();
      for (const node of cluster.nodes) expect(node.ring.canSign).to.equal(true);
      expect(await remembered()).to.deep.equal(['gone']);
    });
  });
});
