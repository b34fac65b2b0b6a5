interface Entry<Value> {
  readonly value: Value;
  readonly until: number;
}

/** Bounded in size and in time, so that whoever chooses the keys cannot fill the memory. */
export class ExpiringCache<Value> {
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @param now milliseconds since the epoch. */
  get(key: string, now: number): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (now < entry.until) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  /** The oldest entry makes room. @param until milliseconds since the epoch. */
  set(key: string, value: Value, until: number): void {
    this.#entries.delete(key);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size < this.#capacity) break;
      this.#entries.delete(oldest);
    }
    if (this.#capacity > 0) this.#entries.set(key, { value, until });
  }
}
