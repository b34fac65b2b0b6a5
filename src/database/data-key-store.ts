import type { RootKeyBackend } from '../config/root-key-reference.js';
import type { Queryable, Transaction } from './connect.js';
import { hasTable } from './migrate.js';

/** A data key as it is stored: readable only through a root key that wrapped it. */
export interface StoredDataKey {
  readonly id: string;
  readonly purpose: string;
  /** What each root key made of it, by the root key's id. */
  readonly wraps: ReadonlyMap<string, string>;
}

/** A data key nobody has stored yet; the first of its wraps is the main root key's. */
export interface NewDataKey {
  readonly id: string;
  readonly purpose: string;
  readonly wraps: readonly { readonly rootKeyId: string; readonly wrapped: string }[];
}

export type RootKeyRole = 'main' | 'recovery';

/** What the database knows of a root key: enough to find it, nothing that opens anything. */
export interface RootKeyRecord {
  readonly id: string;
  readonly role: RootKeyRole;
  readonly backend: RootKeyBackend | 'offline';
  readonly reference: string;
  /** Of a recovery key: see `sealRecipient`. */
  readonly sealedPublicKey: string | undefined;
  readonly createdAt: number;
}

/** Also of a database whose tables are older: it is opened before it is migrated. */
export async function readDataKeys(on: Queryable): Promise<StoredDataKey[]> {
  const rows = await on('data_keys').select().orderBy('id');
  const wraps: { data_key_id: string; root_key_id: string; wrapped: string }[] = (await hasTable(
    on,
    'data_key_wraps',
  ))
    ? await on('data_key_wraps').select('data_key_id', 'root_key_id', 'wrapped')
    : rows.map(row => ({ data_key_id: row.id, root_key_id: row.root_key_id, wrapped: row.wrapped }));
  return rows.map(row => ({
    id: row.id,
    purpose: row.purpose,
    wraps: new Map(
      wraps.filter(wrap => wrap.data_key_id === row.id).map(wrap => [wrap.root_key_id, wrap.wrapped]),
    ),
  }));
}

export async function readRootKeys(on: Queryable): Promise<RootKeyRecord[]> {
  if (!(await hasTable(on, 'root_keys'))) return [];
  const rows = await on('root_keys')
    .select()
    .orderBy([{ column: 'created_at' }, { column: 'id' }]);
  return rows.map(row => ({
    id: row.id,
    role: row.role,
    backend: row.backend,
    reference: row.reference,
    sealedPublicKey: row.sealed_public_key ?? undefined,
    createdAt: Number(row.created_at),
  }));
}

/** Holds back every other change of root keys and data keys until the end of this transaction. */
export async function lockRootKeys(trx: Transaction): Promise<void> {
  // An SQLite transaction has the database to itself from its start, and knex leaves the words out there.
  await trx('installation').where({ id: 1 }).select('id').forUpdate();
}

/** Another node may have made the same purpose's key first: then that one stays. */
export async function insertDataKeys(
  trx: Transaction,
  keys: readonly NewDataKey[],
  now: number,
): Promise<void> {
  for (const { id, purpose, wraps } of keys) {
    const [main] = wraps;
    if (main === undefined) throw new TypeError('a data key that nobody could open');
    const inserted = await trx('data_keys')
      .insert({ id, purpose, wrapped: main.wrapped, root_key_id: main.rootKeyId, created_at: now })
      .onConflict('purpose')
      .ignore()
      .returning('id');
    if (inserted.length === 0) continue;
    for (const { rootKeyId, wrapped } of wraps) await insertWrap(trx, id, rootKeyId, wrapped, now);
  }
}

/** @returns false when that root key wraps it already: the first one stays. */
export async function insertWrap(
  trx: Transaction,
  dataKeyId: string,
  rootKeyId: string,
  wrapped: string,
  now: number,
): Promise<boolean> {
  const inserted = await trx('data_key_wraps')
    .insert({ data_key_id: dataKeyId, root_key_id: rootKeyId, wrapped, created_at: now })
    .onConflict(['data_key_id', 'root_key_id'])
    .ignore()
    .returning('data_key_id');
  return inserted.length > 0;
}

/** @returns false when it is known already. */
export async function insertRootKey(
  trx: Transaction,
  key: Omit<RootKeyRecord, 'createdAt'>,
  now: number,
): Promise<boolean> {
  const inserted = await trx('root_keys')
    .insert({
      id: key.id,
      role: key.role,
      backend: key.backend,
      reference: key.reference,
      sealed_public_key: key.sealedPublicKey ?? null,
      created_at: now,
    })
    .onConflict('id')
    .ignore()
    .returning('id');
  return inserted.length > 0;
}

/** From now on the installation names this root key; it must wrap every data key. */
export async function makeCurrent(trx: Transaction, rootKeyId: string): Promise<void> {
  await trx('installation').where({ id: 1 }).update({ root_key_id: rootKeyId });
  // What a program from before 0007 reads, and no place for what a leaked root key would open.
  for (const { data_key_id, wrapped } of await trx('data_key_wraps').where({ root_key_id: rootKeyId })) {
    await trx('data_keys').where({ id: data_key_id }).update({ wrapped, root_key_id: rootKeyId });
  }
}

/** Removes a root key and all it wraps. */
export async function deleteRootKey(trx: Transaction, rootKeyId: string): Promise<void> {
  await trx('data_key_wraps').where({ root_key_id: rootKeyId }).delete();
  await trx('root_keys').where({ id: rootKeyId }).delete();
}

/** Whether the root key wraps every data key there is. */
export function opensAll(rootKeyId: string, keys: readonly StoredDataKey[]): boolean {
  return keys.length > 0 && keys.every(({ wraps }) => wraps.has(rootKeyId));
}
