import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Database, openDatabase } from '../../src/database/connect.js';
import { generateSigningKey } from '../../src/keys/generate-signing-key.js';
import { deriveKeyPolicy, type KeyPolicy } from '../../src/keys/key-policy.js';
import { applyTransition, type Transition } from '../../src/keys/key-state.js';
import { readRing, swapRing } from '../../src/keys/key-store.js';
import { advanceRing, type RotationContext, rotateNow } from '../../src/keys/rotate.js';
import type { NewSigningKey, Ring } from '../../src/keys/signing-key.js';
import { forEachDatabase } from '../support/databases.js';
import { Cluster } from '../support/nodes.js';
import { figure, rounds, timeLimit } from '../support/scale.js';
import type { RacingAssignment, Round } from './racing-node.js';

/** Seconds; each round goes one further than the announcement lasts. */
const ANNOUNCE_FOR = 60;
const ROUND_FOR = ANNOUNCE_FOR + 1;

interface Counted {
  readonly least: number;
  readonly most: number;
  readonly looks: number;
}

/** Looks at the table, over and over, while others write it. */
function watchActive(database: Database): { stop(): Promise<Counted> } {
  let isStopped = false;
  let counted: Counted = { least: Number.POSITIVE_INFINITY, most: 0, looks: 0 };
  const watching = (async () => {
    while (!isStopped) {
      const rows = await database.read(on => on('signing_keys').where({ alg: 'ES256', state: 'active' }));
      counted = {
        least: Math.min(counted.least, rows.length),
        most: Math.max(counted.most, rows.length),
        looks: counted.looks + 1,
      };
    }
  })();
  return {
    async stop() {
      isStopped = true;
      await watching;
      return counted;
    },
  };
}

describe('nodes that rotate at the same instant', () => {
  forEachDatabase((name, fresh) => {
    let cluster: Cluster;
    let url: string;
    let policy: KeyPolicy;
    let offset = 0;
    let databases: Database[];
    let context: (node: number) => RotationContext;

    before(async () => {
      url = (await fresh()).url;
      cluster = new Cluster({ url, databaseClockOffset: () => offset });
      policy = {
        ...deriveKeyPolicy(cluster.config),
        algorithms: ['ES256'],
        announceFor: ANNOUNCE_FOR,
        rotateEvery: ANNOUNCE_FOR,
        retainFor: 3 * ANNOUNCE_FOR,
      };
      const { keys } = await cluster.operator();
      databases = [0, 1, 2, 3].map(() => openDatabase({ url, clockOffset: () => offset }));
      context = node => ({
        database: databases[node] as Database,
        policy,
        envelope: keys.signingKeyEnvelope,
        nodeId: `node-${node}`,
        actor: `node:node-${node}`,
      });
      await advanceRing(context(0));
    });

    after(async () => {
      await Promise.all(databases.map(database => database.close()));
      await cluster.close();
    });

    const ringNow = (): Promise<Ring> => (databases[3] as Database).read(readRing);

    function expectOneStep(before: Ring, after: Ring, round: number): void {
      const known = new Set(before.keys.map(({ kid }) => kid));
      const made = after.keys.filter(({ kid }) => !known.has(kid));
      expect(made.length, `new keys in round ${round}`).to.equal(1);
      expect(made[0]?.state).to.equal('announced');
      const active = after.keys.filter(({ state }) => state === 'active');
      expect(active.length, `active keys after round ${round}`).to.equal(1);
      const successor = before.keys.find(({ state }) => state === 'announced');
      expect(active[0]?.kid, 'the successor took over').to.equal(successor?.kid);
      expect(after.keys.filter(({ state }) => state === 'announced').length).to.equal(1);
    }

    for (const count of [2, 3]) {
      const total = rounds({ short: 20, long: 200 });
      it(`makes one new key in each of ${total} rounds with ${count} nodes, and all report success (requirement 62)`, async function () {
        this.timeout(timeLimit(60_000));
        const watch = watchActive(databases[3] as Database);
        let taken = 0;
        for (let round = 0; round < total; round += 1) {
          const before = await ringNow();
          offset += ROUND_FOR * 1000;
          const nodes = Array.from({ length: count }, (_, node) => context(node));
          if (round % 2 === 0) {
            const results = await Promise.all(nodes.map(advanceRing));
            taken += results.flat().filter(({ kind }) => kind === 'activate').length;
          } else {
            const results = await Promise.all(
              nodes.map(node => rotateNow(node, { now: false, acceptsRisk: false })),
            );
            // Who looked after the winner's commit sees the next successor's announcement, and that is no failure.
            for (const [decision] of results)
              expect(decision?.outcome).to.be.oneOf(['rotates', 'waits_for_announcement']);
            taken += 1;
          }
          expectOneStep(before, await ringNow(), round);
        }
        const { least, most, looks } = await watch.stop();
        figure(
          `race, ${count} nodes, ${name}: ${total} rounds, ${taken} rotations; active keys seen ${least} to ${most} in ${looks} looks`,
        );
        expect(taken).to.equal(total);
        expect({ least, most }).to.deep.equal({ least: 1, most: 1 });
      });
    }

    it('makes one new key when 200 rotations begin at the same instant (requirement 62)', async function () {
      this.timeout(timeLimit(60_000));
      const before = await ringNow();
      offset += ROUND_FOR * 1000;
      const results = await Promise.all(
        Array.from({ length: 200 }, (_, node) => advanceRing(context(node % 4))),
      );
      expect(results.flat().filter(({ kind }) => kind === 'activate').length).to.equal(1);
      expectOneStep(before, await ringNow(), 0);
    });

    it('makes the first keys once when three nodes start on an empty ring', async function () {
      this.timeout(timeLimit(30_000));
      for (let round = rounds({ short: 5, long: 50 }); round > 0; round -= 1) {
        await (databases[3] as Database).transaction(async trx => {
          await trx('signing_keys').delete();
          await trx('key_ring').update({ version: 0 });
        });
        const results = await Promise.all([0, 1, 2].map(node => advanceRing(context(node))));
        expect(results.flat().map(({ kind }) => kind)).to.deep.equal(['create']);
        const { keys, version } = await ringNow();
        expect(keys.map(({ state }) => state).sort()).to.deep.equal(['active', 'announced']);
        expect(version).to.equal(1);
      }
    });

    it('makes one new key in each round when the nodes are processes', async function () {
      this.timeout(timeLimit(60_000));
      const children: ChildProcess[] = [];
      try {
        for (const nodeId of ['a', 'b', 'c']) {
          const { issuer, environment } = cluster.config;
          const assignment: RacingAssignment = {
            url,
            issuer,
            environment,
            rootKey: cluster.rootKey,
            policy,
            nodeId,
          };
          const child = fork(join(import.meta.dirname, 'racing-node.ts'), [JSON.stringify(assignment)], {
            execArgv: ['--import', 'tsx'],
          });
          children.push(child);
        }
        await Promise.all(children.map(child => once(child, 'message')));
        const total = rounds({ short: 5, long: 50 });
        for (let round = 0; round < total; round += 1) {
          const before = await ringNow();
          offset += ROUND_FOR * 1000;
          const start: Round = { offset, startAt: Date.now() + 30 };
          const told = children.map(child => once(child, 'message'));
          for (const child of children) child.send(start);
          const kinds = (await Promise.all(told)).flatMap(([steps]) => steps as string[]);
          expect(kinds.filter(kind => kind === 'activate').length, `round ${round}`).to.equal(1);
          expectOneStep(before, await ringNow(), round);
        }
        figure(`race, 3 processes, ${name}: ${total} rounds, ${total} rotations`);
      } finally {
        for (const child of children) child.kill('SIGKILL');
      }
    });

    it('makes two keys when the version is not compared (control)', async () => {
      const { keys } = await cluster.operator();
      offset += ROUND_FOR * 1000;
      const planned = await ringNow();
      const active = planned.keys.find(({ state }) => state === 'active');
      const successor = planned.keys.find(({ state }) => state === 'announced');
      const transition: Transition = {
        kind: 'activate',
        kid: String(successor?.kid),
        alg: 'ES256',
        demotes: active?.kid,
        announces: true,
      };
      const write = async (node: number) => {
        const { kid, publicJwk } = await generateSigningKey('ES256');
        const fresh: NewSigningKey = {
          kid,
          alg: 'ES256',
          publicJwk,
          sealedPrivate: keys.signingKeyEnvelope.seal('{}', kid),
        };
        await (databases[node] as Database).transaction(async trx => {
          const { version } = await readRing(trx);
          const next = applyTransition(planned, transition, (await databases[node]?.now(trx)) ?? 0, [fresh]);
          await swapRing(trx, { ...planned, version }, { ...next, version: version + 1 });
        });
      };
      for (const node of [0, 1]) await write(node);
      expect((await ringNow()).keys.length - planned.keys.length).to.equal(2);
    });

    it('refuses a second active key in the database itself', async () => {
      const { keys } = await ringNow();
      const announced = keys.find(({ state }) => state === 'announced');
      const second = (databases[0] as Database).transaction(trx =>
        trx('signing_keys').where({ kid: announced?.kid }).update({ state: 'active' }),
      );
      expect(String(await second.catch((error: unknown) => error))).to.match(/unique/i);
    });
  });
});
