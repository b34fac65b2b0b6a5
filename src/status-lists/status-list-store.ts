import type { Queryable, Transaction } from '../database/connect.js';
import { AppError } from '../errors.js';
import type { SigningAlgorithm } from '../protocol.js';
import { LIST_SIZE, type StatusPlace } from './status-list.js';

/** A list holds tokens of one signing key that expire in one hour. */
export interface ListKey {
  readonly alg: SigningAlgorithm;
  readonly kid: string;
  /** Milliseconds. */
  readonly expiresAt: number;
}

export interface LiveList {
  readonly listId: number;
  readonly alg: SigningAlgorithm;
  readonly kid: string;
  readonly expiresAt: number;
  readonly isAllRevoked: boolean;
}

export interface Lease {
  readonly listId: number;
  /** The first of its indices. */
  readonly first: number;
  readonly count: number;
}

export interface RevokedStatuses {
  readonly listId: number;
  readonly indices: readonly number[];
}

/** Whose tokens; with `grantKey` those of one grant. */
export type TokensOf = { readonly clientId: string } | { readonly grantKey: string };

export interface IssuedStatus {
  readonly index: number;
  readonly scope: string;
}

/** A revocation that is too large for one transaction, and how far it has come. */
export interface PendingRevocation {
  readonly id: number;
  readonly clientId: string;
  readonly scopes: readonly string[] | undefined;
  /** The newest event when it was asked for: later tokens are none of its business. */
  readonly beforeEvent: number;
  readonly listId: number;
  readonly afterIndex: number;
}

/** Two nodes that open a list at the same instant meet at most a few times. */
const LEASE_ATTEMPTS = 16;
/** Rows in one statement stay far below the limit of bound values. */
const ROWS_AT_ONCE = 100;

/** Tables `status_lists`, `revoked_statuses` and `pending_status_revocations`; reads where tokens stand in `audit_events`. */
export class StatusListStore {
  /** Indices that nobody else gets: the count is moved by one conditional statement. */
  async lease(trx: Transaction, { alg, kid, expiresAt }: ListKey, count: number): Promise<Lease> {
    for (let attempt = 0; attempt < LEASE_ATTEMPTS; attempt += 1) {
      const lists = await trx('status_lists')
        .where({ kid, expires_at: expiresAt })
        .orderBy('part')
        .select('id', 'part', 'leased');
      const open = lists.find(list => Number(list.leased) <= LIST_SIZE - count);
      if (open !== undefined) {
        const [taken] = await trx('status_lists')
          .where({ id: open.id })
          .where('leased', '<=', LIST_SIZE - count)
          .increment('leased', count)
          .returning('leased');
        if (taken !== undefined)
          return { listId: Number(open.id), first: Number(taken.leased) - count, count };
        continue;
      }
      // The part after those that were read: two nodes that open it at the same instant meet in one list.
      const part = Number(lists.at(-1)?.part ?? 0) + 1;
      const [opened] = await trx('status_lists')
        .insert({ alg, kid, expires_at: expiresAt, part, leased: count })
        .onConflict(['expires_at', 'kid', 'part'])
        .ignore()
        .returning('id');
      if (opened !== undefined) return { listId: Number(opened.id), first: 0, count };
    }
    throw new AppError('database_unavailable', 'The server is busy. Try again in a moment.');
  }

  async listLive(on: Queryable, now: number): Promise<LiveList[]> {
    // The key's own state, too: a node that has not heard yet may begin a list for a key after it was revoked.
    const rows = await on('status_lists')
      .leftJoin('signing_keys', 'signing_keys.kid', 'status_lists.kid')
      .where('status_lists.expires_at', '>', now)
      .orderBy('status_lists.id')
      .select(
        'status_lists.id',
        'status_lists.alg',
        'status_lists.kid',
        'status_lists.expires_at',
        'status_lists.all_revoked_at',
        'signing_keys.state as key_state',
      );
    return rows.map(row => ({
      listId: Number(row.id),
      alg: row.alg as SigningAlgorithm,
      kid: row.kid,
      expiresAt: Number(row.expires_at),
      isAllRevoked: row.all_revoked_at !== null || row.key_state === 'revoked',
    }));
  }

  /** What was revoked at or after this instant in lists that are still needed. */
  async listRevoked(on: Queryable, since: number, now: number): Promise<RevokedStatuses[]> {
    const live = on('status_lists').where('expires_at', '>', now).select('id');
    const rows = await on('revoked_statuses')
      .whereIn('list_id', live)
      .where('revoked_at', '>=', since)
      .select('list_id', 'indices');
    return rows.map(row => ({ listId: Number(row.list_id), indices: JSON.parse(row.indices) as number[] }));
  }

  async revoke(trx: Transaction, listId: number, indices: readonly number[], now: number): Promise<void> {
    if (indices.length === 0) return;
    // A list that has gone needs no bit: all its tokens have expired.
    const list = await trx('status_lists').where({ id: listId }).where('expires_at', '>', now).first('id');
    if (list === undefined) return;
    await trx('revoked_statuses').insert({
      list_id: listId,
      indices: JSON.stringify(indices),
      revoked_at: now,
    });
  }

  async revokeAllOfKey(trx: Transaction, kid: string, now: number): Promise<void> {
    await trx('status_lists').where({ kid, all_revoked_at: null }).update({ all_revoked_at: now });
  }

  /** Places of tokens in one list, in order. */
  async listIssued(
    trx: Transaction,
    of: TokensOf,
    range: { readonly listId: number; readonly afterIndex: number; readonly beforeEvent?: number },
    options: { readonly withScope: boolean; readonly limit: number },
  ): Promise<IssuedStatus[]> {
    const { listId, afterIndex, beforeEvent } = range;
    const query = trx('audit_events')
      .where({ status_list: listId })
      .where('status_index', '>', afterIndex)
      .orderBy('status_index')
      .limit(options.limit)
      .select('status_index', ...(options.withScope ? ['detail'] : []));
    if ('clientId' in of) query.where({ client_id: of.clientId });
    else query.where({ grant_key: of.grantKey });
    if (beforeEvent !== undefined) query.where('id', '<=', beforeEvent);
    const rows: { status_index: number; detail?: string }[] = await query;
    return rows.map(({ status_index: index, detail }) => ({ index: Number(index), scope: scopeIn(detail) }));
  }

  async newestEvent(trx: Transaction): Promise<number> {
    const row = await trx('audit_events').max('id as id').first();
    return Number(row?.id ?? 0);
  }

  async postpone(
    trx: Transaction,
    pending: readonly Omit<PendingRevocation, 'id'>[],
    now: number,
  ): Promise<void> {
    const rows = pending.map(({ clientId, scopes, beforeEvent, listId, afterIndex }) => ({
      client_id: clientId,
      scopes: scopes === undefined ? null : JSON.stringify(scopes),
      before_event: beforeEvent,
      list_id: listId,
      after_index: afterIndex,
      created_at: now,
    }));
    await trx.batchInsert('pending_status_revocations', rows, ROWS_AT_ONCE);
  }

  async hasPending(on: Queryable): Promise<boolean> {
    return (await on('pending_status_revocations').first('id')) !== undefined;
  }

  /** The oldest first. */
  async nextPending(trx: Transaction): Promise<PendingRevocation | undefined> {
    const row = await trx('pending_status_revocations').orderBy('id').forUpdate().first();
    if (row === undefined) return undefined;
    return {
      id: Number(row.id),
      clientId: row.client_id,
      scopes: row.scopes === null ? undefined : (JSON.parse(row.scopes) as string[]),
      beforeEvent: Number(row.before_event),
      listId: Number(row.list_id),
      afterIndex: Number(row.after_index),
    };
  }

  async movePending(trx: Transaction, id: number, to: StatusPlace): Promise<void> {
    await trx('pending_status_revocations')
      .where({ id })
      .update({ list_id: to.listId, after_index: to.index });
  }

  async endPending(trx: Transaction, id: number): Promise<void> {
    await trx('pending_status_revocations').where({ id }).delete();
  }

  /** Lists that nobody asks for any more, with their bits. */
  async sweep(trx: Transaction, now: number): Promise<void> {
    await trx('status_lists').where('expires_at', '<=', now).delete();
  }
}

function scopeIn(detail: string | undefined): string {
  if (detail === undefined) return '';
  const { scope } = JSON.parse(detail) as { scope?: unknown };
  return typeof scope === 'string' ? scope : '';
}
