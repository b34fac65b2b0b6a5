import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'chai';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { Secret } from '../../src/config/config.js';
import { deriveKeyPolicy, type KeyPolicy } from '../../src/keys/key-policy.js';
import type { Transition } from '../../src/keys/key-state.js';
import { readRing } from '../../src/keys/key-store.js';
import {
  type RotationContext,
  type RotationStep,
  revokeSigningKey,
  rotateNow,
} from '../../src/keys/rotate.js';
import type { Ring, SigningKey } from '../../src/keys/signing-key.js';
import { createLogger } from '../../src/log.js';
import type { SigningAlgorithm } from '../../src/protocol.js';
import { type RunningServer, startServer } from '../../src/server.js';
import { startChildNode } from '../support/child-node.js';
import { forEachDatabase } from '../support/databases.js';
import { installMovedTime, type MovedTime } from '../support/moved-time.js';
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
} from '../support/nodes.js';
import { figure, rounds, timeLimit } from '../support/scale.js';
import type { KilledRotation } from './killed-rotation.js';

const STEPS: readonly RotationStep[] = [
  'planned',
  'generated',
  'begun',
  'version_swapped',
  'keys_written',
  'audited',
  'committed',
];

/** Seconds. */
const ANNOUNCE_FOR = 400;
const TOKEN_FOR = 600;
const LEASE_LAPSES_FOR = 31;
/** `npm test` takes each failpoint twice: once on each database. */
const ROUNDS = rounds({ short: 1, long: 20 });

const SETTINGS = {
  CLAVIGER_KEYS_ANNOUNCE_FOR: `${ANNOUNCE_FOR}s`,
  CLAVIGER_KEYS_ROTATE_EVERY: `${ANNOUNCE_FOR}s`,
  CLAVIGER_TOKENS_LONGEST_TOKEN_FOR: `${TOKEN_FOR}s`,
};

function expectSound({ keys }: Ring, algorithms: readonly SigningAlgorithm[]): void {
  for (const alg of algorithms) {
    const states = keys.filter(key => key.alg === alg).map(({ state }) => state);
    expect(states.filter(state => state === 'active').length, `active ${alg} keys`).to.equal(1);
    expect(states.filter(state => state === 'announced').length, `announced ${alg} keys`).to.equal(1);
  }
}

async function expectVerifies(node: RunningServer, jwt: string): Promise<string> {
  const jwks = (await get(node, '/.well-known/jwks.json')).json as unknown as JSONWebKeySet;
  const { protectedHeader } = await jwtVerify(jwt, createLocalJWKSet(jwks), {
    issuer: ISSUER,
    audience: RESOURCE,
  });
  return String(protectedHeader.kid);
}

/** Runs it until the failpoint. Whatever does not die there is a failure of the test. */
async function killed(assignment: KilledRotation): Promise<void> {
  const child = fork(join(import.meta.dirname, 'killed-rotation.ts'), [JSON.stringify(assignment)], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let output = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    output = `${output}${bytes}`.slice(-4000);
  });
  const [code, signal] = await once(child, 'exit');
  expect(
    signal,
    `"${assignment.kill.step}" of "${assignment.kill.kind}": ended with ${code} ${output}`,
  ).to.equal('SIGKILL');
}

describe('a process killed in the middle of a rotation (requirement 63)', () => {
  forEachDatabase((name, fresh) => {
    let time: MovedTime;
    let url: string;
    let cluster: Cluster;
    let client: SeededClient;
    /** A node that lives on beside those that are killed, and by itself does nothing. */
    let survivor: RunningServer;
    let context: RotationContext;
    let kills = 0;
    let verified = 0;
    const points = new Set<string>();

    function startHere(algorithms: readonly SigningAlgorithm[] = ['ES256']): Promise<RunningServer> {
      return startServer({
        config: { ...cluster.config, keys: { ...cluster.config.keys, algorithms } },
        rootKey: new Secret(cluster.rootKey),
        log: createLogger(cluster.config.log, { write: () => undefined }),
        clock: time.clock,
        databaseClockOffset: time.databaseClockOffset,
        hasTimers: false,
      });
    }

    before(async function () {
      this.timeout(60_000);
      time = installMovedTime();
      url = (await fresh()).url;
      cluster = new Cluster({
        url,
        clock: time.clock,
        databaseClockOffset: time.databaseClockOffset,
        env: SETTINGS,
      });
      survivor = await startHere(['ES256', 'RS256']);
      await cluster.resourceServer({ accessTokenFor: TOKEN_FOR });
      client = await cluster.client();
      const { database, keys, nodeId } = await cluster.operator();
      context = {
        database,
        nodeId,
        policy: { ...deriveKeyPolicy(cluster.config), algorithms: ['ES256'] },
        envelope: keys.signingKeyEnvelope,
        actor: OPERATOR,
      };
    });

    after(async () => {
      figure(
        `crash, ${name}: ${kills} kills at ${points.size} failpoints, ${verified} tokens verified after the restart`,
      );
      await survivor.close();
      await cluster.close();
      time.restore();
    });

    const policy = (): KeyPolicy => context.policy;
    const ringNow = (): Promise<Ring> => context.database.read(readRing);
    const keyIn = (ring: Ring, state: SigningKey['state']) =>
      ring.keys.find(key => key.alg === 'ES256' && key.state === state);
    const isActive = async (node: RunningServer, jwt: string) =>
      (await post(node, '/oauth2/introspect', { token: jwt }, basic(client))).json.active;

    async function kill(
      kind: Transition['kind'],
      step: RotationStep,
      more: Pick<KilledRotation, 'revokes'> = {},
    ): Promise<void> {
      const { rootKey, config } = cluster;
      await killed({
        url,
        issuer: config.issuer,
        environment: config.environment,
        rootKey,
        policy: policy(),
        offset: time.offset,
        kill: { kind, step },
        ...more,
      });
      count(kind, step);
    }

    function count(kind: Transition['kind'], step: RotationStep): void {
      kills += 1;
      points.add(`${kind} ${step}`);
    }

    /** A node started after the kill, closed in any case. */
    async function restart(
      check: (node: RunningServer) => Promise<void>,
      algorithms?: readonly SigningAlgorithm[],
    ): Promise<void> {
      const node = await startHere(algorithms);
      try {
        await check(node);
      } finally {
        await node.close();
      }
    }

    for (const step of STEPS) {
      it(`loses no key and no token when a node dies at "${step}" of "activate"`, async function () {
        this.timeout(timeLimit(60_000));
        // RSA pairs take long to make: where an algorithm is left behind by the kill, both are there, else one.
        const algorithms: SigningAlgorithm[] = step === 'committed' ? ['ES256', 'RS256'] : ['ES256'];
        for (let left = ROUNDS; left > 0; left -= 1) {
          const successor = keyIn(await ringNow(), 'announced');
          const node = await startChildNode({
            env: {
              CLAVIGER_ISSUER: ISSUER,
              CLAVIGER_DATABASE_URL: url,
              CLAVIGER_HTTP_PORT: '0',
              CLAVIGER_HTTP_OPERATIONS_PORT: '0',
              CLAVIGER_LOG_FORMAT: 'json',
              CLAVIGER_LOG_LEVEL: 'error',
              ...SETTINGS,
            },
            rootKey: cluster.rootKey,
            offset: time.offset,
            algorithms,
            kill: { kind: 'activate', step, alg: 'ES256' },
          });
          try {
            const jwt = await token({ port: node.first?.port } as RunningServer, client);
            time.moveBy(ANNOUNCE_FOR + 1);
            expect(await node.moveBy(ANNOUNCE_FOR + 1), `${step} was not reached`).to.equal(undefined);
            count('activate', step);
            expectSound(await ringNow(), ['ES256']);
            time.moveBy(LEASE_LAPSES_FOR);
            await restart(async restarted => {
              await expectVerifies(restarted, jwt);
              const kid = await expectVerifies(restarted, await token(restarted, client));
              expect(kid, 'the rotation was completed').to.equal(successor?.kid);
              expect(await expectVerifies(restarted, await token(survivor, client))).to.equal(kid);
              verified += 3;
            }, algorithms);
            expectSound(await ringNow(), algorithms);
          } finally {
            await node.kill();
          }
        }
      });
    }

    for (const step of STEPS.filter(each => each !== 'generated')) {
      it(`leaves a key published or withdrawn, never half, after a kill at "${step}" of "retire"`, async function () {
        this.timeout(timeLimit(60_000));
        for (let left = ROUNDS; left > 0; left -= 1) {
          time.moveBy(ANNOUNCE_FOR + 1);
          await rotateNow(context, { alg: 'ES256', now: true, acceptsRisk: true });
          const due = (await ringNow()).keys.filter(({ state }) => state === 'retained');
          expect(due.length).to.be.greaterThan(0);
          time.moveBy(policy().retainFor + 1);
          // A lease that has not seen the present ring would hold back what the killed process does first.
          await survivor.ring.heartbeat();
          await survivor.ring.heartbeat();
          const jwt = await token(survivor, client);
          await kill('retire', step);
          const after = await ringNow();
          expectSound(after, ['ES256']);
          await restart(async restarted => {
            const kid = await expectVerifies(restarted, jwt);
            expect(after.keys.find(key => key.kid === kid)?.state).to.equal('retained');
            await expectVerifies(restarted, await token(restarted, client));
            verified += 2;
          });
          const { keys } = await ringNow();
          for (const { kid } of due) expect(keys.find(key => key.kid === kid)?.state).to.equal('retired');
        }
      });
    }

    for (const step of STEPS) {
      it(`revokes wholly or not at all, and a second command ends it, after a kill at "${step}" of "revoke"`, async function () {
        this.timeout(timeLimit(60_000));
        for (let left = ROUNDS; left > 0; left -= 1) {
          const before = await ringNow();
          const stolen = String(keyIn(before, 'active')?.kid);
          const successor = keyIn(before, 'announced')?.kid;
          const jwt = await token(survivor, client);
          await kill('revoke', step, { revokes: stolen });
          const isDone = step === 'committed';
          const between = await ringNow();
          expectSound(between, ['ES256']);
          if (!isDone) expect(between, 'nothing happened').to.deep.equal(before);
          await restart(async restarted => {
            expect(await isActive(restarted, jwt)).to.equal(!isDone);
            expect((await revokeSigningKey(context, stolen)) === undefined, 'was done').to.equal(isDone);
            await restarted.tick();
            await survivor.tick();
            for (const node of [restarted, survivor]) {
              expect(await isActive(node, jwt)).to.equal(false);
              expect(await expectVerifies(restarted, await token(node, client))).to.equal(successor);
              verified += 1;
            }
            const refused = await expectVerifies(restarted, jwt).catch(
              (error: { code: string }) => error.code,
            );
            expect(refused, 'withdrawn').to.equal('ERR_JWKS_NO_MATCHING_KEY');
          });
          const { keys, version } = await ringNow();
          expectSound({ keys, version }, ['ES256']);
          expect(keys.length, 'one new successor').to.equal(before.keys.length + 1);
        }
      });
    }

    it('is found out here when a step is written in two transactions instead of one (control)', async () => {
      const before = await ringNow();
      expectSound(before, ['ES256']);
      const active = keyIn(before, 'active');
      const on = (kid: string | undefined, state: SigningKey['state']) =>
        context.database.transaction(trx => trx('signing_keys').where({ kid }).update({ state }));
      await on(active?.kid, 'retained');
      // Here the process dies.
      const left = await ringNow()
        .then(ring => expectSound(ring, ['ES256']))
        .catch(String);
      expect(left).to.match(/active ES256 keys/);
      await on(active?.kid, 'active');
    });

    describe('of the very first keys', () => {
      before(() => survivor.close());

      for (const step of STEPS) {
        it(`makes sound ones after a kill at "${step}" of "create"`, async function () {
          this.timeout(timeLimit(60_000));
          for (let left = ROUNDS; left > 0; left -= 1) {
            await context.database.transaction(async trx => {
              await trx('signing_keys').delete();
              await trx('key_ring').update({ version: 0 });
            });
            await kill('create', step);
            const found = await ringNow();
            if (step === 'committed') expectSound(found, ['ES256']);
            else expect(found).to.deep.equal({ version: 0, keys: [] });
            await restart(async restarted => {
              const ring = await ringNow();
              expectSound(ring, ['ES256']);
              expect(ring.keys.length).to.equal(2);
              const { json } = await get(restarted, '/.well-known/jwks.json');
              expect((json.keys as unknown[]).length).to.equal(2);
            });
          }
        });
      }
    });
  });
});
