import { decodeJwt, decodeProtectedHeader, type JSONWebKeySet } from 'jose';
import type { Database } from '../../src/database/connect.js';
import { readRing } from '../../src/keys/key-store.js';
import { send } from '../support/load.js';
import { basic, Cluster, ISSUER, RESOURCE, type SeededClient } from '../support/nodes.js';
import { freshDatabase } from '../support/postgres.js';
import { isLong, seededRandom } from '../support/scale.js';
import { StrictVerifier } from '../support/verifier-with-cache.js';
import { DATED_WITHIN, expectNoneEarly, type Issued } from './rotation-issued.js';
import { type Fault, FiledTime, Machine } from './rotation-machines.js';
import { RefreshChains } from './rotation-refresh.js';

const RSA_RESOURCE = 'https://api.example.test/invoices';
/** Seconds. A node signs for 30 s after a heartbeat, so time moves in smaller steps. */
export const STEP_FOR = 20;
const TOKEN_FOR = 600;
export const VERIFIER_CACHE_FOR = 300;
/** For caches of five minutes and nodes whose knowledge is 30 s old. */
export const ANNOUNCE_FOR = 380;
/** Steps from one rotation to the next. */
export const ROTATION = ANNOUNCE_FOR / STEP_FOR;
export const NODES = 3;
const WORKERS = 3;
/** Refresh tokens in use. */
const CHAINS = 6;
/** Requests that each worker sends in a step. */
const REQUESTS = 2;
/** Live tokens that all verifiers see again in each step. */
const LOOKED_AT_AGAIN = 20;
/** A stopped or cut node answers late or never; what it says late is looked at all the same. */
const ANSWER_LIMIT = 20_000;

/** Three machines on one PostgreSQL, what asks them, and what was seen. */
export class Chaos {
  readonly time = new FiledTime();
  readonly machines: Machine[] = [];
  readonly issued: Issued[] = [];
  readonly wrong: string[] = [];
  readonly faults = new Map<string, number>();
  readonly statuses = new Map<string, number>();
  verified = 0;
  asked = 0;
  looks = 0;
  kept: Issued[] = [];
  readonly #random = seededRandom();
  readonly #servesForever: boolean;
  #cluster: Cluster | undefined;
  #drop: (() => Promise<void>) | undefined;
  #verifiers: ReadonlyMap<string, StrictVerifier>[] = [];
  #client: SeededClient | undefined;
  chains: RefreshChains | undefined;
  readonly #recoveries: Promise<void>[] = [];
  #isOver = false;
  #step = 0;
  #wake: (() => void)[] = [];

  constructor({ servesForever = false } = {}) {
    this.#servesForever = servesForever;
  }

  async open(): Promise<void> {
    const { url, drop } = await freshDatabase();
    this.#drop = drop;
    const env = {
      CLAVIGER_ISSUER: ISSUER,
      CLAVIGER_HTTP_PORT: '0',
      CLAVIGER_HTTP_OPERATIONS_PORT: '0',
      CLAVIGER_LOG_FORMAT: 'json',
      CLAVIGER_LOG_LEVEL: 'error',
      CLAVIGER_KEYS_ANNOUNCE_FOR: `${ANNOUNCE_FOR}s`,
      CLAVIGER_KEYS_ROTATE_EVERY: `${ANNOUNCE_FOR}s`,
      CLAVIGER_DATABASE_STATEMENT_TIMEOUT_AFTER: '1s',
    };
    const { time } = this;
    const cluster = new Cluster({ url, databaseClockOffset: () => time.moved.offset, env });
    this.#cluster = cluster;
    const given = { env, rootKey: cluster.rootKey, servesForever: this.#servesForever };
    for (let slot = 1; slot <= NODES; slot += 1) {
      this.machines.push(await Machine.build(slot, time, url, given, isLong && slot === 1));
    }
    // The first makes the schema and the first keys; the others would wait for it.
    const [first, ...others] = this.machines;
    await first?.start();
    await Promise.all(others.map(machine => machine.start()));
    await cluster.resourceServer({ accessTokenFor: TOKEN_FOR });
    await cluster.resourceServer({
      identifier: RSA_RESOURCE,
      scopes: ['invoices.read'],
      accessTokenFor: TOKEN_FOR,
      alg: 'RS256',
    });
    this.#client = await cluster.client({
      resources: [
        { identifier: RESOURCE, scopes: ['orders.read'] },
        { identifier: RSA_RESOURCE, scopes: ['invoices.read'] },
      ],
    });
    this.chains = await RefreshChains.open(cluster, this.machines.slice(1), CHAINS);
    // One verifier of each resource beside each node: it asks that one first, however broken it is.
    this.#verifiers = this.machines.map(
      machine =>
        new Map(
          [RESOURCE, RSA_RESOURCE].map(audience => [
            audience,
            new StrictVerifier({
              jwksUri: '/.well-known/jwks.json',
              issuer: ISSUER,
              audience,
              now: () => Date.now(),
              cacheFor: VERIFIER_CACHE_FOR,
              fetchKeySet: path => this.#fetchKeySet(machine, path),
            }),
          ]),
        ),
    );
  }

  async close(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const wake of this.#wake.splice(0)) wake();
    await Promise.all(this.machines.map(machine => machine.remove()));
    await this.#cluster?.close();
    await this.#drop?.();
    this.time.remove();
  }

  async database(): Promise<Database> {
    if (this.#cluster === undefined) throw new Error('not open');
    return (await this.#cluster.operator()).database;
  }

  #count(key: string): void {
    this.statuses.set(key, (this.statuses.get(key) ?? 0) + 1);
  }

  async #fetchKeySet(first: Machine, path: string): Promise<JSONWebKeySet> {
    for (const machine of [first, ...this.machines.filter(other => other !== first)]) {
      if (machine.port === 0) continue;
      const url = machine.urlOf(path);
      const limit = machine.fault === undefined ? ANSWER_LIMIT : 300;
      const answer = await send(machine.agent, { url }, limit).catch(() => undefined);
      if (answer?.status === 200) return JSON.parse(answer.body) as JSONWebKeySet;
    }
    throw new Error('no node has a key set');
  }

  /** One who asks a node, over and over, as often as the steps of time allow. */
  async #work(machine: Machine): Promise<void> {
    let step = this.#step;
    for (let sent = 0; !this.#isOver; sent += 1) {
      if (sent % REQUESTS === 0) {
        while (this.#step === step && !this.#isOver) await new Promise<void>(done => this.#wake.push(done));
        step = this.#step;
      }
      if (machine.port === 0 || this.#isOver) continue;
      const kind = this.#random();
      if (kind >= 0.5 && kind < 0.7) await this.#refresh(machine);
      else if (kind < 0.5) await this.#askForToken(machine, kind < 0.05 ? RSA_RESOURCE : RESOURCE);
      else if (kind < 0.85) await this.#introspect(machine);
      else await this.#askInPublic(machine, kind < 0.95 ? 'jwks.json' : 'openid-configuration');
    }
  }

  async #post(
    machine: Machine,
    path: string,
    form: Record<string, string>,
    headers: Readonly<Record<string, string>> = basic(this.#client as SeededClient),
  ) {
    const isHealthy = machine.fault === undefined;
    this.asked += 1;
    const sent = {
      url: machine.urlOf(path),
      headers: {
        ...headers,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams(form).toString(),
    };
    const answer = await send(machine.agent, sent, ANSWER_LIMIT).catch(() => undefined);
    this.#count(
      `${isHealthy && machine.fault === undefined ? 'healthy' : 'broken'} ${answer?.status ?? 'none'}`,
    );
    return answer;
  }

  async #askForToken(machine: Machine, resource: string): Promise<void> {
    const askedAt = Date.now();
    const answer = await this.#post(machine, '/oauth2/token', { grant_type: 'client_credentials', resource });
    if (answer?.status !== 200) return;
    await this.#receive(
      machine,
      (JSON.parse(answer.body) as { access_token: string }).access_token,
      resource,
      askedAt,
    );
  }

  async #refresh(machine: Machine): Promise<void> {
    const chain = this.chains?.take();
    if (chain === undefined) return;
    const askedAt = Date.now();
    const form = { grant_type: 'refresh_token', refresh_token: chain.refreshToken };
    const faultBefore = machine.fault;
    const answer = await this.#post(machine, '/oauth2/token', form, this.chains?.headers);
    const { jwt, wrong } = this.chains?.settle(chain, answer, faultBefore ?? machine.fault) ?? {};
    if (wrong !== undefined) this.wrong.push(wrong);
    if (jwt !== undefined) await this.#receive(machine, jwt, RESOURCE, askedAt);
  }

  async #receive(machine: Machine, jwt: string, resource: string, askedAt: number): Promise<void> {
    const kid = String(decodeProtectedHeader(jwt).kid);
    const { iat = 0, exp = 0 } = decodeJwt(jwt);
    const one = { jwt, resource, kid, iat, askedAt, receivedAt: Date.now() };
    this.issued.push(one);
    if (exp * 1000 <= Date.now()) {
      // A node that was stopped in the middle may release it when it is dead, but not with a wrong date.
      if (iat * 1000 < askedAt - DATED_WITHIN)
        this.wrong.push(`dated ${iat * 1000 - askedAt} ms before it was asked for`);
      return;
    }
    await this.#verify(one, `at once, ${machine.fault ?? 'healthy'}`);
    if (resource === RSA_RESOURCE || this.#random() < 0.1) this.kept.push(one);
  }

  async #introspect(machine: Machine): Promise<void> {
    const { clientId } = this.#client as SeededClient;
    const own = this.kept.filter(({ jwt }) => decodeJwt(jwt).client_id === clientId);
    const one = own[Math.floor(this.#random() * own.length)];
    if (one === undefined) return;
    const answer = await this.#post(machine, '/oauth2/introspect', { token: one.jwt });
    if (answer?.status !== 200 || (one.iat + TOKEN_FOR) * 1000 <= Date.now() + STEP_FOR * 1000) return;
    const { active } = JSON.parse(answer.body) as { active: boolean };
    // By a clock a year ahead every token is dead; that node also says that it is not ready.
    if (!active && machine.fault === undefined) this.wrong.push('a live token is inactive');
  }

  async #askInPublic(machine: Machine, path: string): Promise<void> {
    const isHealthy = machine.fault === undefined;
    this.asked += 1;
    const url = machine.urlOf(`/.well-known/${path}`);
    const answer = await send(machine.agent, { url }, ANSWER_LIMIT).catch(() => undefined);
    const isStill = isHealthy && machine.fault === undefined;
    this.#count(`${isStill ? 'healthy' : 'broken'} ${answer?.status ?? 'none'}`);
    if (answer?.status !== 200 || path !== 'jwks.json') return;
    const { keys } = JSON.parse(answer.body) as { keys: unknown[] };
    if (keys.length < 4) this.wrong.push(`a key set of ${keys.length} keys`);
  }

  async #verify(one: Issued, when: string): Promise<void> {
    for (const [at, verifier] of this.#verifiers.entries()) {
      if ((one.iat + TOKEN_FOR) * 1000 <= Date.now()) return;
      try {
        await verifier.get(one.resource)?.verify(one.jwt);
        this.verified += 1;
      } catch (error) {
        // Time goes on while a verifier fetches its keys.
        if ((one.iat + TOKEN_FOR) * 1000 <= Date.now()) return;
        this.wrong.push(`${when}, verifier ${at + 1}: ${error instanceof Error ? error.message : error}`);
      }
    }
  }

  /**
   * Time goes on; nodes do what they can, clients ask, verifiers verify.
   *
   * @param breaking happens while requests are under way
   */
  async move(breaking?: () => Promise<void>): Promise<void> {
    this.time.moveBy(STEP_FOR);
    this.#step += 1;
    for (const wake of this.#wake.splice(0)) wake();
    if (breaking !== undefined) {
      // Any moment between the arrival of the requests and their answers, which takes some 20 ms.
      await new Promise(done => setTimeout(done, this.#random() * 20));
      await breaking();
    }
    const healthy = this.machines.filter(({ fault }) => fault === undefined);
    for (const machine of this.machines)
      if (machine.fault !== undefined) void machine.tick(0).catch(() => undefined);
    await Promise.all(healthy.map(machine => machine.tick(ANSWER_LIMIT)));
    this.kept = this.kept.filter(({ iat }) => (iat + TOKEN_FOR) * 1000 > Date.now());
    await Promise.all(this.kept.slice(-LOOKED_AT_AGAIN).map(one => this.#verify(one, 'later')));
    const actives = await (await this.database()).read(on =>
      on('signing_keys').where({ state: 'active' }).select('alg'),
    );
    this.looks += 1;
    const algorithms = (actives as { alg: string }[]).map(({ alg }) => alg).sort();
    if (algorithms.join() !== 'ES256,RS256') this.wrong.push(`active keys: ${algorithms}`);
  }

  /** The workers of all machines, until it is over. */
  startWork(): Promise<unknown> {
    return Promise.all(
      this.machines.flatMap(machine => Array.from({ length: WORKERS }, () => this.#work(machine))),
    );
  }

  async begin(fault: Fault, machine: Machine): Promise<void> {
    machine.fault = fault.kind;
    this.faults.set(fault.kind, (this.faults.get(fault.kind) ?? 0) + 1);
    await fault.begin(machine);
  }

  async end(fault: Fault, machine: Machine): Promise<void> {
    await fault.end(machine);
    machine.fault = 'recovering';
    this.#recoveries.push(
      machine.tick(ANSWER_LIMIT).then(hasTicked => {
        if (!hasTicked) this.wrong.push(`a node did not recover from ${fault.kind}`);
        machine.fault = undefined;
      }),
    );
  }

  /** Every node that was broken works again. */
  async recovered(): Promise<void> {
    await Promise.all(this.#recoveries);
  }

  /** The next of the faults falls on any of the machines that work, as long as another one does. */
  target(): Machine | undefined {
    const healthy = this.machines.filter(({ fault }) => fault === undefined);
    return healthy.length < 2 ? undefined : healthy[Math.floor(this.#random() * healthy.length)];
  }

  pick<Of>(from: readonly Of[]): Of {
    return from[Math.floor(this.#random() * from.length)] as Of;
  }

  async rotations(): Promise<number> {
    const { keys } = await (await this.database()).read(readRing);
    return keys.filter(({ alg, activatedAt }) => alg === 'ES256' && activatedAt !== undefined).length - 1;
  }

  async expectNoneEarly(): Promise<void> {
    expectNoneEarly(this.issued, await (await this.database()).read(readRing), ANNOUNCE_FOR);
  }
}
