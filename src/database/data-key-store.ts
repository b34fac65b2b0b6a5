import type { Queryable, Transaction } from './connect.js';

/** A data key as it is stored: readable only through the root key that wrapped it. */
export interface WrappedDataKey {
  readonly id: string;
  readonly purpose: string;
  readonly wrapped: string;
  readonly rootKeyId: string;
}

export async function readDataKeys(on: Queryable): Promise<WrappedDataKey[]> {
  const rows = await on('data_keys').select();
  return rows.map(row => ({
    id: row.id,
    purpose: row.purpose,
    wrapped: row.wrapped,
    rootKeyId: row.root_key_id,
  }));
}

/** Another node may have made the same purpose's key first: then that one stays. */
export async function insertDataKeys(
  trx: Transaction,
  keys: readonly WrappedDataKey[],
  now: number,
): Promise<void> {
  if (keys.length === 0) return;
  await trx('data_keys')
    .insert(
      keys.map(({ id, purpose, wrapped, rootKeyId }) => ({
        id,
        purpose,
        wrapped,
        root_key_id: rootKeyId,
        created_at: now,
      })),
    )
    .onConflict('purpose')
    .ignore();
}
