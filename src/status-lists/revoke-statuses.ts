import type { Database, Transaction } from '../database/connect.js';
import { takeJobLease } from '../database/job-leases.js';
import type { StatusPlace } from './status-list.js';
import { StatusListStore, type TokensOf } from './status-list-store.js';

/** Of a client that may not do something any more. */
export interface ClientLoss {
  readonly clientId: string;
  /** Only tokens with one of them. Undefined: all tokens. */
  readonly scopes?: readonly string[] | undefined;
}

/** Tokens looked at in one transaction: others wait for the same locks. */
const MOST_AT_ONCE = 10_000;
/** Clients whose tokens are revoked in the transaction itself when many lose something at once. */
const MOST_CLIENTS_AT_ONCE = 20;
/** Seconds. */
const JOB_LEASE_FOR = 30;
/** Transactions in one run of the job. */
const MOST_STEPS = 200;

const store = new StatusListStore();

/** One token. */
export async function revokeStatus(
  trx: Transaction,
  { listId, index }: StatusPlace,
  now: number,
): Promise<void> {
  await store.revoke(trx, listId, [index], now);
}

/** All tokens that a signing key has signed. */
export async function revokeStatusesOfKey(trx: Transaction, kid: string, now: number): Promise<void> {
  await store.revokeAllOfKey(trx, kid, now);
}

/** All tokens of a grant: as many as somebody fetched within an hour. */
export async function revokeStatusesOfGrant(trx: Transaction, grantKey: string, now: number): Promise<void> {
  for (const { listId } of await store.listLive(trx, now)) {
    let afterIndex: number | undefined = -1;
    while (afterIndex !== undefined) {
      afterIndex = (await revokeSome(trx, { grantKey }, { listId, afterIndex }, undefined, MOST_AT_ONCE, now))
        .afterIndex;
    }
  }
}

/**
 * Tokens of clients that were issued until now. The first ten thousand are revoked in this transaction, the others by
 * the job that follows it (`continueRevocations`).
 *
 * The caller holds the lock on changes, so that every token issued until now is in the audit record.
 */
export async function revokeStatusesOfClients(
  trx: Transaction,
  losses: readonly ClientLoss[],
  now: number,
): Promise<void> {
  const lists = await store.listLive(trx, now);
  const [first] = lists;
  if (first === undefined || losses.length === 0) return;
  const beforeEvent = await store.newestEvent(trx);
  const start = { listId: first.listId, afterIndex: -1 };
  const pending = losses
    .slice(MOST_CLIENTS_AT_ONCE)
    .map(({ clientId, scopes }) => ({ clientId, scopes, beforeEvent, ...start }));
  let budget = MOST_AT_ONCE;
  for (const { clientId, scopes } of losses.slice(0, MOST_CLIENTS_AT_ONCE)) {
    const work = { clientId, scopes, beforeEvent, ...start };
    const { left, rest } = await advance(trx, work, budget, now);
    budget = left;
    if (rest !== undefined) pending.push({ ...work, ...rest });
  }
  await store.postpone(trx, pending, now);
}

/**
 * Goes on with what was too much for one transaction. Safe on any number of nodes and after a crash: each step is a
 * transaction with its own progress, and a bit that is set twice is set.
 *
 * @returns how many transactions it took.
 */
export async function continueRevocations(parts: {
  readonly database: Database;
  readonly nodeId: string;
}): Promise<number> {
  const { database, nodeId } = parts;
  if (!(await database.read(on => store.hasPending(on)))) return 0;
  if (!(await takeJobLease(database, 'revoke-statuses', nodeId, JOB_LEASE_FOR))) return 0;
  for (let steps = 0; steps < MOST_STEPS; steps += 1) {
    const isDone = await database.transaction(async trx => {
      const work = await store.nextPending(trx);
      if (work === undefined) return true;
      const now = await database.now(trx);
      const { rest } = await advance(trx, work, MOST_AT_ONCE, now);
      if (rest === undefined) await store.endPending(trx, work.id);
      else await store.movePending(trx, work.id, { listId: rest.listId, index: rest.afterIndex });
      return false;
    });
    if (isDone) return steps;
  }
  return MOST_STEPS;
}

interface Work {
  readonly clientId: string;
  readonly scopes: readonly string[] | undefined;
  readonly beforeEvent: number;
  readonly listId: number;
  readonly afterIndex: number;
}

interface Progress {
  /** Of the budget. */
  readonly left: number;
  /** Where to go on; undefined: done. */
  readonly rest: { readonly listId: number; readonly afterIndex: number } | undefined;
}

async function advance(trx: Transaction, work: Work, budget: number, now: number): Promise<Progress> {
  const { clientId, scopes, beforeEvent } = work;
  let left = budget;
  for (const { listId } of await store.listLive(trx, now)) {
    if (listId < work.listId) continue;
    let afterIndex: number | undefined = listId === work.listId ? work.afterIndex : -1;
    while (afterIndex !== undefined) {
      if (left === 0) return { left, rest: { listId, afterIndex } };
      const range = { listId, afterIndex, beforeEvent };
      const some = await revokeSome(trx, { clientId }, range, scopes, left, now);
      left -= some.seen;
      afterIndex = some.afterIndex;
    }
  }
  return { left, rest: undefined };
}

/** @returns how many tokens were looked at, and where to go on in this list; undefined at its end. */
async function revokeSome(
  trx: Transaction,
  of: TokensOf,
  range: { readonly listId: number; readonly afterIndex: number; readonly beforeEvent?: number },
  scopes: readonly string[] | undefined,
  limit: number,
  now: number,
): Promise<{ readonly seen: number; readonly afterIndex: number | undefined }> {
  const issued = await store.listIssued(trx, of, range, { withScope: scopes !== undefined, limit });
  const lost = new Set(scopes);
  const concerned =
    scopes === undefined
      ? issued
      : issued.filter(({ scope }) => scope.split(' ').some(each => lost.has(each)));
  await store.revoke(
    trx,
    range.listId,
    concerned.map(({ index }) => index),
    now,
  );
  return { seen: issued.length, afterIndex: issued.length < limit ? undefined : issued.at(-1)?.index };
}
