import type { Queryable, Transaction } from '../database/connect.js';
import type { Ring, SigningKey } from './signing-key.js';

/** A ring that a running node has served and the database has lost. */
export interface RememberedRing {
  readonly nodeId: string;
  readonly ring: Ring;
  readonly seenAt: number;
}

/** Private halves stay sealed, under the same key and context as in `signing_keys`. */
export class RememberedRingStore {
  async remember(trx: Transaction, nodeId: string, ring: Ring, now: number): Promise<void> {
    const row = { version: ring.version, keys: JSON.stringify(ring.keys), seen_at: now };
    await trx('remembered_rings')
      .insert({ node_id: nodeId, ...row })
      .onConflict('node_id')
      .merge(row);
  }

  /** The newest past first. */
  async list(on: Queryable): Promise<RememberedRing[]> {
    const rows = await on('remembered_rings').orderBy([{ column: 'version', order: 'desc' }, 'node_id']);
    return rows.map(row => ({
      nodeId: String(row.node_id),
      ring: { version: Number(row.version), keys: JSON.parse(row.keys) as SigningKey[] },
      seenAt: Number(row.seen_at),
    }));
  }

  async forget(trx: Transaction, nodeIds: readonly string[]): Promise<void> {
    await trx('remembered_rings').whereIn('node_id', nodeIds).delete();
  }

  async sweep(trx: Transaction, before: number): Promise<number> {
    return trx('remembered_rings').where('seen_at', '<', before).delete();
  }
}
