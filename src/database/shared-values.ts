import { LRUCache } from 'lru-cache';

/**
 * Equal parts of many records as one object. Ten thousand clients of one resource server would otherwise keep ten
 * thousand copies of the same lists in memory.
 */
export class SharedValues<T extends object> {
  readonly #values: LRUCache<string, T>;

  constructor(most = 1000) {
    this.#values = new LRUCache<string, T>({ max: most });
  }

  /** @param key equal exactly for equal values, which must never be changed. */
  of(key: string, make: () => T): T {
    const known = this.#values.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#values.set(key, made);
    return made;
  }
}
