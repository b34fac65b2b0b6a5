import { expect } from 'chai';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import type { RunningServer } from '../../src/server.js';
import { BrokenNetwork, type NetworkMode } from '../support/broken-network.js';
import { installMovedTime, type MovedTime } from '../support/moved-time.js';
import { basic, Cluster, get, post, type SeededClient, token } from '../support/nodes.js';
import { freshDatabase } from '../support/postgres.js';
import { figure, isLong, timeLimit } from '../support/scale.js';

const PUBLIC = ['/.well-known/jwks.json', '/oauth2/jwks', '/.well-known/openid-configuration'] as const;
/** Seconds. */
const STEP_FOR = 20;
const OUTAGE_FOR = 11 * 60;

describe('a database that is out of reach', () => {
  let time: MovedTime;
  let network: BrokenNetwork;
  let cluster: Cluster;
  let node: RunningServer;
  let client: SeededClient;
  let drop: () => Promise<void>;

  beforeEach(async () => {
    time = installMovedTime();
    const database = await freshDatabase();
    drop = database.drop;
    const broken = await BrokenNetwork.inFrontOf(database.url);
    network = broken.network;
    cluster = new Cluster({
      url: broken.url,
      clock: time.clock,
      databaseClockOffset: time.databaseClockOffset,
      env: { CLAVIGER_DATABASE_STATEMENT_TIMEOUT_AFTER: '1s' },
    });
    node = await cluster.start({ hasTimers: false });
    await cluster.resourceServer();
    client = await cluster.client();
    await token(node, client);
  });

  afterEach(async () => {
    network.become('pass');
    await cluster.close();
    await network.close();
    await drop();
    time.restore();
  });

  const ask = () => post(node, '/oauth2/token', { grant_type: 'client_credentials' }, basic(client));

  /** A client that repeats its request after the second it was told, while nothing else happens on the node. */
  async function expectServed(): Promise<void> {
    let attempts = 1;
    time.moveBy(1);
    while ((await ask()).status !== 200) {
      attempts += 1;
      time.moveBy(1);
      expect(attempts, 'attempts').to.be.below(5);
    }
    figure(`after the outage: served at attempt ${attempts}, no timers`);
  }

  async function expectRefused(): Promise<void> {
    const { status, headers, json } = await ask();
    expect(status).to.equal(503);
    expect(Number(headers.get('retry-after'))).to.be.greaterThan(0);
    expect(json.error).to.equal('temporarily_unavailable');
    expect(headers.get('cache-control')).to.equal('no-store');
  }

  for (const mode of ['refuse', 'drop'] as const satisfies readonly NetworkMode[]) {
    it(`answers every request for keys and metadata for ${OUTAGE_FOR / 60} minutes (${mode}; requirement 70)`, async function () {
      this.timeout(timeLimit(120_000));
      const before = new Map<string, string>();
      for (const path of PUBLIC) before.set(path, (await get(node, path)).text);
      network.become(mode);
      let answered = 0;
      for (let moved = 0; moved < OUTAGE_FOR; moved += STEP_FOR) {
        time.moveBy(STEP_FOR);
        for (const path of PUBLIC) {
          const { status, text } = await get(node, path);
          expect(status, path).to.equal(200);
          expect(text, path).to.equal(before.get(path));
          answered += 1;
        }
        // Behind dropped packets every attempt takes seconds of real time.
        if (mode === 'drop' && moved % (OUTAGE_FOR / 2) !== 0) continue;
        if (mode !== 'drop' || moved === 0) await node.tick();
        await expectRefused();
      }
      expect((JSON.parse(before.get(PUBLIC[0]) ?? '') as { keys: unknown[] }).keys.length).to.equal(4);
      expect((await get(node, '/readyz')).status).to.equal(503);
      figure(`outage (${mode}) of ${OUTAGE_FOR} s: ${answered} answers of JWKS and metadata, 0 failed`);
      network.become('pass');
      await expectServed();
    });
  }

  it('stops showing the keys when a verifier could no longer rely on them, and shows no empty set (control)', async () => {
    const { serveJwksFor } = deriveKeyPolicy(cluster.config);
    network.become('refuse');
    time.moveBy(serveJwksFor - 5);
    expect((await get(node, PUBLIC[0])).status).to.equal(200);
    time.moveBy(10);
    const { status, headers, json } = await get(node, PUBLIC[0]);
    expect(status).to.equal(503);
    expect(json).to.not.have.property('keys');
    expect(headers.get('cache-control')).to.equal('no-store');
    expect(headers.get('retry-after')).to.equal('5');
    network.become('pass');
    await node.tick();
    expect((await get(node, PUBLIC[0])).status).to.equal(200);
  });

  it('may sign for 30 s after its last heartbeat, and asks again before it signs later', async () => {
    await node.tick();
    time.moveBy(29);
    expect(node.ring.canSign).to.equal(true);
    time.moveBy(2);
    expect(node.ring.canSign).to.equal(false);
    expect((await get(node, '/readyz')).status).to.equal(503);
    network.become('refuse');
    await expectRefused();
    expect(node.ring.canSign).to.equal(false);
    network.become('pass');
    await expectServed();
    expect(node.ring.canSign).to.equal(true);
  });

  it('counts the age by both clocks: one stands still while a machine sleeps, the other can be set back', async () => {
    const wall = { ...time.clock };
    await node.tick();
    network.become('refuse');
    // Only the wall clock went on: the machine slept.
    const slept = { now: () => wall.now() + 31_000, monotonic: wall.monotonic };
    Object.assign(time.clock, slept);
    expect(node.ring.canSign).to.equal(false);
    // Set back by an hour while 31 s passed.
    Object.assign(time.clock, {
      now: () => wall.now() - 3_600_000,
      monotonic: () => wall.monotonic() + 31_000,
    });
    expect(node.ring.canSign).to.equal(false);
    Object.assign(time.clock, wall);
    expect(node.ring.canSign, 'control').to.equal(true);
  });

  if (isLong) {
    it('survives a real minute without the database, timers running', async function () {
      this.timeout(timeLimit(0));
      const running = await cluster.start();
      network.become('drop');
      const until = performance.now() + 60_000;
      let answered = 0;
      while (performance.now() < until) {
        for (const path of PUBLIC) {
          expect((await get(running, path)).status, path).to.equal(200);
          answered += 1;
        }
        await new Promise(done => setTimeout(done, 250));
      }
      network.become('pass');
      let status = 0;
      const late = performance.now() + 30_000;
      for (; status !== 200 && performance.now() < late; ) {
        status = (await post(running, '/oauth2/token', { grant_type: 'client_credentials' }, basic(client)))
          .status;
      }
      expect(status).to.equal(200);
      figure(`real outage of 60 s: ${answered} answers of JWKS and metadata, 0 failed`);
    });
  }
});
