import { expect } from 'chai';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { rotateNow } from '../../src/keys/rotate.js';
import type { RunningServer } from '../../src/server.js';
import { freshSqlite } from '../support/databases.js';
import { startLoad } from '../support/load.js';
import { installMovedTime, type MovedTime } from '../support/moved-time.js';
import { basic, Cluster, ISSUER, OPERATOR, RESOURCE, token, urlOf } from '../support/nodes.js';
import { freshDatabase } from '../support/postgres.js';
import { figure, isLong, rounds, seededRandom, timeLimit } from '../support/scale.js';
import { StrictVerifier } from '../support/verifier-with-cache.js';

const RSA_RESOURCE = 'https://api.example.test/invoices';
const CONNECTIONS = 32;
/** Seconds. A node signs for 30 s after a heartbeat, so time moves in smaller steps. */
const STEP_FOR = 20;
/** Requests of a step in which nothing rotates; while a rotation is under way every connection runs at full speed. */
const QUIET_REQUESTS = 2 * CONNECTIONS;
const TOKEN_FOR = 600;
const VERIFIER_CACHE_FOR = 300;
/** The short version announces for as long as caches of five minutes and nodes 30 s behind can bear. */
const ANNOUNCE_FOR = isLong ? 1500 : 380;

interface Kept {
  readonly jwt: string;
  readonly resource: string;
  readonly expiresAt: number;
}

function partOf(jwt: string, index: 0 | 1): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt.split('.')[index] ?? '', 'base64url').toString());
}

/** Holds the load back where nothing happens, so that hours of announcements pass in seconds. */
class Gate {
  #left = 0;
  #isWide = false;
  #wake: (() => void)[] = [];

  /** @param requests that may pass, or all until the next step */
  open(requests: number | 'all'): void {
    this.#isWide = requests === 'all';
    if (requests !== 'all') this.#left = requests;
    for (const wake of this.#wake.splice(0)) wake();
  }

  async pass(): Promise<void> {
    while (!this.#isWide && this.#left <= 0) await new Promise<void>(done => this.#wake.push(done));
    this.#left -= 1;
  }
}

describe('key rotation under load', () => {
  let time: MovedTime;
  let cluster: Cluster;
  let drop: () => Promise<void>;

  async function open(fresh: typeof freshDatabase): Promise<void> {
    const database = await fresh();
    drop = database.drop;
    cluster = new Cluster({
      url: database.url,
      clock: time.clock,
      databaseClockOffset: time.databaseClockOffset,
      env: { CLAVIGER_KEYS_ANNOUNCE_FOR: `${ANNOUNCE_FOR}s`, CLAVIGER_KEYS_ROTATE_EVERY: `${ANNOUNCE_FOR}s` },
    });
  }

  beforeEach(() => {
    time = installMovedTime();
  });

  afterEach(async () => {
    await cluster.close();
    await drop();
    time.restore();
  });

  function verifiersOf(node: RunningServer): ReadonlyMap<string, StrictVerifier> {
    return new Map(
      [RESOURCE, RSA_RESOURCE].map(audience => [
        audience,
        new StrictVerifier({
          jwksUri: urlOf(node, '/.well-known/jwks.json'),
          issuer: ISSUER,
          audience,
          now: () => Date.now(),
          cacheFor: VERIFIER_CACHE_FOR,
        }),
      ]),
    );
  }

  /** Rotates until `wanted` keys of each algorithm have taken over, while clients ask and verifiers verify. */
  async function rotateUnderLoad(wanted: number, gate: Gate) {
    const random = seededRandom();
    const client = await cluster.client({
      resources: [
        { identifier: RESOURCE, scopes: ['orders.read'] },
        { identifier: RSA_RESOURCE, scopes: ['invoices.read'] },
      ],
    });
    const nodes = cluster.nodes;
    const verifiers = nodes.map(verifiersOf);
    const unverifiable: string[] = [];
    const kept: Kept[] = [];
    const kids = new Set<string>();
    let verified = 0;
    let keepNext = true;

    async function verify(at: number, resource: string, jwt: string, when: string): Promise<void> {
      try {
        await verifiers[at]?.get(resource)?.verify(jwt);
        verified += 1;
      } catch (error) {
        unverifiable.push(`${when}: ${error instanceof Error ? error.message : error}`);
      }
    }

    const authorization = basic(client);
    const load = startLoad({
      connections: CONNECTIONS,
      next: count => {
        const node = nodes[count % nodes.length] as RunningServer;
        // RSA signatures are slow; a few are enough to see that its ring rotates as well.
        const resource = count % 16 === 0 ? RSA_RESOURCE : RESOURCE;
        return {
          url: urlOf(node, '/oauth2/token'),
          headers: { ...authorization, 'content-type': 'application/x-www-form-urlencoded' },
          body: new URLSearchParams({ grant_type: 'client_credentials', resource }).toString(),
        };
      },
      onResponse: async ({ status, body }, sent) => {
        if (status !== 200) return;
        const jwt = (JSON.parse(body) as { access_token: string }).access_token;
        const resource = new URLSearchParams(sent.body).get('resource') ?? RESOURCE;
        kids.add(String(partOf(jwt, 0).kid));
        if (keepNext) {
          keepNext = false;
          kept.push({ jwt, resource, expiresAt: Number(partOf(jwt, 1).exp) * 1000 });
        }
        await verify(Math.floor(random() * nodes.length), resource, jwt, 'at once');
        await gate.pass();
      },
    });

    const rotations = () =>
      (nodes[0] as RunningServer).ring.served.ring.keys.filter(
        ({ alg, activatedAt }) => alg === 'ES256' && activatedAt !== undefined,
      ).length - 1;
    const mostSteps = ((wanted + 2) * ANNOUNCE_FOR) / STEP_FOR;
    const settle = Math.ceil(VERIFIER_CACHE_FOR / STEP_FOR) + 1;
    let steps = 0;
    for (let after = 0; after < settle && steps < mostSteps; steps += 1) {
      if (rotations() >= wanted) after += 1;
      time.moveBy(STEP_FOR);
      const answered = load.responses + CONNECTIONS;
      gate.open(QUIET_REQUESTS);
      for (const node of nodes) await node.tick();
      keepNext = true;
      gate.open(QUIET_REQUESTS);
      while (load.responses < answered) await new Promise(setImmediate);
      // Every token that is not yet dead, with whatever key set each verifier holds by now. (Verifying takes time.)
      const soon = time.clock.now() + 5_000;
      while (kept[0] !== undefined && kept[0].expiresAt <= soon) kept.shift();
      for (const { jwt, resource } of kept)
        for (const at of nodes.keys()) await verify(at, resource, jwt, 'later');
    }
    gate.open('all');
    return { ...(await load.stop()), rotations: rotations(), unverifiable, verified, kids: kids.size, steps };
  }

  for (const { where, fresh, count } of [
    { where: 'three nodes on PostgreSQL', fresh: freshDatabase, count: 3 },
    { where: 'one node on SQLite', fresh: freshSqlite, count: 1 },
  ]) {
    for (const keyUpdate of ['replace', 'swap'] as const) {
      // The short version takes each way once.
      if (!isLong && (keyUpdate === 'replace') !== (count === 3)) continue;
      const how = keyUpdate === 'replace' ? 'keys replaced in the live Provider' : 'a new Provider each time';
      it(`fails no request and no strict verifier on ${where}, ${how} (requirement 61)`, async function () {
        this.timeout(timeLimit(120_000));
        await open(fresh);
        const gate = new Gate();
        for (let started = 0; started < count; started += 1)
          await cluster.start({ hasTimers: false, keyUpdate, onRotationStep: () => gate.open('all') });
        await cluster.resourceServer({ accessTokenFor: TOKEN_FOR });
        await cluster.resourceServer({
          identifier: RSA_RESOURCE,
          scopes: ['invoices.read'],
          accessTokenFor: TOKEN_FOR,
          alg: 'RS256',
        });
        const wanted = rounds({ short: 6, long: 24 });
        const seen = await rotateUnderLoad(wanted, gate);
        const failed = seen.responses - (seen.statuses.get(200) ?? 0) + seen.errors.length;
        figure(
          `rotation, ${where}, ${keyUpdate}: ${seen.rotations} rotations of each algorithm in ${seen.steps} steps of ${STEP_FOR} s, ${CONNECTIONS} connections: ${seen.responses} requests, ${failed} failed; ${seen.verified} verifications, ${seen.unverifiable.length} failed; ${seen.kids} keys signed; p50 ${seen.latencies[seen.latencies.length >> 1]?.toFixed(0)} ms, longest ${seen.latencies.at(-1)?.toFixed(0)} ms`,
        );
        expect(seen.unverifiable.slice(0, 3)).to.deep.equal([]);
        expect(seen.errors).to.deep.equal([]);
        expect([...seen.statuses.keys()]).to.deep.equal([200]);
        expect(seen.rotations).to.be.at.least(wanted);
        expect(seen.kids).to.be.at.least(2 * wanted);
      });
    }
  }

  it('meets the verifier with an unknown key when the announcement is skipped (control)', async () => {
    await open(freshSqlite);
    const node = await cluster.start({ hasTimers: false });
    await cluster.resourceServer();
    const client = await cluster.client();
    const verifier = verifiersOf(node).get(RESOURCE);
    const { database, keys, nodeId } = await cluster.operator();
    const context = {
      database,
      nodeId,
      policy: deriveKeyPolicy(cluster.config),
      envelope: keys.signingKeyEnvelope,
      actor: OPERATOR,
    };
    await verifier?.verify(await token(node, client));
    const rotate = async (acceptsRisk: boolean) => {
      const [decision] = await rotateNow(context, { alg: 'ES256', now: true, acceptsRisk });
      await node.tick();
      await node.tick();
      return decision?.outcome;
    };
    expect(await rotate(false), 'refused by default').to.equal('needs_acceptance');
    expect(await rotate(true)).to.equal('rotates');
    // This one was announced before the verifier looked.
    await verifier?.verify(await token(node, client));
    expect(await rotate(true)).to.equal('rotates');
    const jwt = await token(node, client);
    const refused = await verifier?.verify(jwt).catch((error: { code: string }) => error.code);
    expect(refused).to.equal('ERR_JWKS_NO_MATCHING_KEY');
    time.moveBy(VERIFIER_CACHE_FOR);
    await node.tick();
    await verifier?.verify(jwt);
  });
});
