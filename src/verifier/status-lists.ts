import { decodeProtectedHeader, jwtVerify } from 'jose';
import { isObject } from './access-token-claims.js';
import { VerificationError } from './errors.js';
import { ExpiringCache } from './expiring-cache.js';
import { type Fetch, fetchText } from './fetch-json.js';
import type { KeySource, SignatureAlgorithm } from './key-set.js';
import { inflateBounded, isSupportedWidth, statusAt } from './status-bits.js';

/** Times in seconds. */
export interface StatusListOptions {
  /**
   * How long a list is used without asking again, if the list's own `ttl` does not say less: so long may a revoked token
   * live on here. Default 30; 1 to 300.
   */
  readonly freshFor?: number;
  /**
   * How much longer a list is used while no new one can be had; then its tokens are refused with 503. Default 60; 0 to
   * 600. Whoever can keep this program from the issuer lengthens the life of a revoked token by as much.
   */
  readonly staleFor?: number;
  /**
   * Refuses tokens that name no status list, and with them whatever a thief of a signing key makes: such a token dies with
   * the lists of its key, and not only when this program forgets the key. Default false. For issuers whose lists say
   * whose tokens they are about (`tokens_kid`), as Claviger's do, and only once every token for this audience has a status.
   */
  readonly isRequired?: boolean;
}

export interface StatusListsParts {
  readonly issuer: string;
  readonly keys: KeySource;
  readonly algorithms: readonly SignatureAlgorithm[];
  /** Seconds. */
  readonly toleranceFor: number;
  /** Seconds. */
  readonly timeoutAfter: number;
  readonly fetch: Fetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly bounds: StatusListOptions;
}

interface Reference {
  readonly idx: number;
  readonly uri: string;
}

interface StatusList {
  readonly bits: Uint8Array;
  /** Bits of one entry. */
  readonly width: number;
  /** Milliseconds, as all below. */
  readonly askedAt: number;
  readonly freshUntil: number;
  readonly usableUntil: number;
  readonly issuedAt: number;
  /** The only key whose tokens it is about; undefined: it does not say. */
  readonly tokensKid: string | undefined;
}

interface Held {
  list: StatusList | undefined;
  fetching: Promise<void> | undefined;
  failure: { readonly at: number; readonly cause: unknown } | undefined;
}

/** A million entries that all differ from their neighbours fit. */
const LARGEST_DOCUMENT = 512 * 1024;
const LARGEST_LIST = 1024 * 1024;
/** Those of the last hours; the oldest makes room. */
const MOST_LISTS = 64;
/** Milliseconds that a token waits for a newer list while the one at hand may still be used. */
const LONGEST_WAIT = 1000;
/** Seconds without an attempt after a failed one. */
const FAILURE_PAUSE_FOR = 5;

/**
 * Revocation of JWTs by status lists (draft-ietf-oauth-status-list §8): a token says where its bit stands, and the
 * issuer publishes all bits of an hour's tokens in one signed document.
 *
 * Attacks it stops: a list from elsewhere (only addresses below the issuer are asked, and only with its signature), the
 * list of other tokens (`sub`), an old one from a cache that keeps it too long (`iat`, `exp`; never back to an older one),
 * a small document that unpacks to gigabytes, and tokens that make this program ask without end (one question at a time
 * and list, none for five seconds after a failure).
 */
export class StatusLists {
  readonly #parts: StatusListsParts;
  readonly #base: string;
  readonly #freshFor: number;
  readonly #staleFor: number;
  readonly #isRequired: boolean;
  readonly #held = new ExpiringCache<Held>(MOST_LISTS);

  /** @throws TypeError when a bound is out of its range. */
  constructor(parts: StatusListsParts) {
    this.#parts = parts;
    this.#base = `${parts.issuer.replace(/\/$/, '')}/`;
    this.#freshFor = within('freshFor', parts.bounds.freshFor ?? 30, 1, 300);
    this.#staleFor = within('staleFor', parts.bounds.staleFor ?? 60, 0, 600);
    this.#isRequired = parts.bounds.isRequired === true;
  }

  /**
   * @param status the claim of a token whose signature has been checked.
   * @param kid the key that signed the token.
   * @throws VerificationError `revoked`, `claim_missing`, `claim_invalid`, or `revocation_unavailable` when it cannot be told.
   */
  async check(status: unknown, kid: string): Promise<void> {
    if (status === undefined) {
      if (!this.#isRequired) return;
      throw new VerificationError('claim_missing', 'the token names no status list');
    }
    const { idx, uri } = this.#referenceOf(status);
    const { bits, width, tokensKid } = await this.#current(uri);
    if (tokensKid === undefined ? this.#isRequired : tokensKid !== kid)
      throw invalid('names a list that is not about tokens of its key');
    const value = statusAt(bits, width, idx);
    if (value === undefined)
      throw new VerificationError('claim_invalid', 'the token’s place is not in its status list');
    if (value !== 0) throw new VerificationError('revoked', 'the token has been revoked');
  }

  #referenceOf(status: unknown): Reference {
    const reference = isObject(status) ? status.status_list : undefined;
    // Another way of telling the status: it may say "revoked", so it is not ignored.
    if (!isObject(reference)) throw invalid('names no status list');
    const { idx, uri } = reference;
    if (typeof idx !== 'number' || !Number.isSafeInteger(idx) || idx < 0) throw invalid('has no index');
    if (typeof uri !== 'string' || !this.#isBelowIssuer(uri))
      throw invalid('names a list that is not the issuer’s');
    return { idx, uri };
  }

  #isBelowIssuer(uri: string): boolean {
    if (!uri.startsWith(this.#base)) return false;
    // What follows must be what is asked for: no dots that lead elsewhere, no query, no fragment.
    const below = uri.slice(this.#base.length);
    return /^[A-Za-z0-9_./-]+$/.test(below) && new URL(uri).href === new URL(this.#base).href + below;
  }

  async #current(uri: string): Promise<StatusList> {
    const { now } = this.#parts;
    const held = this.#heldOf(uri);
    if (held.list !== undefined && isBetween(now(), held.list.askedAt, held.list.freshUntil))
      return held.list;
    const isPausing =
      held.failure !== undefined &&
      isBetween(now(), held.failure.at, held.failure.at + FAILURE_PAUSE_FOR * 1000);
    if (!isPausing) {
      held.fetching ??= this.#fetch(uri, held).finally(() => {
        held.fetching = undefined;
      });
      // An issuer that takes the question and says nothing must not hold up everybody for as long as a fetch may take.
      await (this.#isUsable(held.list) ? inTime(held.fetching) : held.fetching);
    }
    const { list } = held;
    // A wall clock that was set back makes a list old, never fresh for ever.
    if (this.#isUsable(list)) return list;
    throw new VerificationError('revocation_unavailable', 'whether the token is revoked cannot be told', {
      cause: held.failure?.cause,
      retryAfter: FAILURE_PAUSE_FOR,
    });
  }

  #isUsable(list: StatusList | undefined): list is StatusList {
    return list !== undefined && isBetween(this.#parts.now(), list.askedAt, list.usableUntil);
  }

  #heldOf(uri: string): Held {
    const known = this.#held.get(uri, 0);
    if (known !== undefined) return known;
    const held: Held = { list: undefined, fetching: undefined, failure: undefined };
    this.#held.set(uri, held, Number.POSITIVE_INFINITY);
    return held;
  }

  async #fetch(uri: string, held: Held): Promise<void> {
    const { now, fetch: fetchIt, timeoutAfter } = this.#parts;
    // Dated by the question, not the answer: a slow answer must not make an old list young.
    const askedAt = now();
    try {
      const init = { headers: { accept: 'application/statuslist+jwt' } };
      const { text, headers } = await fetchText(fetchIt, uri, init, {
        timeoutAfter,
        sizeLimit: LARGEST_DOCUMENT,
      });
      const list = await this.#read(text, uri, askedAt, ageOf(headers));
      // Two nodes of the issuer, or a cache: what is known to be newer stays, and grows old by its own date.
      held.list =
        held.list !== undefined && list.issuedAt < held.list.issuedAt
          ? { ...held.list, askedAt, freshUntil: list.freshUntil }
          : list;
      held.failure = undefined;
    } catch (cause) {
      held.failure = { at: now(), cause };
    }
  }

  /** draft-ietf-oauth-status-list §8.3: type, signature, subject, times, then the list. */
  async #read(jwt: string, uri: string, askedAt: number, age: number): Promise<StatusList> {
    const { algorithms, keys, issuer, toleranceFor, now } = this.#parts;
    const { kid, alg: named } = decodeProtectedHeader(jwt);
    const alg = algorithms.find(allowed => allowed === named);
    if (alg === undefined || typeof kid !== 'string')
      throw new TypeError('the status list is not signed as expected');
    const { payload } = await jwtVerify(jwt, await keys.find(kid, alg), {
      algorithms: [alg],
      typ: 'statuslist+jwt',
      subject: uri,
      issuer,
      requiredClaims: ['iat', 'sub'],
      clockTolerance: toleranceFor,
      currentDate: new Date(now()),
    });
    const {
      iat = Number.NaN,
      exp = Number.POSITIVE_INFINITY,
      ttl,
      status_list: packed,
      tokens_kid: tokensKid,
    } = payload;
    const issuedAt = iat * 1000;
    const tolerance = toleranceFor * 1000;
    if (!(issuedAt <= now() + tolerance)) throw new TypeError('the status list is from the future');
    if (!isObject(packed) || !isSupportedWidth(packed.bits) || typeof packed.lst !== 'string')
      throw new TypeError('the status list is malformed');
    const ownFreshFor = typeof ttl === 'number' && ttl > 0 ? ttl : Number.POSITIVE_INFINITY;
    const freshFor = Math.max(1, Math.min(this.#freshFor, ownFreshFor) - age);
    const longest = (this.#freshFor + this.#staleFor) * 1000;
    return {
      bits: await inflateBounded(packed.lst, LARGEST_LIST),
      width: packed.bits,
      askedAt,
      freshUntil: askedAt + freshFor * 1000,
      // Whatever caches on the way do: no list counts longer than that after it was signed.
      usableUntil: Math.min(askedAt + longest, issuedAt + tolerance + longest, exp * 1000 + tolerance),
      issuedAt,
      tokensKid: typeof tokensKid === 'string' ? tokensKid : undefined,
    };
  }
}

function invalid(what: string): VerificationError {
  return new VerificationError('claim_invalid', `the token’s status ${what}`);
}

async function inTime(fetching: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<void>(resolve => {
    timer = setTimeout(resolve, LONGEST_WAIT);
  });
  await Promise.race([fetching, timeout]);
  clearTimeout(timer);
}

function isBetween(now: number, from: number, until: number): boolean {
  return now >= from && now < until;
}

/** RFC 9111 §5.1: seconds that it has spent in caches. */
function ageOf(headers: Headers): number {
  return Number(/^\d{1,10}$/.exec(headers.get('age') ?? '')?.[0] ?? '0');
}

function within(name: string, value: number, least: number, most: number): number {
  if (Number.isFinite(value) && value >= least && value <= most) return value;
  throw new TypeError(`statusLists.${name} must be ${least} to ${most} seconds`);
}
