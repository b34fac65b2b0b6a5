import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { createClient } from '../../../src/clients/change-client.js';
import { UNAVAILABLE_ALGORITHMS } from '../../../src/config/available-algorithms.js';
import { recordChange } from '../../../src/database/changes.js';
import { activeOf } from '../../../src/keys/key-state.js';
import { readRing, swapRing } from '../../../src/keys/key-store.js';
import { sealContext } from '../../../src/keys/rotate.js';
import type { SigningKey } from '../../../src/keys/signing-key.js';
import { algorithmFindings } from '../../../src/oidc/algorithm-findings.js';
import { freshSqlite } from '../../support/databases.js';
import { basic, Cluster, get, OPERATOR, post, type SeededClient, token } from '../../support/nodes.js';

const LATTICES = 'https://api.example.test/lattices';

/** A ring as a node on a newer Node.js makes it, met by one that knows no ML-DSA. */
describe('a node whose Node.js lacks an algorithm of the ring', () => {
  let cluster: Cluster;
  let drop: (() => Promise<void>) | undefined;
  let client: SeededClient;

  before(async function () {
    if (!UNAVAILABLE_ALGORITHMS.includes('ML-DSA-44')) {
      process.stderr.write('SKIPPED: this Node.js has every algorithm; the test is for older ones\n');
      return this.skip();
    }
    const database = await freshSqlite();
    drop = database.drop;
    cluster = new Cluster({ url: database.url });
    const node = await cluster.start({ hasTimers: false });
    await cluster.resourceServer();
    const { database: on, keys } = await cluster.operator();
    await on.transaction(async trx => {
      const now = await on.now(trx);
      const ring = await readRing(trx);
      const version = ring.version + 1;
      const made = (kid: string): SigningKey => ({
        kid,
        alg: 'ML-DSA-44',
        state: 'announced',
        announcedVersion: version,
        createdAt: now,
        announcedAt: now,
        publicJwk: {
          kty: 'AKP',
          alg: 'ML-DSA-44',
          kid,
          use: 'sig',
          pub: randomBytes(1312).toString('base64url'),
        },
        sealedPrivate: keys.signingKeyEnvelope.seal(
          JSON.stringify({ kty: 'AKP', priv: 'x' }),
          sealContext(kid),
        ),
      });
      const active: SigningKey = { ...made('lattice-1'), state: 'active', activatedAt: now };
      await swapRing(trx, ring, { version, keys: [...ring.keys, active, made('lattice-2')] });
      await recordChange(trx, 'key_ring', String(version), now);
    });
    // As the operator of the newer node does it.
    const { config } = cluster;
    const newer = {
      ...config,
      keys: { ...config.keys, algorithms: [...config.keys.algorithms, 'ML-DSA-44'] as const },
    };
    await cluster.resourceServer({ identifier: LATTICES, alg: 'ML-DSA-44' });
    const resources = [{ identifier: LATTICES, scopes: ['orders.read'] }];
    const made = await createClient(
      { ...(await cluster.operator()), hasher: keys.hasher, config: newer },
      { name: 'lattices', resources },
      OPERATOR,
    );
    client = { clientId: made.client.clientId, clientSecret: made.secret?.clientSecret ?? '' };
    await node.tick();
  });

  after(async () => {
    await cluster?.close();
    await drop?.();
  });

  const node = () => {
    const [first] = cluster.nodes;
    if (first === undefined) throw new Error('no node is running');
    return first;
  };

  it('publishes its keys, for verifiers of tokens from other nodes', async () => {
    const { json } = await get(node(), '/.well-known/jwks.json');
    const shown = (json.keys as { alg: string; pub?: string }[]).filter(({ alg }) => alg === 'ML-DSA-44');
    expect(shown).to.have.length(2);
    for (const key of shown) expect(key.pub).to.be.a('string');
  });

  it('signs with the others as before, and does not offer that one', async () => {
    expect(await token(node(), await cluster.client())).to.be.a('string');
    const { json } = await get(node(), '/.well-known/openid-configuration');
    expect(json.id_token_signing_alg_values_supported).to.deep.equal(['ES256', 'RS256']);
  });

  it('answers 503 where that one is needed, and signs with no other in its place', async () => {
    const answer = await post(node(), '/oauth2/token', { grant_type: 'client_credentials' }, basic(client));
    expect(answer.status).to.equal(503);
    expect(answer.headers.get('retry-after')).to.not.equal(null);
  });

  it('leaves its keys alone, and says to the operator what to do', async () => {
    await node().tick();
    const { database, config } = await cluster.operator();
    const findings = await database.read(async on => {
      const ring = await readRing(on);
      expect(activeOf(ring, 'ML-DSA-44')?.kid).to.equal('lattice-1');
      return algorithmFindings(on, ring, config.keys, await database.now(on));
    });
    expect(findings.map(({ remedy }) => remedy).join(' ')).to.include(
      'Run every node on Node.js 24.7 or newer',
    );
  });
});
