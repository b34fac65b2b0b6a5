import { expect } from 'chai';
import { Secret } from '../../src/config/config.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { KeyRing } from '../../src/keys/key-ring.js';
import { nextTransition } from '../../src/keys/key-schedule.js';
import { readRing } from '../../src/keys/key-store.js';
import { createLogger } from '../../src/log.js';
import { type RunningServer, startServer } from '../../src/server.js';
import { startChildNode } from '../support/child-node.js';
import { forEachDatabase } from '../support/databases.js';
import { installMovedTime, type MovedTime } from '../support/moved-time.js';
import { basic, Cluster, get, ISSUER, post, RESOURCE, token, urlOf } from '../support/nodes.js';
import { figure, timeLimit } from '../support/scale.js';
import { installShiftedClock } from '../support/shifted-clock.js';
import { StrictVerifier } from '../support/verifier-with-cache.js';

/** Seconds. */
const ANNOUNCE_FOR = 380;
const STEP_FOR = 20;
const SETTINGS = {
  CLAVIGER_KEYS_ANNOUNCE_FOR: `${ANNOUNCE_FOR}s`,
  CLAVIGER_KEYS_ROTATE_EVERY: `${ANNOUNCE_FOR}s`,
};

describe('a node whose clock is wrong (requirement 66)', () => {
  forEachDatabase((name, fresh) => {
    let time: MovedTime;
    let cluster: Cluster;
    let url: string;

    beforeEach(async () => {
      time = installMovedTime();
      url = (await fresh()).url;
      cluster = new Cluster({
        url,
        clock: time.clock,
        databaseClockOffset: time.databaseClockOffset,
        env: SETTINGS,
      });
    });

    afterEach(async () => {
      await cluster.close();
      time.restore();
    });

    for (const skewFor of [300, -300, 25, -25]) {
      const isTrusted = Math.abs(skewFor) <= 30;
      it(`uses no key before its time by the database's clock when a node is ${skewFor} s off`, async function () {
        this.timeout(timeLimit(60_000));
        const good = await cluster.start({ hasTimers: false });
        await cluster.resourceServer({ accessTokenFor: 600 });
        const client = await cluster.client();
        const { database } = await cluster.operator();
        const policy = deriveKeyPolicy(cluster.config);
        const skewed = await startChildNode({
          env: {
            CLAVIGER_ISSUER: ISSUER,
            CLAVIGER_DATABASE_URL: url,
            CLAVIGER_HTTP_PORT: '0',
            CLAVIGER_HTTP_OPERATIONS_PORT: '0',
            ...SETTINGS,
          },
          rootKey: cluster.rootKey,
          offset: time.offset,
          skewFor,
        });
        try {
          const node = { port: skewed.first?.port } as RunningServer;
          const verifier = new StrictVerifier({
            jwksUri: urlOf(good, '/.well-known/jwks.json'),
            issuer: ISSUER,
            audience: RESOURCE,
            now: () => Date.now(),
          });
          let tokens = 0;
          let furthestAhead = Number.NEGATIVE_INFINITY;
          let wouldHaveBeenEarly = 0;
          for (let step = 0; step < (2.5 * ANNOUNCE_FOR) / STEP_FOR; step += 1) {
            time.moveBy(STEP_FOR);
            // The wrong clock goes first, so that it is the one that rotates.
            await skewed.moveBy(STEP_FOR);
            await good.tick();
            const ring = await database.read(readRing);
            const now = await database.now();
            for (const key of ring.keys) {
              if (key.activatedAt === undefined || key.announcedVersion === 1) continue;
              expect(key.activatedAt - key.announcedAt).to.be.at.least(ANNOUNCE_FOR * 1000);
            }
            if (nextTransition(ring, policy, [], now + skewFor * 1000)?.kind === 'activate')
              wouldHaveBeenEarly += 1;
            if (!isTrusted) {
              const form = { grant_type: 'client_credentials' };
              expect((await post(node, '/oauth2/token', form, basic(client))).status).to.equal(503);
              await verifier.verify(await token(good, client));
              continue;
            }
            const { iat = 0 } = await verifier.verify(await token(node, client));
            furthestAhead = Math.max(furthestAhead, iat * 1000 - now);
            tokens += 1;
          }
          const ring = await database.read(readRing);
          const rotations = ring.keys.filter(key => key.alg === 'ES256' && key.activatedAt !== undefined);
          expect(rotations.length, 'rotated').to.be.at.least(3);
          // Control: by its own clock, the node that is ahead would have activated keys too early.
          if (skewFor > STEP_FOR) expect(wouldHaveBeenEarly).to.be.greaterThan(0);
          figure(
            `clock ${skewFor} s, ${name}: ${tokens} tokens of this node, none refused by verifiers${isTrusted ? `; iat at most ${furthestAhead.toFixed(0)} ms ahead of the database` : ', because it signs none'}; by its own clock it would have activated too early in ${wouldHaveBeenEarly} steps`,
          );
          expect(furthestAhead, 'iat ahead of the database').to.be.at.most(5000);

          const ready = await get(node, '/readyz');
          expect(ready.status).to.equal(isTrusted ? 200 : 503);
          if (!isTrusted) expect((ready.json.checks as Record<string, string>).clock).to.match(/300 s off/);
          expect((await get(good, '/readyz')).status).to.equal(200);
        } finally {
          await skewed.kill();
        }
      });
    }

    it('releases no token that was dated after its clock jumped in the middle of a request', async () => {
      const node = await cluster.start({ hasTimers: false });
      await cluster.resourceServer();
      const client = await cluster.client();
      const ask = () => post(node, '/oauth2/token', { grant_type: 'client_credentials' }, basic(client));
      const jumped = installShiftedClock();
      const judge = Object.getOwnPropertyDescriptor(KeyRing.prototype, 'canSign')?.get;
      try {
        for (const jump of [-3_600_000, 400 * 86_400_000]) {
          jumped.shiftTo(0);
          expect((await ask()).status, 'control').to.equal(200);
          let looks = 0;
          // After the node found that it may sign, and before the core dates the token.
          Object.defineProperty(node.ring, 'canSign', {
            configurable: true,
            get() {
              const may = judge?.call(node.ring);
              looks += 1;
              if (looks === 1) jumped.shiftTo(jump);
              return may;
            },
          });
          const { status, json } = await ask();
          expect({ status, error: json.error }).to.deep.equal({
            status: 503,
            error: 'temporarily_unavailable',
          });
          Reflect.deleteProperty(node.ring, 'canSign');
        }
      } finally {
        jumped.restore();
      }
    });

    it('is ready up to 30 s of difference and not beyond', async () => {
      for (const [skewFor, status] of [
        [29, 200],
        [31, 503],
        [-29, 200],
        [-31, 503],
      ] as const) {
        const node = await startServer({
          config: cluster.config,
          rootKey: new Secret(cluster.rootKey),
          log: createLogger(cluster.config.log, { write: () => undefined }),
          clock: { ...time.clock, now: () => time.clock.now() + skewFor * 1000 },
          databaseClockOffset: time.databaseClockOffset,
          hasTimers: false,
        });
        try {
          expect((await get(node, '/readyz')).status, `${skewFor} s`).to.equal(status);
        } finally {
          await node.close();
        }
      }
    });
  });
});
