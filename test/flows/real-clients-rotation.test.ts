import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { Secret } from '../../src/config/config.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { requireKey } from '../../src/keys/key-state.js';
import { readRing } from '../../src/keys/key-store.js';
import { rotateNow } from '../../src/keys/rotate.js';
import { createLogger } from '../../src/log.js';
import { type RunningServer, startServer } from '../../src/server.js';
import { freshSqlite } from '../support/databases.js';
import { installMovedTime, type MovedTime } from '../support/moved-time.js';
import { Cluster, OPERATOR, RESOURCE, type SeededClient, token } from '../support/nodes.js';
import type { FreshDatabase } from '../support/postgres.js';
import { figure } from '../support/scale.js';
import type { Verdicts, VerifyRequest } from './real-clients-verifiers.js';

const RSA_RESOURCE = 'https://api.example.test/invoices';
/** Seconds. */
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const LEASE_LAPSES_FOR = 31;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise(done => server.close(done));
  return port;
}

describe('other people’s verifiers, with their defaults, through rotations', () => {
  let time: MovedTime;
  let database: FreshDatabase;
  let cluster: Cluster;
  let client: SeededClient;
  /** Listens where the issuer says: the one that verifiers ask. */
  let asked: RunningServer;
  let verifiers: ChildProcess;
  let verified: Map<string, number>;

  beforeEach(async function () {
    this.timeout(60_000);
    time = installMovedTime();
    database = await freshSqlite();
    const port = await freePort();
    const issuer = `http://127.0.0.1:${port}`;
    cluster = new Cluster({
      url: database.url,
      clock: time.clock,
      databaseClockOffset: time.databaseClockOffset,
      env: { CLAVIGER_ISSUER: issuer, CLAVIGER_HTTP_PORT: String(port), CLAVIGER_HTTP_HOST: '127.0.0.1' },
    });
    asked = await cluster.start({ hasTimers: false });
    await cluster.resourceServer();
    await cluster.resourceServer({ identifier: RSA_RESOURCE, scopes: ['invoices.read'], alg: 'RS256' });
    client = await cluster.client({
      resources: [
        { identifier: RESOURCE, scopes: ['orders.read'] },
        { identifier: RSA_RESOURCE, scopes: ['invoices.read'] },
      ],
    });
    verifiers = fork(join(import.meta.dirname, 'real-clients-verifiers.ts'), [issuer], {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    await once(verifiers, 'message');
    verified = new Map();
  });

  afterEach(async () => {
    verifiers.kill('SIGKILL');
    await cluster.close();
    await database.drop();
    time.restore();
  });

  async function verdictsOn(jwt: string, audience: string): Promise<Verdicts> {
    const request: VerifyRequest = { offset: time.offset, jwt, audience };
    const told = once(verifiers, 'message');
    verifiers.send(request);
    const [verdicts] = (await told) as [Verdicts];
    return verdicts;
  }

  async function expectVerified(jwt: string, audience: string, when: string): Promise<void> {
    for (const [library, verdict] of Object.entries(await verdictsOn(jwt, audience))) {
      expect(verdict, `${library}, ${when}`).to.equal('verified');
      verified.set(library, (verified.get(library) ?? 0) + 1);
    }
  }

  const issue = (audience: string, node = asked) => token(node, client, { resource: audience });

  async function moveBy(seconds: number): Promise<void> {
    time.moveBy(seconds);
    await asked.tick();
    await asked.tick();
  }

  /** A fresh token of each algorithm, seen by every library as it stands, its cache as warm as it is. */
  async function look(when: string): Promise<void> {
    for (const audience of [RESOURCE, RSA_RESOURCE]) {
      await expectVerified(await issue(audience), audience, when);
    }
  }

  const activeKid = () => String(asked.ring.served.signing.get('ES256')?.kid);
  const keyOf = async (kid: string) =>
    requireKey(await (await cluster.operator()).database.read(readRing), kid);

  it('verify every token through two whole rotations of 30 days (requirement 61)', async function () {
    this.timeout(120_000);
    const { keys } = cluster.config;
    const { retainFor } = deriveKeyPolicy(cluster.config);
    expect(keys.announceFor, 'the default').to.equal(DAY);
    for (const rotation of [1, 2]) {
      const old = activeKid();
      await look(`before rotation ${rotation}`);
      // Caches of a minute, of five and of ten, of an hour, of a day and of a week come to their end.
      for (const seconds of [31, 5 * MINUTE, 11 * MINUTE, HOUR, DAY, 8 * DAY]) {
        await moveBy(seconds);
        await look(`while the successor of rotation ${rotation} is announced`);
      }
      const moveTo = async (seconds: number) => {
        const { activatedAt = 0 } = await keyOf(old);
        await moveBy((activatedAt - time.clock.now()) / 1000 + keys.rotateEvery - seconds);
      };
      await moveTo(HOUR);
      await look('an hour before');
      await moveTo(5);
      expect(activeKid(), 'five seconds before').to.equal(old);
      await look('just before');
      const last = await Promise.all(
        [RESOURCE, RSA_RESOURCE].map(async one => [one, await issue(one)] as const),
      );
      await moveBy(6);
      expect(activeKid(), 'promoted').to.not.equal(old);
      for (const seconds of [0, 1, 10, 20, 30, 4 * MINUTE, 4 * MINUTE]) {
        await moveBy(seconds);
        await look(`after promotion ${rotation}`);
        for (const [audience, jwt] of last) await expectVerified(jwt, audience, 'of the retained key');
      }
      expect((await keyOf(old)).state).to.equal('retained');
      await moveBy(retainFor);
      expect((await keyOf(old)).state).to.equal('retired');
      await look(`after rotation ${rotation}`);
    }
    const counts = [...verified].map(([library, count]) => `${library} ${count}`).join(', ');
    figure(`two rotations of 30 d, verified with defaults and one instance each: ${counts}; none refused`);
    expect(verified.size).to.equal(6);
  });

  it('refuse a key that signs before every node shows it: one of them for a week (control)', async function () {
    this.timeout(120_000);
    const { config, rootKey } = cluster;
    const ahead = await startServer({
      config: { ...config, http: { ...config.http, port: 0, operationsPort: 0 } },
      rootKey: new Secret(rootKey),
      log: createLogger(config.log, { write: () => undefined }),
      clock: time.clock,
      databaseClockOffset: time.databaseClockOffset,
      hasTimers: false,
    });
    try {
      await look('warm');
      const { database: on, keys, nodeId } = await cluster.operator();
      const policy = deriveKeyPolicy(config);
      const context = { database: on, nodeId, policy, envelope: keys.signingKeyEnvelope, actor: OPERATOR };
      // Twice without waiting, while the node that verifiers ask has lost the database and so shows neither.
      for (const rotation of [1, 2]) {
        time.moveBy(LEASE_LAPSES_FOR);
        const [decision] = await rotateNow(context, { alg: 'RS256', now: true, acceptsRisk: true });
        expect(decision?.outcome, `rotation ${rotation}`).to.equal('rotates');
        await ahead.tick();
      }
      const refusals = async () => {
        const verdicts = await verdictsOn(await issue(RSA_RESOURCE, ahead), RSA_RESOURCE);
        return Object.keys(verdicts).filter(library => verdicts[library] !== 'verified');
      };
      const told = [`at once: ${(await refusals()).join(', ')}`];
      expect(await refusals()).to.have.members([...verified.keys()]);
      await asked.tick();
      const later = async (seconds: number, name: string) => {
        time.moveBy(seconds);
        await ahead.tick();
        await asked.tick();
        // Its penalty of ten seconds counts by a timer, which nobody moves.
        const left = (await refusals()).filter(library => library !== 'aws-jwt-verify');
        told.push(`${name}: ${left.join(', ') || 'none'}`);
        return left;
      };
      expect(await later(1, '1 s after it is published')).to.include.members(['jose', 'fastify-jwt-jwks']);
      expect(await later(MINUTE, 'a minute')).to.deep.equal(['fastify-jwt-jwks']);
      expect(await later(6 * DAY, 'six days')).to.deep.equal(['fastify-jwt-jwks']);
      expect(await later(DAY, 'a week')).to.deep.equal([]);
      figure(`a key that signs unannounced is refused ${told.join('; ')}`);
    } finally {
      await ahead.close();
    }
  });
});
