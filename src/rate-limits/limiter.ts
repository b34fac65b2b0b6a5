import type { RateLimitProfile } from '../config/config.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import type { Database, Transaction } from '../database/connect.js';
import { type LimitName, limitOf } from './limits.js';

/** What is counted: one name, or several that only together name it. Canonical, never what somebody typed. */
export type LimitKey = string | readonly string[];
export type Want = readonly [limit: LimitName, key: LimitKey];

interface Counted {
  readonly limit: LimitName;
  readonly countedKey: string;
  readonly windowEndsAt: number;
}

export type Reservation =
  | { readonly allowed: true; readonly counted: readonly Counted[] }
  /** `retryAfter`: seconds until the window ends that is full. */
  | { readonly allowed: false; readonly limit: LimitName; readonly retryAfter: number };

/**
 * Counts only while there is room: one statement, so of any number of attempts on any number of nodes exactly
 * `most` get a row back. The instant is the database's, read in the same statement.
 */
const COUNT = (now: string): string => `
  insert into limit_counters (limit_name, counted_key, count, window_ends_at)
  values (?, ?, 1, ${now} + cast(? as bigint))
  on conflict (limit_name, counted_key) do update set
    count = case when limit_counters.window_ends_at <= excluded.window_ends_at - cast(? as bigint)
      then 1 else limit_counters.count + 1 end,
    window_ends_at = case when limit_counters.window_ends_at <= excluded.window_ends_at - cast(? as bigint)
      then excluded.window_ends_at else limit_counters.window_ends_at end
  where limit_counters.count < cast(? as bigint)
    or limit_counters.window_ends_at <= excluded.window_ends_at - cast(? as bigint)
  returning window_ends_at`;

/**
 * Budgets for failures. They are counted in the database, synchronously and before the attempt is evaluated: counted
 * afterwards, a thousand guesses sent at once would all be evaluated before the first one counts; counted in memory,
 * each node would give out the budget anew.
 */
export class Limiter {
  readonly #database: Database;
  readonly #hasher: SecretHasher;
  readonly #profile: RateLimitProfile;

  constructor(database: Database, hasher: SecretHasher, profile: RateLimitProfile) {
    this.#database = database;
    this.#hasher = hasher;
    this.#profile = profile;
  }

  reserve(limit: LimitName, key: LimitKey): Promise<Reservation> {
    return this.reserveAll([[limit, key]]);
  }

  /**
   * All or none: what one limit refuses is not counted by the others. Otherwise a guesser who is long refused himself
   * could go on using up what others share with him.
   *
   * Give wants in the same order everywhere: the rows are locked in it.
   */
  async reserveAll(wants: readonly Want[]): Promise<Reservation> {
    return this.#database.transaction(async trx => {
      const counted: Counted[] = [];
      for (const [limit, key] of wants) {
        const countedKey = this.#countedKey(limit, key);
        const windowEndsAt = await this.#count(trx, limit, countedKey);
        if (windowEndsAt === undefined) {
          for (const before of counted) await takeBack(trx, before);
          return { allowed: false, limit, retryAfter: await this.#retryAfter(trx, limit, countedKey) };
        }
        counted.push({ limit, countedKey, windowEndsAt });
      }
      return { allowed: true, counted };
    });
  }

  /** The attempt was no failure. */
  async forgive(reservation: Reservation): Promise<void> {
    if (!reservation.allowed || reservation.counted.length === 0) return;
    await this.#database.transaction(async trx => {
      for (const counted of reservation.counted) {
        if (limitOf(this.#profile, counted.limit).onSuccess === 'take_back') await takeBack(trx, counted);
        else await this.#delete(trx, counted);
      }
    });
  }

  /**
   * Begins anew for a key, in the transaction of what justifies it: a password reset by mail ends a pause.
   *
   * @returns false when nothing was counted.
   */
  async forget(trx: Transaction, limit: LimitName, key: LimitKey): Promise<boolean> {
    return (await this.#delete(trx, { limit, countedKey: this.#countedKey(limit, key) })) > 0;
  }

  /** Deletes windows that have ended. @returns how many */
  async sweep(trx: Transaction, now: number): Promise<number> {
    return trx('limit_counters').where('window_ends_at', '<=', now).delete();
  }

  /** Not readable: keys are addresses of people, of machines and of mail. */
  #countedKey(limit: LimitName, key: LimitKey): string {
    return this.#hasher.hashOf(`limit:${limit}`, JSON.stringify(key));
  }

  async #count(trx: Transaction, limit: LimitName, countedKey: string): Promise<number | undefined> {
    const { most, windowFor } = limitOf(this.#profile, limit);
    const window = windowFor * 1000;
    const result = await trx.raw(COUNT(this.#database.nowSql), [
      limit,
      countedKey,
      window + this.#database.clockOffset,
      window,
      window,
      most,
      window,
    ]);
    const rows: { window_ends_at: unknown }[] = Array.isArray(result) ? result : result.rows;
    return rows[0] === undefined ? undefined : Number(rows[0].window_ends_at);
  }

  async #retryAfter(trx: Transaction, limit: LimitName, countedKey: string): Promise<number> {
    const row = await trx('limit_counters')
      .where({ limit_name: limit, counted_key: countedKey })
      .select('window_ends_at', trx.raw(`${this.#database.nowSql} as now`))
      .first();
    if (row === undefined) return 1;
    const left = Number(row.window_ends_at) - this.#database.instantOf(row);
    return Math.max(1, Math.ceil(left / 1000));
  }

  async #delete(trx: Transaction, counted: Pick<Counted, 'limit' | 'countedKey'>): Promise<number> {
    return trx('limit_counters')
      .where({ limit_name: counted.limit, counted_key: counted.countedKey })
      .delete();
  }
}

/** Only in the window it was counted in: the next one has not seen this attempt. */
async function takeBack(trx: Transaction, { limit, countedKey, windowEndsAt }: Counted): Promise<void> {
  await trx('limit_counters')
    .where({ limit_name: limit, counted_key: countedKey, window_ends_at: windowEndsAt })
    .where('count', '>', 0)
    .decrement('count', 1);
}
