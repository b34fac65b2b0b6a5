import { expect } from 'chai';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { checkSigningBackends } from '../../src/cli/check-signing-backends.js';
import { Pkcs11Token } from '../../src/crypto/pkcs11.js';
import { destroyExternalKeys, ORPHANED_AFTER } from '../../src/keys/external-keys.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { activeOf, successorOf } from '../../src/keys/key-state.js';
import { readRing } from '../../src/keys/key-store.js';
import { advanceRing, type RotationContext, revokeSigningKey, rotateNow } from '../../src/keys/rotate.js';
import { openSigningBackends } from '../../src/keys/signing-backends/open-signing-backends.js';
import type { SigningBackends } from '../../src/keys/signing-backends/signing-backends.js';
import { isSignatureOf } from '../../src/keys/signing-backends/verify-signature.js';
import type { RunningServer } from '../../src/server.js';
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
import { isLong, rounds, timeLimit } from '../support/scale.js';
import { makeSoftToken, type SoftToken, skipWithoutSoftHsm } from '../support/softhsm.js';

/** Seconds. */
const ANNOUNCE_FOR = 380;
const STEP_FOR = 60;
const JWKS_CACHED_FOR = 300;
const ROTATIONS = rounds({ short: 1, long: 12 });
const RSA_RESOURCE = 'https://api.example.test/invoices';

/** A token, a database, and nodes whose ES256 keys are in the token and whose RS256 keys are in the database. */
class TokenWorld {
  readonly soft: SoftToken = makeSoftToken();
  readonly time: MovedTime = installMovedTime();
  readonly hsm: Pkcs11Token;
  readonly env: Readonly<Record<string, string>>;
  readonly cluster: Cluster;
  readonly url: string;
  readonly #environmentBefore = process.env.SOFTHSM2_CONF;

  /** @param rotateEvery by default nothing turns by itself */
  constructor(url: string, rotateEvery = '30d') {
    this.url = url;
    const { soft } = this;
    // The nodes start processes of their own, which find the token as an operator's would.
    process.env.SOFTHSM2_CONF = soft.environment.SOFTHSM2_CONF;
    this.hsm = new Pkcs11Token({ ...soft, sessions: 1, pin: { reveal: () => soft.pin } }, soft.connect);
    this.env = {
      CLAVIGER_KEYS_ANNOUNCE_FOR: `${ANNOUNCE_FOR}s`,
      CLAVIGER_KEYS_ROTATE_EVERY: rotateEvery,
      CLAVIGER_TOKENS_LONGEST_TOKEN_FOR: '60s',
      CLAVIGER_TOKENS_ACCESS_TOKEN_FOR: '60s',
      CLAVIGER_KEYS_SIGNING: 'ES256:pkcs11',
      CLAVIGER_PKCS11_MODULE: soft.modulePath,
      CLAVIGER_PKCS11_TOKEN: soft.tokenLabel,
      CLAVIGER_PKCS11_PIN: soft.pin,
      CLAVIGER_PKCS11_SESSIONS: '1',
    };
    this.cluster = this.clusterWith(this.env);
  }

  clusterWith(env: Readonly<Record<string, string>>, rootKey?: string): Cluster {
    const { clock, databaseClockOffset } = this.time;
    return new Cluster({
      url: this.url,
      clock,
      databaseClockOffset,
      env,
      ...(rootKey === undefined ? {} : { rootKey }),
    });
  }

  async seed(): Promise<SeededClient> {
    const scopes = ['orders.read', 'orders.write'];
    await this.cluster.resourceServer({ accessTokenFor: 60 });
    await this.cluster.resourceServer({ identifier: RSA_RESOURCE, accessTokenFor: 60, alg: 'RS256' });
    return this.cluster.client({
      resources: [RESOURCE, RSA_RESOURCE].map(identifier => ({ identifier, scopes })),
    });
  }

  async ring() {
    return (await this.cluster.operator()).database.read(readRing);
  }

  async idsInToken(): Promise<string[]> {
    return (await this.hsm.listPrivateKeys('claviger ')).map(({ id }) => id);
  }

  /** As the command line has it. */
  async operator(): Promise<RotationContext & { readonly backends: SigningBackends }> {
    const { database, keys, nodeId, config } = await this.cluster.operator();
    const backends = openSigningBackends(config, this.time.clock.monotonic);
    const policy = deriveKeyPolicy(config);
    return { database, policy, envelope: keys.signingKeyEnvelope, nodeId, actor: OPERATOR, backends };
  }

  async close(): Promise<void> {
    await this.cluster.close();
    this.hsm.close();
    this.time.restore();
    this.soft.drop();
    if (this.#environmentBefore === undefined) delete process.env.SOFTHSM2_CONF;
    else process.env.SOFTHSM2_CONF = this.#environmentBefore;
  }
}

function ask(node: RunningServer, client: SeededClient, resource = RESOURCE) {
  return post(node, '/oauth2/token', { grant_type: 'client_credentials', resource }, basic(client));
}

async function jwksOf(node: RunningServer): Promise<JSONWebKeySet> {
  return (await get(node, '/.well-known/jwks.json')).json as unknown as JSONWebKeySet;
}

describe('signing keys in a PKCS#11 token', () => {
  before(function () {
    skipWithoutSoftHsm(this);
  });

  forEachDatabase((name, fresh) => {
    describe('whose ring stays', () => {
      let world: TokenWorld;
      let node: RunningServer;
      let client: SeededClient;
      let left: readonly string[];

      before(async function () {
        this.timeout(timeLimit(60_000));
        world = new TokenWorld((await fresh()).url);
        const { env, cluster, time, url } = world;
        // Dies after it has made the first keys and before it could announce them.
        await startChildNode({
          env: {
            ...env,
            CLAVIGER_ENVIRONMENT: 'development',
            CLAVIGER_ISSUER: ISSUER,
            CLAVIGER_DATABASE_URL: url,
            CLAVIGER_HTTP_PORT: '0',
            CLAVIGER_HTTP_OPERATIONS_PORT: '0',
          },
          rootKey: cluster.rootKey,
          offset: time.offset,
          // RSA pairs take long, and show nothing here.
          algorithms: ['ES256'],
          kill: { kind: 'create', step: 'generated' },
        });
        left = await world.idsInToken();
        node = await cluster.start({ hasTimers: false });
        client = await world.seed();
      });
      after(() => world?.close());

      it('that a SIGKILL left between generation and commit are destroyed an hour later, not before', async () => {
        expect(left.length).to.equal(2);
        world.time.moveBy(ORPHANED_AFTER - 60);
        await node.tick();
        expect(await world.idsInToken(), 'control').to.include.members([...left]);
        world.time.moveBy(120);
        await node.tick();
        const ids = await world.idsInToken();
        for (const id of left) expect(ids).to.not.include(id);
        expect(ids).to.include(activeOf(await world.ring(), 'ES256')?.external?.reference);
      });

      it('are not announced by a node that slept until they were given up as orphans', async () => {
        const context = await world.operator();
        const before = await world.ring();
        const active = activeOf(before, 'ES256');
        const sleeps: RotationContext = {
          ...context,
          async onStep(step) {
            if (step !== 'generated') return;
            world.time.moveBy(ORPHANED_AFTER + 1);
            await destroyExternalKeys(context);
          },
        };
        const refused = await revokeSigningKey(sleeps, active?.kid ?? '').catch((error: unknown) => error);
        context.backends.close();
        expect(refused).to.have.property('code', 'conflict');
        expect((await world.ring()).version).to.equal(before.version);
        expect(await world.idsInToken()).to.include(active?.external?.reference);
      });

      // What differs between the databases is shown above.
      if (name !== 'SQLite' && !isLong) return;

      it('release no token that the published key does not verify', async () => {
        // Whatever is due by now, so that the ring stays as it is below.
        for (let turn = 0; turn < 2; turn += 1) await node.tick();
        const ring = await world.ring();
        const [active, successor] = [activeOf(ring, 'ES256'), successorOf(ring, 'ES256')];
        if (active?.external === undefined || successor?.external === undefined) throw new Error('no keys');
        // Whoever exchanges references would have tokens signed by another key than the published one.
        const { database } = await world.cluster.operator();
        const setReference = (external_reference: string) =>
          database.transaction(trx =>
            trx('signing_keys').where({ kid: active.kid }).update({ external_reference }),
          );
        await setReference(successor.external.reference);
        const misled = await world.cluster.start({ hasTimers: false });
        await setReference(active.external.reference);
        const input = Buffer.from('control');
        const signature = await world.hsm.sign(successor.external.reference, 'ES256', input);
        expect(isSignatureOf(active.publicJwk, 'ES256', input, signature), 'control').to.equal(false);
        expect((await ask(misled, client)).status).to.equal(503);
        expect((await ask(node, client)).status).to.equal(200);
      });

      it('answer 503 while the token is away, name it in readiness, and sign again when it is back', async () => {
        world.soft.takeAway();
        try {
          // SoftHSM keeps what it has read; a new process finds nothing, as after the restart of an HSM.
          const restarted = await world.cluster.start({ hasTimers: false });
          const refused = await ask(restarted, client);
          expect(refused.status, refused.text).to.equal(503);
          expect(refused.json.error).to.equal('temporarily_unavailable');
          expect(refused.headers.get('retry-after')).to.match(/^\d+$/);
          expect(refused.text).to.not.match(/pkcs/i);
          expect((await ask(restarted, client, RSA_RESOURCE)).status, 'keys that are here').to.equal(200);
          await restarted.tick();
          const ready = await get(restarted, '/readyz');
          expect(ready.status).to.equal(200);
          expect(ready.text).to.include('ES256').and.include('cannot sign in pkcs11');
          const { database, config } = await world.cluster.operator();
          const examined = () => checkSigningBackends(database, config, world.time.clock.monotonic);
          expect((await examined()).map(({ severity }) => severity)).to.deep.equal(['error', 'error']);
          const alerted = () =>
            database.read(on =>
              on('alerts').where({ signal: 'signing_backend.unavailable' }).pluck('subject'),
            );
          expect(await alerted()).to.deep.equal([]);
          world.time.moveBy(31);
          await restarted.tick();
          expect(await alerted()).to.include(activeOf(await world.ring(), 'ES256')?.kid);
          world.soft.putBack();
          let answer = refused;
          // The token is looked for twice a second, by a clock that no test moves.
          for (let attempt = 0; answer.status !== 200 && attempt < 500; attempt += 1) {
            world.time.moveBy(1.1);
            await restarted.tick();
            answer = await ask(restarted, client);
          }
          expect(answer.status, answer.text).to.equal(200);
          await restarted.tick();
          expect((await get(restarted, '/readyz')).text).to.not.include('cannot sign');
          expect((await examined()).map(({ severity }) => severity)).to.deep.equal(['ok']);
        } finally {
          if (world.soft.isAway) world.soft.putBack();
        }
      });

      it('are revoked in an emergency although the token is away; the successor is announced later', async () => {
        const active = activeOf(await world.ring(), 'ES256');
        const away = await world.operator();
        world.soft.takeAway();
        try {
          const revoked = await revokeSigningKey(away, active?.kid ?? '');
          expect(revoked).to.include({ kind: 'revoke', announces: false });
        } finally {
          world.soft.putBack();
          away.backends.close();
        }
        expect(activeOf(await world.ring(), 'ES256')?.kid).to.not.equal(active?.kid);
        expect(successorOf(await world.ring(), 'ES256')).to.equal(undefined);
        const back = await world.operator();
        await advanceRing(back);
        await destroyExternalKeys(back);
        back.backends.close();
        expect(successorOf(await world.ring(), 'ES256')?.external?.place).to.equal('pkcs11');
        expect(await world.idsInToken()).to.not.include(active?.external?.reference);
      });

      // Last: the token does not come back.
      it('of a token that is lost for good are replaced as docs/signing-backends.md says', async () => {
        const { backends: _, ...context } = await world.operator();
        const lost = activeOf(await world.ring(), 'ES256');
        const successor = successorOf(await world.ring(), 'ES256');
        world.soft.takeAway();
        // keys.signing without ES256:pkcs11
        expect(await revokeSigningKey(context, successor?.kid ?? '')).to.include({ announces: true });
        const next = successorOf(await world.ring(), 'ES256');
        expect(next?.external).to.equal(undefined);
        // The other nodes of this test are gone by then.
        world.time.moveBy(60);
        for (let turn = 0; turn < 2; turn += 1) await node.tick();
        const intent = { alg: 'ES256', now: true, acceptsRisk: true } as const;
        const [decision] = await rotateNow(context, intent);
        expect(decision?.outcome).to.equal('rotates');
        await node.tick();
        expect(decodeProtectedHeader(await token(node, client, { resource: RESOURCE })).kid).to.equal(
          next?.kid,
        );
        expect((await jwksOf(node)).keys.map(({ kid }) => kid)).to.include(lost?.kid);
      });
    });

    if (name !== 'SQLite' && !isLong) return;

    describe('whose ring turns', () => {
      let world: TokenWorld;

      afterEach(() => world?.close());

      it('sign through a whole rotation on two nodes beside keys that are here, and are destroyed after it', async function () {
        this.timeout(timeLimit(60_000));
        world = new TokenWorld((await fresh()).url, `${ANNOUNCE_FOR}s`);
        const first = await world.cluster.start({ hasTimers: false });
        const nodes = [first, await world.cluster.start({ hasTimers: false })];
        const client = await world.seed();
        const began = activeOf(await world.ring(), 'ES256');
        let cached = { jwks: await jwksOf(first), at: world.time.offset };
        const kids = { ES256: new Set<string>(), RS256: new Set<string>() };
        for (let moved = 0; moved < ROTATIONS * ANNOUNCE_FOR + 200; moved += STEP_FOR) {
          world.time.moveBy(STEP_FOR);
          for (const node of nodes) await node.tick();
          if (world.time.offset - cached.at >= JWKS_CACHED_FOR * 1000) {
            cached = { jwks: await jwksOf(first), at: world.time.offset };
          }
          for (const node of nodes) {
            for (const [alg, resource] of [
              ['ES256', RESOURCE],
              ['RS256', RSA_RESOURCE],
            ] as const) {
              const jwt = await token(node, client, { resource });
              const { protectedHeader } = await jwtVerify(jwt, createLocalJWKSet(cached.jwks), {
                issuer: ISSUER,
                audience: resource,
                algorithms: [alg],
              });
              kids[alg].add(String(protectedHeader.kid));
            }
          }
        }
        expect(kids.ES256.size).to.be.at.least(ROTATIONS + 1);
        expect(kids.RS256.size).to.be.at.least(ROTATIONS + 1);
        expect(began?.external?.place).to.equal('pkcs11');
        expect(began?.sealedPrivate).to.equal(undefined);
        // Those that may sign now or later; every other is gone from the token, the first one long since.
        const ring = await world.ring();
        const maySign = [activeOf(ring, 'ES256'), successorOf(ring, 'ES256')].map(
          key => key?.external?.reference,
        );
        const ids = await world.idsInToken();
        expect(ids).to.include.members(maySign);
        expect(ids).to.not.include(began?.external?.reference);
        const { database } = await world.cluster.operator();
        const destroyed: { subject: string }[] = await database.read(on =>
          on('audit_events').where({ event: 'signing_key.destroyed' }).select('subject'),
        );
        expect(destroyed.map(({ subject }) => subject)).to.include(began?.kid);
        const columns: Record<string, unknown>[] = await database.read(on =>
          on('signing_keys').where({ alg: 'ES256' }).whereNotNull('sealed_private').select('kid'),
        );
        expect(columns).to.deep.equal([]);
      });

      it('hand over to keys that are here when the setting says so, with the usual overlap', async () => {
        world = new TokenWorld((await fresh()).url);
        const before = await world.cluster.start({ hasTimers: false });
        const client = await world.seed();
        const kidOf = async (node: RunningServer) =>
          decodeProtectedHeader(await token(node, client, { resource: RESOURCE })).kid;
        const old = await kidOf(before);
        const { CLAVIGER_KEYS_SIGNING: _, ...local } = world.env;
        const later = world.clusterWith(local, world.cluster.rootKey);
        try {
          const node = await later.start({ hasTimers: false });
          await world.cluster.close();
          expect(await kidOf(node)).to.equal(old);
          const { backends: _backends, ...context } = await world.operator();
          const places: string[] = [];
          for (let rotation = 0; rotation < 2; rotation += 1) {
            for (let turn = 0; turn < 2; turn += 1) {
              world.time.moveBy(STEP_FOR);
              await node.tick();
            }
            await rotateNow(context, { alg: 'ES256', now: true, acceptsRisk: true });
            await node.tick();
            const kid = await kidOf(node);
            const signs = node.ring.served.ring.keys.find(key => key.kid === kid);
            places.push(signs?.external?.place ?? 'local');
          }
          for (let turn = 0; turn < 2; turn += 1) {
            world.time.moveBy(STEP_FOR);
            await node.tick();
          }
          expect(places).to.deep.equal(['pkcs11', 'local']);
          expect(await world.idsInToken()).to.deep.equal([]);
        } finally {
          await later.close();
        }
      });
    });
  });
});
