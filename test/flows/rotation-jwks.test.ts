import { expect } from 'chai';
import { importJWK, type JWK } from 'jose';
import { loadConfig } from '../../src/config/load.js';
import { generateSigningKey } from '../../src/keys/generate-signing-key.js';
import { readRing } from '../../src/keys/key-store.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { installMovedTime, type MovedTime } from '../support/moved-time.js';
import { Cluster, get } from '../support/nodes.js';
import { timeLimit } from '../support/scale.js';

const DAY = 86_400;
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ['kty', 'crv', 'x', 'y', 'kid', 'alg', 'use'],
  RSA: ['kty', 'n', 'e', 'kid', 'alg', 'use'],
};

/** Requirement 60, for whatever a server shows. */
async function faultsOf(keys: readonly JWK[]): Promise<string[]> {
  const faults: string[] = [];
  if (keys.length === 0) faults.push('empty');
  if (new Set(keys.map(({ kid }) => kid)).size !== keys.length) faults.push('a kid twice');
  for (const key of keys) {
    const allowed = MEMBERS[String(key.kty)] ?? [];
    for (const member of allowed) if (!(member in key)) faults.push(`no ${member}`);
    for (const member of Object.keys(key)) if (!allowed.includes(member)) faults.push(`shows ${member}`);
    if (key.use !== 'sig') faults.push('use');
    if (key.alg !== (key.kty === 'EC' ? 'ES256' : 'RS256')) faults.push(`alg ${key.alg}`);
    if (key.kty === 'RSA' && Buffer.from(key.n ?? '', 'base64url').length < 3072 / 8)
      faults.push('RSA length');
    await importJWK(key, key.alg).catch(error => faults.push(String(error)));
  }
  return faults;
}

describe('the key set over HTTP', () => {
  forEachDatabase((_name, fresh) => {
    let time: MovedTime;
    let cluster: Cluster;
    let node: RunningServer;

    before(async function () {
      this.timeout(timeLimit(60_000));
      time = installMovedTime();
      cluster = new Cluster({
        url: (await fresh()).url,
        clock: time.clock,
        databaseClockOffset: time.databaseClockOffset,
      });
      node = await cluster.start({ hasTimers: false });
    });

    after(async () => {
      await cluster.close();
      time.restore();
    });

    const jwks = async () => (await get(node, '/.well-known/jwks.json')).json.keys as JWK[];
    const states = async () =>
      (await (await cluster.operator()).database.read(readRing)).keys
        .filter(({ alg }) => alg === 'ES256')
        .map(({ state }) => state)
        .sort();

    async function moveBy(seconds: number): Promise<void> {
      time.moveBy(seconds);
      await node.tick();
      await node.tick();
    }

    it('shows public parameters only, each kid once, with alg and use, RSA at 3072 bits (requirement 60)', async () => {
      expect(await faultsOf(await jwks())).to.deep.equal([]);
      expect((await jwks()).length).to.equal(4);
    });

    it('would be found out by this test if it showed a private parameter, a short key or none (control)', async () => {
      const { privateJwk, publicJwk } = await generateSigningKey('ES256');
      expect(await faultsOf([privateJwk])).to.deep.equal(['shows d']);
      expect(await faultsOf([publicJwk, publicJwk])).to.deep.equal(['a kid twice']);
      expect(await faultsOf([])).to.deep.equal(['empty']);
    });

    it('may be cached for five minutes, and confirms an unchanged set by 304 (requirement 60)', async () => {
      const { headers, text } = await get(node, '/.well-known/jwks.json');
      expect(headers.get('cache-control')).to.equal(
        'public, max-age=300, stale-while-revalidate=60, stale-if-error=43200',
      );
      expect(headers.get('content-type')).to.equal('application/jwk-set+json');
      const etag = headers.get('etag') ?? '';
      const alias = await get(node, '/oauth2/jwks');
      expect(alias.text).to.equal(text);
      expect(alias.headers.get('etag')).to.equal(etag);
      const again = await get(node, '/.well-known/jwks.json', { 'if-none-match': etag });
      expect(again.status).to.equal(304);
      expect(again.text).to.equal('');
    });

    it('rotates by itself every 30 days, and the interval is at most a year (requirement 65)', async function () {
      this.timeout(timeLimit(60_000));
      const { keys } = cluster.config;
      expect(keys.rotateEvery)
        .to.equal(30 * DAY)
        .and.to.be.at.most(90 * DAY);
      const started = await states();
      expect(started).to.deep.equal(['active', 'announced']);
      await moveBy(30 * DAY - 60);
      expect(await states()).to.deep.equal(started);
      await moveBy(61);
      expect(await states()).to.deep.equal(['active', 'announced', 'retained']);
      expect(await faultsOf(await jwks()), 'all three states').to.deep.equal([]);
      expect((await jwks()).length).to.equal(6);
      await moveBy(2 * DAY);
      expect(await states()).to.deep.equal(['active', 'announced', 'retired']);
      expect((await jwks()).length).to.equal(4);
      const rotateEvery = (given: string) =>
        loadConfig({ env: { CLAVIGER_KEYS_ROTATE_EVERY: given }, cwd: '/nonexistent' }).config.keys
          .rotateEvery;
      expect(rotateEvery('365d')).to.equal(365 * DAY);
      expect(() => rotateEvery('366d')).to.throw(/at most 365d/);
    });

    it('tells when a rotation is overdue: a metric at once, a warning after one interval (requirement 65)', async function () {
      this.timeout(timeLimit(60_000));
      const overdue = async () => {
        const metrics = await (await fetch(`http://127.0.0.1:${node.operationsPort}/metrics`)).text();
        return Number(/^claviger_signing_key_overdue_seconds\{alg="ES256"\} (\S+)$/m.exec(metrics)?.[1]);
      };
      const rotation = async () => {
        const { status, json } = await get(node, '/readyz');
        return { status, told: (json.checks as Record<string, string>).rotation };
      };
      await moveBy(1);
      expect(await overdue()).to.equal(0);
      // A node that lives but never takes in a new ring holds every promotion back.
      const { database } = await cluster.operator();
      await database.transaction(trx =>
        trx('nodes').insert({
          node_id: 'stuck',
          served_version: 0,
          lease_until: Date.now() + 1000 * DAY * 1000,
          started_at: Date.now(),
        }),
      );
      await moveBy(29 * DAY);
      expect(await overdue()).to.be.within(1, 2 * DAY);
      expect(await rotation()).to.deep.equal({ status: 200, told: 'ok' });
      await moveBy(30 * DAY);
      expect(await overdue()).to.be.greaterThan(30 * DAY);
      const late = await rotation();
      expect(late.told).to.match(/ES256, RS256 should have rotated/);
      expect(late.status, 'a warning: an old key signs as well').to.equal(200);
      await database.transaction(trx => trx('nodes').where({ node_id: 'stuck' }).delete());
      await moveBy(1);
      expect(await overdue()).to.equal(0);
      expect((await rotation()).told).to.equal('ok');
    });
  });
});
