import { randomFillSync } from 'node:crypto';
import type { Database } from '../database/connect.js';
import { AppError } from '../errors.js';
import type { Logger } from '../log.js';
import { listExpiryOf, nextListIn, type StatusPlace } from './status-list.js';
import { type ListKey, StatusListStore } from './status-list-store.js';

export interface StatusIndicesOptions {
  readonly database: Database;
  readonly log: Pick<Logger, 'warn'>;
  /** Milliseconds. */
  readonly monotonic: () => number;
  /** Milliseconds for which a token request waits for indices, at most. */
  readonly waitFor?: number;
}

/** Seconds of this node's rate that a lease lasts for. */
const LEASE_LASTS_FOR = 300;
const SMALLEST_LEASE = 64;
const LARGEST_LEASE = 10_000;
/** Requests that wait for indices; more are refused at once. */
const MOST_WAITING = 2000;
/** Milliseconds without an attempt after a failed one. */
const PAUSE_FOR = 1000;
/** Seconds before an hour's tokens begin, in which their first lease is taken. */
const AHEAD_FOR = 120;
/** Milliseconds over which the rate is counted. */
const RATE_OVER = 10_000;

/** The indices that this node holds for tokens of one key and one hour. */
interface Stock {
  readonly key: ListKey;
  readonly blocks: { readonly listId: number; readonly order: Uint32Array; next: number }[];
  left: number;
  /** How many the newest lease brought. */
  size: number;
  leasing: Promise<void> | undefined;
  pauseUntil: number;
}

/**
 * Where the bits of new tokens stand. A node takes whole blocks of indices from the database and hands them out by
 * itself, so that issuing a token reads and writes nothing more; the next block is fetched while half of the last is
 * left. A node that dies takes the rest of its block with it: some bits are never used.
 *
 * Indices are handed out in shuffled order: neighbours in a list do not tell who got a token when.
 */
export class StatusIndices {
  readonly #options: StatusIndicesOptions;
  readonly #store = new StatusListStore();
  readonly #stocks = new Map<string, Stock>();
  #waiting = 0;
  #rate: { readonly since: number; taken: number; readonly before: number };

  constructor(options: StatusIndicesOptions) {
    this.#options = options;
    this.#rate = { since: options.monotonic(), taken: 0, before: 0 };
  }

  /**
   * @param exp of the token, seconds.
   * @returns a place nobody else gets; a promise only when there was none in stock.
   * @throws AppError `not_ready`
   */
  take(of: Pick<ListKey, 'alg' | 'kid'>, exp: number): StatusPlace | Promise<StatusPlace> {
    const { alg, kid } = of;
    const stock = this.#stockOf({ alg, kid, expiresAt: listExpiryOf(exp) });
    const place = this.#takeFrom(stock);
    if (stock.left <= stock.size / 2) this.#restock(stock);
    const endsIn = nextListIn(exp);
    if (endsIn <= AHEAD_FOR) {
      const next = this.#stockOf({ alg, kid, expiresAt: listExpiryOf(exp + endsIn) });
      if (next.left === 0) this.#restock(next);
    }
    return place ?? this.#await(stock);
  }

  #stockOf(key: ListKey): Stock {
    const name = `${key.kid} ${key.expiresAt}`;
    const known = this.#stocks.get(name);
    if (known !== undefined) return known;
    // No token lives longer than an hour: what is two hours older has expired.
    for (const [other, { key: old }] of this.#stocks) {
      if (old.expiresAt < key.expiresAt - 7_200_000) this.#stocks.delete(other);
    }
    const stock: Stock = {
      key,
      blocks: [],
      left: 0,
      size: 0,
      leasing: undefined,
      pauseUntil: 0,
    };
    this.#stocks.set(name, stock);
    return stock;
  }

  #takeFrom(stock: Stock): StatusPlace | undefined {
    const [block] = stock.blocks;
    const index = block?.order[block.next];
    if (block === undefined || index === undefined) return undefined;
    block.next += 1;
    if (block.next === block.order.length) stock.blocks.shift();
    stock.left -= 1;
    this.#rate.taken += 1;
    return { listId: block.listId, index };
  }

  async #await(stock: Stock): Promise<StatusPlace> {
    const { monotonic, waitFor = 2000 } = this.#options;
    if (this.#waiting >= MOST_WAITING) throw noneLeft('too many requests wait');
    const deadline = monotonic() + waitFor;
    this.#waiting += 1;
    try {
      for (;;) {
        const place = this.#takeFrom(stock);
        if (place !== undefined) return place;
        const left = deadline - monotonic();
        this.#restock(stock);
        if (left <= 0 || stock.leasing === undefined) throw noneLeft('no status index in time');
        await within(left, stock.leasing);
      }
    } finally {
      this.#waiting -= 1;
    }
  }

  #restock(stock: Stock): void {
    const { monotonic, log } = this.#options;
    if (stock.leasing !== undefined || monotonic() < stock.pauseUntil) return;
    stock.leasing = this.#lease(stock)
      .catch((error: unknown) => {
        stock.pauseUntil = monotonic() + PAUSE_FOR;
        log.warn({ event: 'status_indices.not_leased', err: error }, 'status indices could not be leased');
      })
      .finally(() => {
        stock.leasing = undefined;
      });
  }

  async #lease(stock: Stock): Promise<void> {
    const wanted = Math.ceil(this.#perSecond() * LEASE_LASTS_FOR);
    const count = Math.min(LARGEST_LEASE, Math.max(SMALLEST_LEASE, wanted, this.#waiting));
    const { listId, first } = await this.#options.database.transaction(trx =>
      this.#store.lease(trx, stock.key, count),
    );
    stock.blocks.push({ listId, order: shuffled(first, count), next: 0 });
    stock.left += count;
    stock.size = count;
  }

  /** This node's rate, of the last seconds and of those before. */
  #perSecond(): number {
    const now = this.#options.monotonic();
    const rate = this.#rate;
    const elapsed = Math.max(now - rate.since, 10);
    const current = (rate.taken / elapsed) * 1000;
    const perSecond = Math.max(current, rate.before);
    if (elapsed >= RATE_OVER) this.#rate = { since: now, taken: 0, before: current };
    return perSecond;
  }
}

function shuffled(first: number, count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, offset) => first + offset);
  const random = randomFillSync(new Uint32Array(count));
  for (let last = count - 1; last > 0; last -= 1) {
    // The remainder favours low numbers by less than one in 400 000.
    const other = (random[last] ?? 0) % (last + 1);
    const moved = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = moved;
  }
  return order;
}

async function within(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>(resolve => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}

function noneLeft(detail: string): AppError {
  return new AppError('not_ready', 'The server cannot issue this token now. Try again in a moment.', {
    detail,
  });
}
