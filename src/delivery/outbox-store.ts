import type { Queryable, Transaction } from '../database/connect.js';

export interface NewOutboxRow {
  readonly id: string;
  readonly kind: string;
  readonly sealed: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

export interface OutboxRow extends NewOutboxRow {
  readonly attempts: number;
}

/** Which attempt is meant: a later claim by another node makes this one void. */
export interface ClaimedRow {
  readonly id: string;
  readonly attempts: number;
}

export class OutboxStore {
  async insert(trx: Transaction, row: NewOutboxRow): Promise<void> {
    await trx('outbox').insert({
      id: row.id,
      kind: row.kind,
      sealed_payload: row.sealed,
      attempts: 0,
      created_at: row.createdAt,
      next_attempt_at: row.createdAt,
      expires_at: row.expiresAt,
    });
  }

  async isDue(on: Queryable, kind: string, now: number): Promise<boolean> {
    const row = await on('outbox').where({ kind }).where('next_attempt_at', '<=', now).first('id');
    return row !== undefined;
  }

  /**
   * Reads and marks in one transaction. On PostgreSQL the read locks its rows and passes over those that another node
   * is claiming at this moment; an SQLite transaction is alone from its start.
   */
  async claim(
    trx: Transaction,
    due: {
      readonly kind: string;
      readonly limit: number;
      readonly now: number;
      readonly until: number;
      readonly skipsLocked: boolean;
    },
  ): Promise<OutboxRow[]> {
    const query = trx('outbox')
      .where({ kind: due.kind })
      .where('next_attempt_at', '<=', due.now)
      .orderBy(['next_attempt_at', 'id'])
      .limit(due.limit)
      .select('id');
    if (due.skipsLocked) query.forUpdate().skipLocked();
    const found: { id: string }[] = await query;
    if (found.length === 0) return [];
    const ids = found.map(({ id }) => id);
    const rows = await trx('outbox')
      .whereIn('id', ids)
      .update({ next_attempt_at: due.until, attempts: trx.raw('attempts + 1') })
      .returning(['id', 'kind', 'sealed_payload', 'attempts', 'created_at', 'expires_at']);
    return rows.map(rowOf);
  }

  /** Whoever delivered it, it is delivered: no look at the attempt. */
  async remove(trx: Transaction, id: string): Promise<boolean> {
    return (await trx('outbox').where({ id }).delete()) === 1;
  }

  /** @returns false if the attempt would come after the end, or the row is another node's by now. */
  async plan(trx: Transaction, { id, attempts }: ClaimedRow, nextAttemptAt: number): Promise<boolean> {
    const planned = await trx('outbox')
      .where({ id, attempts })
      .where('expires_at', '>', nextAttemptAt)
      .update({ next_attempt_at: nextAttemptAt });
    return planned === 1;
  }

  async removeClaimed(trx: Transaction, { id, attempts }: ClaimedRow): Promise<boolean> {
    return (await trx('outbox').where({ id, attempts }).delete()) === 1;
  }
}

// Rows as the two drivers give them: PostgreSQL returns big integers as text.
function rowOf(row: Record<string, unknown>): OutboxRow {
  return {
    id: String(row.id),
    kind: String(row.kind),
    sealed: String(row.sealed_payload),
    attempts: Number(row.attempts),
    createdAt: Number(row.created_at),
    expiresAt: Number(row.expires_at),
  };
}
