import { expect } from 'chai';
import { decodeProtectedHeader } from 'jose';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { successorOf } from '../../src/keys/key-state.js';
import { readRing } from '../../src/keys/key-store.js';
import { rotateNow } from '../../src/keys/rotate.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { dumpOf, restoreDump } from '../support/dump.js';
import { installMovedTime, type MovedTime } from '../support/moved-time.js';
import { basic, Cluster, get, OPERATOR, post, type SeededClient, token } from '../support/nodes.js';

/** Seconds. */
const ANNOUNCE_FOR = 380;
const STEP_FOR = 20;
const RING_TABLES = ['key_ring', 'signing_keys', 'change_sequence', 'changes'] as const;

describe('nodes that are behind', () => {
  forEachDatabase((name, fresh) => {
    let time: MovedTime;
    let cluster: Cluster;
    let client: SeededClient;
    let steady: RunningServer;

    beforeEach(async () => {
      time = installMovedTime();
      cluster = new Cluster({
        url: (await fresh()).url,
        clock: time.clock,
        databaseClockOffset: time.databaseClockOffset,
        env: {
          CLAVIGER_KEYS_ANNOUNCE_FOR: `${ANNOUNCE_FOR}s`,
          CLAVIGER_KEYS_ROTATE_EVERY: `${ANNOUNCE_FOR}s`,
        },
      });
      steady = await cluster.start({ hasTimers: false });
      await cluster.resourceServer({ accessTokenFor: 60 });
      client = await cluster.client();
    });

    afterEach(async () => {
      await cluster.close();
      time.restore();
    });

    const kidOf = async (node: RunningServer) => String(decodeProtectedHeader(await token(node, client)).kid);
    const ringNow = async () => (await cluster.operator()).database.read(readRing);
    const signingKid = (node: RunningServer) => String(node.ring.served.signing.get('ES256')?.kid);
    const publishedKids = async (node: RunningServer) =>
      ((await get(node, '/.well-known/jwks.json')).json.keys as { kid: string }[]).map(({ kid }) => kid);

    async function untilAnnounced(...nodes: RunningServer[]): Promise<void> {
      for (let moved = 0; moved + STEP_FOR < ANNOUNCE_FOR; moved += STEP_FOR) {
        time.moveBy(STEP_FOR);
        for (const node of nodes) await node.tick();
      }
    }

    it('lets a paused node sign with the new key only, though it still holds the old one', async () => {
      const paused = await cluster.start({ hasTimers: false });
      await untilAnnounced(steady, paused);
      const old = await kidOf(paused);
      time.moveBy(STEP_FOR);
      await steady.tick();
      const current = signingKid(steady);
      expect(current).to.not.equal(old);
      // Control: without being judged again, its next token would carry the old key.
      expect(signingKid(paused)).to.equal(old);
      expect(await kidOf(paused)).to.equal(current);
    });

    it('lets a node that slept for hours sign with the key of now', async () => {
      const paused = await cluster.start({ hasTimers: false });
      await untilAnnounced(steady, paused);
      const old = signingKid(paused);
      for (let step = 0; step < 60; step += 1) {
        time.moveBy(STEP_FOR);
        await steady.tick();
      }
      expect(signingKid(paused), 'control').to.equal(old);
      expect((await ringNow()).keys.find(({ kid }) => kid === old)?.state).to.be.oneOf([
        'retained',
        'retired',
      ]);
      expect(await kidOf(paused)).to.equal(signingKid(steady));
    });

    it('releases no token that was signed while the rotation was being committed', async () => {
      const asked: Promise<string>[] = [];
      let other: RunningServer | undefined;
      const rotating = await cluster.start({
        hasTimers: false,
        async onRotationStep(step, transition) {
          if (step !== 'audited' || transition.kind !== 'activate' || transition.alg !== 'ES256') return;
          for (let count = 0; count < 8; count += 1) asked.push(kidOf(other as RunningServer));
          // Round trips through the same event loop: by then those requests have been signed.
          for (let count = 0; count < 20; count += 1) await get(other as RunningServer, '/livez');
        },
      });
      other = steady;
      await untilAnnounced(rotating, steady);
      // The rotating node goes first, and takes the turn.
      time.moveBy(STEP_FOR + 15);
      await rotating.tick();
      const current = signingKid(rotating);
      const kids = new Set(await Promise.all(asked));
      expect(asked.length).to.equal(8);
      // SQLite has one writer, so all of them commit after the rotation. On PostgreSQL they may come before it.
      if (name === 'SQLite') expect([...kids]).to.deep.equal([current]);
      else {
        const retainedNow = (await ringNow()).keys.find(({ kid }) => kids.has(kid) && kid !== current);
        if (retainedNow !== undefined)
          expect(time.clock.now() - (retainedNow.retainedAt ?? 0)).to.be.at.most(60_000);
      }
      expect(await kidOf(steady)).to.equal(current);
    });

    it('waits for a live node that does not show the successor yet, and not for a dead one', async () => {
      const stuck = await cluster.start({ hasTimers: false });
      await untilAnnounced(steady, stuck);
      time.moveBy(STEP_FOR);
      await stuck.tick();
      await steady.tick();
      // Both algorithms have new successors now, which the stuck node will not show before its next heartbeat.
      const { database, keys, nodeId } = await cluster.operator();
      const context = {
        database,
        nodeId,
        policy: deriveKeyPolicy(cluster.config),
        envelope: keys.signingKeyEnvelope,
        actor: OPERATOR,
      };
      const ask = async () =>
        (await rotateNow(context, { alg: 'ES256', now: true, acceptsRisk: true }))[0]?.outcome;
      await steady.tick();
      expect(await ask()).to.equal('waits_for_nodes');
      time.moveBy(STEP_FOR + 11);
      await steady.tick();
      expect(await ask(), 'its lease has ended').to.equal('rotates');
    });

    it('gives a node that starts during an announcement the whole ring before it listens, and delays nothing', async () => {
      const announced = successorOf(await ringNow(), 'ES256');
      for (let step = 0; step < 10; step += 1) {
        time.moveBy(STEP_FOR);
        await steady.tick();
      }
      const late = await cluster.start({ hasTimers: false });
      expect(late.ring.served.ring).to.deep.equal(await ringNow());
      expect(await publishedKids(late)).to.deep.equal(await publishedKids(steady));
      expect(await publishedKids(late)).to.include(announced?.kid);
      while (time.clock.now() < (announced?.announcedAt ?? 0) + ANNOUNCE_FOR * 1000) {
        time.moveBy(STEP_FOR);
        await late.tick();
        await steady.tick();
      }
      expect(await kidOf(late)).to.equal(announced?.kid);
    });

    async function restoreOlderRing(): Promise<readonly string[]> {
      const { database } = await cluster.operator();
      const backup = await dumpOf(database);
      await untilAnnounced(steady);
      time.moveBy(STEP_FOR);
      await steady.tick();
      const known = await publishedKids(steady);
      await token(steady, client);
      await restoreDump(database, backup, RING_TABLES);
      return known;
    }

    async function expectStopped(known: readonly string[]): Promise<void> {
      expect(steady.ring.canSign).to.equal(false);
      const answer = await post(steady, '/oauth2/token', { grant_type: 'client_credentials' }, basic(client));
      expect(answer.status).to.equal(503);
      expect((await get(steady, '/readyz')).status).to.equal(503);
      // Whoever holds a token of the lost keys can still verify it.
      expect(await publishedKids(steady)).to.include.members([...known]);
    }

    it('stops signing when the ring went back, as after the restore of a backup', async () => {
      const known = await restoreOlderRing();
      await steady.tick();
      await expectStopped(known);
    });

    it('stops signing when a restored ring has been rotated again to the version it knows', async () => {
      const known = await restoreOlderRing();
      // Another node, started after the restore, rotates before this one looks.
      const other = await cluster.start({ hasTimers: false });
      for (let guard = 0; guard < 20; guard += 1) {
        if ((await ringNow()).version >= steady.ring.served.ring.version) break;
        time.moveBy(STEP_FOR);
        await other.tick();
      }
      expect((await ringNow()).version).to.be.at.least(steady.ring.served.ring.version);
      await steady.tick();
      await expectStopped(known);
      expect((await get(other, '/readyz')).status, 'control').to.equal(200);
    });
  });
});
