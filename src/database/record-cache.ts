import { LRUCache } from 'lru-cache';
import type { ChangeFeed } from './change-feed.js';
import type { ChangeKind } from './changes.js';
import type { Database, Queryable } from './connect.js';

/** "There is no such record" is remembered too, but for few: an attacker chooses the ids that do not exist. */
const MISSES = 1000;

export interface RecordCacheOptions<T> {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly kinds: readonly ChangeKind[];
  readonly size: number;
  readonly load: (on: Queryable, id: string) => Promise<T | undefined>;
}

/**
 * Records this node holds in memory, dropped when the change feed names them. A record that was read while the
 * feed moved is used once and not kept: its reading may be older than the change that should have dropped it.
 */
export class RecordCache<T extends object> {
  readonly #options: RecordCacheOptions<T>;
  readonly #records: LRUCache<string, T>;
  readonly #misses = new LRUCache<string, true>({ max: MISSES });
  readonly #loading = new Map<string, Promise<T | undefined>>();

  constructor(options: RecordCacheOptions<T>) {
    this.#options = options;
    this.#records = new LRUCache<string, T>({ max: options.size });
    options.feed.listen(change => {
      if (change === undefined) this.clear();
      else if (options.kinds.includes(change.kind)) this.#forget(change.subjectId);
    });
  }

  /** The record if it is in memory: the token path's way, without a promise. */
  peek(id: string): T | undefined {
    return this.#records.get(id);
  }

  async find(id: string): Promise<T | undefined> {
    const record = this.#records.get(id);
    if (record !== undefined) return record;
    if (this.#misses.has(id)) return undefined;
    const loading = this.#loading.get(id) ?? this.#load(id);
    return loading;
  }

  clear(): void {
    this.#records.clear();
    this.#misses.clear();
    this.#loading.clear();
  }

  #forget(id: string): void {
    this.#records.delete(id);
    this.#misses.delete(id);
    this.#loading.delete(id);
  }

  #load(id: string): Promise<T | undefined> {
    const { database, feed, load } = this.#options;
    const sequence = feed.sequence;
    const loading = database
      .read(on => load(on, id))
      .then(record => {
        if (feed.sequence === sequence && this.#loading.get(id) === loading) {
          if (record === undefined) this.#misses.set(id, true);
          else this.#records.set(id, record);
        }
        return record;
      })
      .finally(() => {
        if (this.#loading.get(id) === loading) this.#loading.delete(id);
      });
    this.#loading.set(id, loading);
    return loading;
  }
}
