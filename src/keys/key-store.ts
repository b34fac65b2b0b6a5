import type { JWK } from 'jose';
import type { ExternalPlace } from '../config/signing-places.js';
import type { Queryable, Transaction } from '../database/connect.js';
import type { SigningAlgorithm } from '../protocol.js';
import type { KeyState, Ring, SigningKey } from './signing-key.js';

interface Row {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly state: KeyState;
  readonly announced_version: number;
  readonly created_at: number;
  readonly announced_at: number;
  readonly activated_at: number | null;
  readonly retained_at: number | null;
  readonly retired_at: number | null;
  readonly revoked_at: number | null;
  readonly public_jwk: string;
  readonly sealed_private: string | null;
  readonly external_place: ExternalPlace | null;
  readonly external_reference: string | null;
}

/** One statement: version and keys belong to the same moment even while another node writes. */
export async function readRing(on: Queryable): Promise<Ring> {
  const rows: (Row & { version: number })[] = await on('key_ring')
    .leftJoin('signing_keys', on.raw('true'))
    .where('key_ring.id', 1)
    .orderBy('announced_version')
    .orderBy('kid')
    .select('key_ring.version', 'signing_keys.*');
  return {
    version: Number(rows[0]?.version ?? 0),
    keys: rows.filter(row => row.kid !== null).map(keyOf),
  };
}

/** Holds back every other writer of the ring until the end of the transaction. */
export async function lockRing(trx: Transaction): Promise<void> {
  await trx('key_ring').where({ id: 1 }).select('version').forUpdate();
}

/**
 * Writes `to` over `from` if nobody wrote in between; the version decides, so that of any number of nodes that
 * plan the same step one takes it.
 *
 * @returns false when another node was first, with nothing written.
 */
export async function swapRing(
  trx: Transaction,
  from: Ring,
  to: Ring,
  step: (name: 'version_swapped') => Promise<void> = async () => undefined,
): Promise<boolean> {
  const swapped = await trx('key_ring')
    .where({ id: 1, version: from.version })
    .update({ version: to.version });
  if (swapped !== 1) return false;
  await step('version_swapped');
  const before = new Map(from.keys.map(key => [key.kid, key]));
  const changed = to.keys.filter(key => before.get(key.kid) !== key);
  // Demotions first: the database allows one active key per algorithm at any moment, not only at the end.
  for (const key of [...changed].sort(activeLast)) {
    await trx('signing_keys').insert(rowOf(key)).onConflict('kid').merge();
  }
  return true;
}

function activeLast(a: SigningKey, b: SigningKey): number {
  return Number(a.state === 'active') - Number(b.state === 'active');
}

function instant(value: number | null): number | undefined {
  return value === null ? undefined : Number(value);
}

function keyOf(row: Row): SigningKey {
  return {
    kid: row.kid,
    alg: row.alg,
    state: row.state,
    announcedVersion: Number(row.announced_version),
    createdAt: Number(row.created_at),
    announcedAt: Number(row.announced_at),
    activatedAt: instant(row.activated_at),
    retainedAt: instant(row.retained_at),
    retiredAt: instant(row.retired_at),
    revokedAt: instant(row.revoked_at),
    publicJwk: JSON.parse(row.public_jwk) as JWK,
    sealedPrivate: row.sealed_private ?? undefined,
    external: externalOf(row),
  };
}

function externalOf({ external_place: place, external_reference: reference }: Row): SigningKey['external'] {
  return place === null || reference === null ? undefined : { place, reference };
}

function rowOf(key: SigningKey): Row {
  return {
    kid: key.kid,
    alg: key.alg,
    state: key.state,
    announced_version: key.announcedVersion,
    created_at: key.createdAt,
    announced_at: key.announcedAt,
    activated_at: key.activatedAt ?? null,
    retained_at: key.retainedAt ?? null,
    retired_at: key.retiredAt ?? null,
    revoked_at: key.revokedAt ?? null,
    public_jwk: JSON.stringify(key.publicJwk),
    sealed_private: key.sealedPrivate ?? null,
    external_place: key.external?.place ?? null,
    external_reference: key.external?.reference ?? null,
  };
}
