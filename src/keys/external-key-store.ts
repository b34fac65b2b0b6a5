import type { ExternalPlace } from '../config/signing-places.js';
import type { Queryable, Transaction } from '../database/connect.js';
import type { SigningAlgorithm } from '../protocol.js';

export interface ExternalKey {
  readonly reference: string;
  readonly place: ExternalPlace;
  readonly alg: SigningAlgorithm;
  /** Undefined: never became a key of the ring. */
  readonly kid: string | undefined;
}

const MOST_AT_ONCE = 100;
/** Intended and not claimed; while a backend is away each attempt to make a key leaves one. */
const MOST_UNCLAIMED = 100;

/** Every private key that was ever to be made outside the database, from before it was made. */
export class ExternalKeyStore {
  /** @returns false when too many wait to be destroyed: whoever is away must not fill the table. */
  async intend(trx: Transaction, key: Omit<ExternalKey, 'kid'>, now: number): Promise<boolean> {
    const { reference, place, alg } = key;
    const unclaimed = await trx('external_keys')
      .where({ place, kid: null, destroyed_at: null })
      .limit(MOST_UNCLAIMED)
      .select('reference');
    if (unclaimed.length === MOST_UNCLAIMED) return false;
    await trx('external_keys').insert({ reference, place, alg, created_at: now });
    return true;
  }

  /** @returns false when it was condemned meanwhile: it may be destroyed already, and must not be announced. */
  async claim(trx: Transaction, reference: string, kid: string): Promise<boolean> {
    const claimed = await trx('external_keys')
      .where({ reference, kid: null, condemned_at: null })
      .update({ kid });
    return claimed === 1;
  }

  /** From now on nobody can claim it. @returns false when somebody has. */
  async condemn(trx: Transaction, reference: string, now: number): Promise<boolean> {
    const unclaimed = await trx('external_keys')
      .where({ reference, kid: null })
      .update({ condemned_at: now });
    return unclaimed === 1;
  }

  /** Never claimed since `orphanedBefore`, or given up. */
  async orphans(on: Queryable, orphanedBefore: number): Promise<readonly ExternalKey[]> {
    const rows = await on('external_keys')
      .where({ kid: null, destroyed_at: null })
      .where(orphan => orphan.where('created_at', '<=', orphanedBefore).orWhereNotNull('condemned_at'))
      .orderBy('created_at')
      .limit(MOST_AT_ONCE)
      .select('reference', 'place', 'alg', 'kid');
    return rows.map(keyOf);
  }

  /** Of keys that will not sign again: revoked or retired, or retained since `retainedBefore` at the latest. */
  async spent(on: Queryable, retainedBefore: number): Promise<readonly ExternalKey[]> {
    const rows = await on('external_keys')
      .join('signing_keys', 'signing_keys.kid', 'external_keys.kid')
      .whereNull('external_keys.destroyed_at')
      .where(spent =>
        spent
          .whereIn('signing_keys.state', ['revoked', 'retired'])
          .orWhere(retained =>
            retained.where('signing_keys.state', 'retained').where('retained_at', '<=', retainedBefore),
          ),
      )
      .orderBy('external_keys.created_at')
      .limit(MOST_AT_ONCE)
      .select('external_keys.reference', 'external_keys.place', 'external_keys.alg', 'external_keys.kid');
    return rows.map(keyOf);
  }

  /** @returns false when another node was first. */
  async markDestroyed(trx: Transaction, reference: string, now: number): Promise<boolean> {
    const marked = await trx('external_keys')
      .where({ reference, destroyed_at: null })
      .update({ destroyed_at: now });
    return marked === 1;
  }
}

function keyOf(row: Omit<ExternalKey, 'kid'> & { readonly kid: string | null }): ExternalKey {
  return { reference: row.reference, place: row.place, alg: row.alg, kid: row.kid ?? undefined };
}
