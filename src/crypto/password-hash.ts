import { availableParallelism } from 'node:os';
import { hash, type Options, parseOptions, verify } from '@node-rs/argon2';
import { AppError } from '../errors.js';

/** argon2id as OWASP's password storage sheet recommends first: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const satisfies Options;
/** `Algorithm.Argon2id` and `Version.V0x13`: ambient const enums, which isolated modules cannot read. */
const ARGON2ID = 2;
const VERSION_19 = 1;

const DEFAULT_QUEUE_LIMIT = 64;

/**
 * Each run takes tens of milliseconds of a core and 19 MiB. Without a bound, a burst of sign-ins takes every core
 * from token requests; with a bound but an endless queue, it takes the memory instead.
 */
export class PasswordHasher {
  readonly #concurrency: number;
  readonly #queueLimit: number;
  readonly #queue: (() => void)[] = [];
  #running = 0;

  constructor(options: { readonly concurrency?: number; readonly queueLimit?: number } = {}) {
    this.#concurrency = options.concurrency ?? Math.max(1, availableParallelism() - 1);
    this.#queueLimit = options.queueLimit ?? DEFAULT_QUEUE_LIMIT;
    if (this.#concurrency < 1 || this.#queueLimit < 0) throw new TypeError('bounds cannot be negative');
  }

  /** A PHC string with its own random salt. */
  hash(password: string): Promise<string> {
    return this.inTurn(() => hash(password, PARAMETERS));
  }

  /** Rejects when `storedHash` is not an argon2 string: a damaged row is not a wrong password. */
  verify(storedHash: string, password: string): Promise<boolean> {
    return this.inTurn(() => verify(storedHash, password));
  }

  /** True when the hash is weaker than, or otherwise unlike, what hash() makes today. */
  needsRehash(storedHash: string): boolean {
    const used = parseOptions(storedHash);
    return (
      used.algorithm !== ARGON2ID ||
      used.version !== VERSION_19 ||
      used.memoryCost !== PARAMETERS.memoryCost ||
      used.timeCost !== PARAMETERS.timeCost ||
      used.parallelism !== PARAMETERS.parallelism
    );
  }

  /** Runs slow work of others, such as the hash of another system, within the same bounds. */
  async inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#concurrency) this.#running += 1;
    else await this.#placeInQueue();
    try {
      return await work();
    } finally {
      // The place passes on directly: giving it back first would let a newcomer overtake the queue.
      const next = this.#queue.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  #placeInQueue(): Promise<void> {
    if (this.#queue.length >= this.#queueLimit) {
      throw new AppError('not_ready', 'Too many sign-ins at once. Try again in a few seconds.', {
        detail: `password queue full: ${this.#running} running, ${this.#queue.length} waiting`,
      });
    }
    return new Promise(resolve => this.#queue.push(resolve));
  }
}
