import type { Database } from '../database/connect.js';
import { SecretStore } from './secret-store.js';

/** More secrets than this in use between two flushes: the rest is noted at their next use. */
const MOST_NOTED = 100_000;

/**
 * When each secret was last used. Kept in memory and written every few seconds, because a write per token request
 * would cost more than the token; what a crash loses is a few seconds of "last used", and the audit has it all.
 */
export class SecretUses {
  readonly #database: Database;
  readonly #secrets = new SecretStore();
  #noted = new Map<string, number>();

  constructor(database: Database) {
    this.#database = database;
  }

  note(secretId: string, at: number): void {
    if (this.#noted.size < MOST_NOTED || this.#noted.has(secretId)) this.#noted.set(secretId, at);
  }

  async flush(): Promise<void> {
    const noted = this.#noted;
    if (noted.size === 0) return;
    this.#noted = new Map();
    try {
      await this.#database.transaction(trx => this.#secrets.recordUses(trx, noted));
    } catch (error) {
      // What was noted in the meantime is newer.
      this.#noted = new Map([...noted, ...this.#noted]);
      throw error;
    }
  }
}
