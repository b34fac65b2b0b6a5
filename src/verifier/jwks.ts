import { VerificationError } from './errors.js';
import { ExpiringCache } from './expiring-cache.js';
import type { FetchedJson } from './fetch-json.js';
import {
  KeySet,
  type KeySource,
  type SignatureAlgorithm,
  unknownKey,
  type VerificationKey,
} from './key-set.js';

/** What happened, for counters. One token causes one or more of them. */
export type KeyCacheEvent =
  | 'hit'
  | 'miss'
  | 'known_absent'
  | 'cooldown'
  | 'fetch'
  | 'fetch_failed'
  | 'stale_used';

/** Seconds. */
export interface KeyCacheBounds {
  /** A set without a usable Cache-Control is fresh this long. 300; 60 to 3600, as for `max-age`. */
  readonly freshFor?: number;
  /** After a fetch that an unknown `kid` caused, no other unknown `kid` causes one. 10; at least 1. */
  readonly missCooldownFor?: number;
  /** A `kid` that a fetch has shown to be absent is not looked for again. 30; at most 30. */
  readonly absentFor?: number;
  /** How long after its freshness a set is used while no new one can be had. 3600; at most 3600. */
  readonly staleFor?: number;
  /** After a failed fetch nobody tries. 5; 1 to 60. */
  readonly failurePauseFor?: number;
}

export interface RemoteKeysOptions {
  /** Fetches the JWKS document. */
  readonly load: () => Promise<FetchedJson>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly bounds?: KeyCacheBounds | undefined;
  readonly onEvent?: ((event: KeyCacheEvent) => void) | undefined;
}

interface HeldKeys {
  readonly keys: KeySet;
  readonly askedAt: number;
  /** Seconds. */
  readonly freshFor: number;
}

const SHORTEST_FRESH = 60;
const LONGEST_FRESH = 3600;
const MOST_ABSENT = 100;

/**
 * The issuer's published keys, remembered.
 *
 * Attacks it stops: tokens with invented kids cannot make it hammer the issuer (cooldown, known-absent kids, single
 * flight); a key that was withdrawn is forgotten at the next refresh; an issuer that is down for a while does not take
 * the resource server with it, but never for longer than `staleFor`.
 */
export class RemoteKeys implements KeySource {
  readonly #load: () => Promise<FetchedJson>;
  readonly #now: () => number;
  readonly #onEvent: (event: KeyCacheEvent) => void;
  readonly #bounds: Required<KeyCacheBounds>;
  readonly #absent = new ExpiringCache<true>(MOST_ABSENT);
  #held: HeldKeys | undefined;
  #fetching: Promise<boolean> | undefined;
  #fetches = 0;
  #missFetchAt: number | undefined;
  #failure: { readonly at: number; readonly cause: unknown } | undefined;

  /** @throws TypeError when a bound is out of its range. */
  constructor(options: RemoteKeysOptions) {
    this.#load = options.load;
    this.#now = options.now;
    this.#onEvent = options.onEvent ?? (() => {});
    const bounds = options.bounds ?? {};
    this.#bounds = {
      freshFor: within('freshFor', bounds.freshFor ?? 300, SHORTEST_FRESH, LONGEST_FRESH),
      missCooldownFor: within('missCooldownFor', bounds.missCooldownFor ?? 10, 1, 3600),
      absentFor: within('absentFor', bounds.absentFor ?? 30, 0, 30),
      staleFor: within('staleFor', bounds.staleFor ?? 3600, 0, 3600),
      failurePauseFor: within('failurePauseFor', bounds.failurePauseFor ?? 5, 1, 60),
    };
  }

  async find(kid: string, alg: SignatureAlgorithm): Promise<VerificationKey> {
    const fetchesBefore = this.#fetches;
    const keys = await this.#current();
    if (keys.has(kid)) {
      this.#note('hit');
      return keys.key(kid, alg);
    }
    this.#note('miss');
    return (await this.#lookAgain(kid, fetchesBefore)).key(kid, alg);
  }

  /** A fresh set, or a stale one while no fresh one can be had. */
  async #current(): Promise<KeySet> {
    if (this.#held !== undefined && this.#isYounger(this.#held.askedAt, this.#held.freshFor))
      return this.#held.keys;
    if (!this.#isPausing()) await this.#refresh();
    const held = this.#held;
    if (held === undefined) throw this.#unavailable();
    if (this.#isYounger(held.askedAt, held.freshFor)) return held.keys;
    if (!this.#isYounger(held.askedAt, held.freshFor + this.#bounds.staleFor)) throw this.#unavailable();
    this.#note('stale_used');
    return held.keys;
  }

  /** The kid is not in the set: perhaps the issuer has a new key, perhaps somebody invents kids. */
  async #lookAgain(kid: string, fetchesBefore: number): Promise<KeySet> {
    // A fetch under way may bring the key: tokens of a new key arrive together.
    if (this.#fetching !== undefined) {
      await this.#fetching;
      if (this.#held?.keys.has(kid) === true) return this.#held.keys;
    }
    if (this.#absent.get(kid, this.#now()) !== undefined) {
      this.#note('known_absent');
      throw unknownKey();
    }
    if (this.#isPausing()) throw this.#unavailable();
    // The set was asked for on behalf of this very token: asking again would bring the same.
    if (this.#fetches === fetchesBefore) {
      if (
        this.#missFetchAt !== undefined &&
        this.#isYounger(this.#missFetchAt, this.#bounds.missCooldownFor)
      ) {
        this.#note('cooldown');
        throw unknownKey();
      }
      // Counted from the last fetch that a miss caused: an ordinary refresh must not delay a new key.
      this.#missFetchAt = this.#now();
      if (!(await this.#refresh())) throw this.#unavailable();
    }
    const held = this.#held;
    if (held?.keys.has(kid) === true) return held.keys;
    this.#absent.set(kid, true, this.#now() + this.#bounds.absentFor * 1000);
    throw unknownKey();
  }

  #refresh(): Promise<boolean> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetch(): Promise<boolean> {
    // Dated by the question, not the answer: a slow answer must not make old keys young.
    const askedAt = this.#now();
    this.#fetches += 1;
    this.#note('fetch');
    try {
      const { value, headers } = await this.#load();
      this.#held = {
        keys: new KeySet(value),
        askedAt,
        freshFor: freshnessOf(headers, this.#bounds.freshFor),
      };
      this.#failure = undefined;
      return true;
    } catch (cause) {
      this.#failure = { at: this.#now(), cause };
      this.#note('fetch_failed');
      return false;
    }
  }

  #isPausing(): boolean {
    return this.#failure !== undefined && this.#isYounger(this.#failure.at, this.#bounds.failurePauseFor);
  }

  /** A wall clock set back makes an age negative; then the thing counts as old, never as fresh for ever. */
  #isYounger(since: number, seconds: number): boolean {
    const age = this.#now() - since;
    return age >= 0 && age < seconds * 1000;
  }

  #unavailable(): VerificationError {
    return new VerificationError('keys_unavailable', 'the issuer’s keys cannot be fetched', {
      cause: this.#failure?.cause,
      retryAfter: this.#bounds.failurePauseFor,
    });
  }

  /** Counting must not change a verdict. */
  #note(event: KeyCacheEvent): void {
    try {
      this.#onEvent(event);
    } catch {}
  }
}

function within(name: string, value: number, least: number, most: number): number {
  if (Number.isFinite(value) && value >= least && value <= most) return value;
  throw new TypeError(`keyCache.${name} must be ${least} to ${most} seconds`);
}

/** RFC 9111 §4.2: max-age less the Age it had on arrival, held between a minute and an hour whatever the issuer says. */
function freshnessOf(headers: Headers, otherwise: number): number {
  const directives = (headers.get('cache-control') ?? '').toLowerCase();
  if (/(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])/.test(directives)) return SHORTEST_FRESH;
  const maxAge = /(?:^|[\s,])max-age="?(\d{1,10})"?(?:$|[\s,])/.exec(directives)?.[1];
  if (maxAge === undefined) return otherwise;
  const age = /^\d{1,10}$/.exec(headers.get('age') ?? '')?.[0] ?? '0';
  return Math.min(LONGEST_FRESH, Math.max(SHORTEST_FRESH, Number(maxAge) - Number(age)));
}
