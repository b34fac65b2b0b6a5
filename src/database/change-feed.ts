import { type Change, changesAfter, readFence } from './changes.js';
import type { Database } from './connect.js';

/** Told of every change in order, before the feed's sequence moves past it. `undefined`: forget everything. */
export type ChangeListener = (change: Change | undefined) => void | Promise<void>;

const PAGE = 500;

/**
 * How a node learns what others changed: it reads the change sequence four times a second, and at once when a
 * committing transaction saw a newer number. `sequence` is the promise "everything this node holds in memory is
 * at least as new as this change"; it moves only after every listener has finished.
 */
export class ChangeFeed {
  readonly #database: Database;
  readonly #listeners: ChangeListener[] = [];
  #sequence = -1;
  #reading: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(database: Database) {
    this.#database = database;
  }

  get sequence(): number {
    return this.#sequence;
  }

  listen(listener: ChangeListener): void {
    this.#listeners.push(listener);
  }

  /** Reads what is new. All calls made while one reading is under way share the one after it. */
  async catchUp(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    if (this.#reading === undefined) return this.#begin();
    this.#next = this.#reading
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#begin();
      });
    return this.#next;
  }

  #begin(): Promise<void> {
    const reading = this.#read().finally(() => {
      this.#reading = undefined;
    });
    this.#reading = reading;
    return reading;
  }

  /** Until this node has taken in `sequence`. */
  async catchUpTo(sequence: number): Promise<void> {
    while (this.#sequence < sequence) await this.catchUp();
  }

  async #read(): Promise<void> {
    const { sequence } = await this.#database.read(on => readFence(this.#database, on));
    if (sequence === this.#sequence) return;
    const changes = await this.#database.read(on => changesAfter(on, this.#sequence, PAGE));
    const isComplete =
      this.#sequence >= 0 &&
      changes.length < PAGE &&
      changes[0]?.sequence === this.#sequence + 1 &&
      sequence > this.#sequence;
    // First read, a gap (swept while this node was away), too many, or an older database: drop everything.
    const told: (Change | undefined)[] = isComplete ? changes : [undefined];
    for (const change of told) for (const listener of this.#listeners) await listener(change);
    this.#sequence = isComplete ? (changes.at(-1)?.sequence ?? sequence) : sequence;
  }
}
