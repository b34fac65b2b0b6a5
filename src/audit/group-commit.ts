import { holdFence } from '../database/changes.js';
import type { Database, Transaction } from '../database/connect.js';
import { isDatabaseFailure } from '../database/failures.js';
import { AppError } from '../errors.js';
import { appendAuditEvents, appendAuditEventsIfUnchanged } from './audit-log.js';
import type { AuditEvent } from './events.js';

/** One write of a request. Throws what the caller shall be told, for example "already used". */
export type Operation = (trx: Transaction, now: number) => Promise<void>;

/** All that one request wants written, with what it wants told about itself. */
export interface Unit {
  /** The change feed's sequence when the request began to read what this node holds in memory. */
  readonly sequence: number;
  readonly operations: readonly Operation[];
  readonly events: readonly AuditEvent[];
  /** It looks in the record for tokens that were issued until now. */
  readonly endsGrants?: boolean;
}

/** `stale`: something changed since the request read; nothing was written; `sequence` is where to catch up to. */
export type CommitOutcome =
  | { readonly status: 'committed' }
  | { readonly status: 'stale'; readonly sequence: number };

interface Pending {
  readonly unit: Unit;
  readonly resolve: (outcome: CommitOutcome) => void;
  readonly reject: (error: unknown) => void;
}

export interface GroupCommitOptions {
  readonly database: Database;
  readonly nodeId: string;
  readonly onBatch?: (units: number, seconds: number) => void;
  readonly monotonic: () => number;
}

const COMMITTED: CommitOutcome = { status: 'committed' };
/** Milliseconds, at most. */
const GATHER_FOR = 4;
const LARGEST_BATCH = 512;
/** Beyond this many waiting units new ones are refused: memory is bounded and clients are told to come back. */
const LONGEST_QUEUE = 8192;

/**
 * The node's single committer. All units that arrive while one transaction is under way share the next one, so a
 * flush to disk is paid once for many requests, and an answer leaves only after its audit events are durable.
 * The same transaction reads the change sequence: a request that was judged by something that has changed since
 * (a client disabled, a key demoted, this node paused for a minute) is not committed but judged again.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #queue: Pending[] = [];
  #running: Promise<void> | undefined;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /**
   * @returns after the unit is durable, or `stale`.
   * @throws AppError `database_unavailable`, with nothing of the unit written; whatever an operation threw, likewise.
   */
  async commit(unit: Unit): Promise<CommitOutcome> {
    if (this.#queue.length >= LONGEST_QUEUE) {
      throw new AppError('database_unavailable', 'The server is busy. Try again in a moment.');
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ unit, resolve, reject });
      this.#running ??= this.#drain();
    });
  }

  /** Until everything handed in so far has been answered. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #drain(): Promise<void> {
    let before = 0;
    try {
      while (this.#queue.length > 0) {
        await this.#gather(before);
        const batch = this.#queue.splice(0, LARGEST_BATCH);
        const startedAt = this.#options.monotonic();
        await this.#commitBatch(batch);
        this.#options.onBatch?.(batch.length, (this.#options.monotonic() - startedAt) / 1000);
        before = batch.length;
      }
    } finally {
      this.#running = undefined;
    }
  }

  /**
   * A flush costs the same for one unit as for a hundred. Whoever is ready in this turn of the event loop always
   * comes along; while many come, we also wait a moment for as many as last time. A lone request never waits.
   */
  async #gather(before: number): Promise<void> {
    const deadline = this.#options.monotonic() + GATHER_FOR;
    do await new Promise(setImmediate);
    while (this.#queue.length < before && this.#options.monotonic() < deadline);
  }

  async #commitBatch(batch: readonly Pending[]): Promise<void> {
    try {
      if (await this.#commitEventsOnly(batch)) return;
      await this.#commitTransaction(batch);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  /** The common case, in one statement: nobody writes anything but events, and all were judged by the same state. */
  async #commitEventsOnly(batch: readonly Pending[]): Promise<boolean> {
    const { database, nodeId } = this.#options;
    const sequence = batch[0]?.unit.sequence;
    const events: AuditEvent[] = [];
    for (const { unit } of batch) {
      if (unit.operations.length > 0 || unit.sequence !== sequence) return false;
      events.push(...unit.events);
    }
    if (sequence === undefined || events.length === 0) return false;
    if (!(await appendAuditEventsIfUnchanged(database, events, nodeId, sequence))) return false;
    for (const { resolve } of batch) resolve(COMMITTED);
    return true;
  }

  async #commitTransaction(batch: readonly Pending[]): Promise<void> {
    const { database, nodeId } = this.#options;
    // A transaction may run again from the start, so what it learns is collected anew each time.
    let answers: (() => void)[] = [];
    await database.transaction(async trx => {
      answers = [];
      let events: AuditEvent[] = [];
      const { sequence, now } = await holdFence(database, trx);
      for (const { unit, resolve, reject } of batch) {
        // It looks for its tokens in the record, so those issued before it in this batch must be there. Nobody else
        // looks, and a statement for each unit would be what this committer is there to save.
        if (unit.endsGrants === true && events.some(({ status }) => status !== undefined)) {
          await appendAuditEvents(database, trx, events, nodeId, now);
          events = [];
        }
        if (unit.sequence !== sequence) {
          answers.push(() => resolve({ status: 'stale', sequence }));
          continue;
        }
        try {
          await runOperations(trx, unit.operations, now);
        } catch (error) {
          if (isDatabaseFailure(error)) throw error;
          answers.push(() => reject(error));
          continue;
        }
        events.push(...unit.events);
        answers.push(() => resolve(COMMITTED));
      }
      await appendAuditEvents(database, trx, events, nodeId, now);
    });
    for (const answer of answers) answer();
  }
}

/** A savepoint each, so that one refused unit takes nothing of the others with it. */
async function runOperations(trx: Transaction, operations: readonly Operation[], now: number): Promise<void> {
  if (operations.length === 0) return;
  await trx.transaction(async savepoint => {
    for (const operation of operations) await operation(savepoint, now);
  });
}
