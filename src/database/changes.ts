import type { Database, Queryable, Transaction } from './connect.js';

/** What other nodes keep in memory and must drop when it changes. */
export type ChangeKind = 'client' | 'resource_server' | 'key_ring' | 'revocation' | 'user';

export interface Change {
  readonly sequence: number;
  readonly kind: ChangeKind;
  readonly subjectId: string;
}

/**
 * Counts a change in its own transaction. The counter is one row, so changes are numbered in the order of their
 * commits; a database sequence would let a later number become visible first and a reader skip the earlier one.
 */
export async function recordChange(
  trx: Transaction,
  kind: ChangeKind,
  subjectId: string,
  now: number,
): Promise<void> {
  const rows = await trx('change_sequence').where({ id: 1 }).increment('value', 1).returning('value');
  const sequence = Number(rows[0]?.value);
  if (!Number.isSafeInteger(sequence)) throw new TypeError('the change counter is missing');
  await trx('changes').insert({ sequence, kind, subject_id: subjectId, changed_at: now });
}

/** Several changes of one kind at once, in two statements however many they are. */
export async function recordChanges(
  trx: Transaction,
  kind: ChangeKind,
  subjectIds: readonly string[],
  now: number,
): Promise<void> {
  const count = subjectIds.length;
  if (count === 0) return;
  const rows = await trx('change_sequence').where({ id: 1 }).increment('value', count).returning('value');
  const last = Number(rows[0]?.value);
  if (!Number.isSafeInteger(last)) throw new TypeError('the change counter is missing');
  const changes = subjectIds.map((subjectId, index) => ({
    sequence: last - count + 1 + index,
    kind,
    subject_id: subjectId,
    changed_at: now,
  }));
  await trx.batchInsert('changes', changes, 100);
}

/**
 * Waits for the changes that are under way and holds back the next ones until the end of this transaction. What is
 * read after it is still true when the transaction commits, so that limits and references between tables hold
 * without a lock on each row. (An SQLite transaction has the database to itself from its start.)
 */
export async function lockChanges(trx: Transaction): Promise<void> {
  await trx('change_sequence').where({ id: 1 }).select('value').forUpdate();
}

/**
 * As `readFence`, for a transaction that releases what was judged by that state. On PostgreSQL a plain read does not
 * stop a change from being committed between it and our own commit; the shared lock makes the change wait for us.
 */
export async function holdFence(
  database: Database,
  trx: Transaction,
): Promise<{ sequence: number; now: number }> {
  if (database.dialect === 'postgres') await trx.raw('select 1 from change_sequence where id = 1 for share');
  return readFence(database, trx);
}

/** The newest change and the database's clock, in one read. */
export async function readFence(
  database: Database,
  on: Queryable,
): Promise<{ sequence: number; now: number }> {
  const row = await on('change_sequence')
    .where({ id: 1 })
    .select('value', on.raw(`${database.nowSql} as now`))
    .first();
  return { sequence: Number(row?.value ?? 0), now: database.instantOf(row) };
}

export async function changesAfter(on: Queryable, sequence: number, limit: number): Promise<Change[]> {
  const rows = await on('changes').where('sequence', '>', sequence).orderBy('sequence').limit(limit);
  return rows.map(row => ({
    sequence: Number(row.sequence),
    kind: row.kind as ChangeKind,
    subjectId: String(row.subject_id),
  }));
}

/** Deletes what every node has read long ago; a node that was away longer drops all it holds. */
export async function sweepChanges(trx: Transaction, olderThan: number): Promise<number> {
  return trx('changes').where('changed_at', '<', olderThan).delete();
}
