import {
  type AccessTokenVerifier,
  checkClaimTypes,
  isForAudience,
  isObject,
  LONGEST_TOKEN,
  refuseSenderConstrained,
  type VerifiedClaims,
} from './access-token-claims.js';
import { systemNow } from './clock.js';
import { discoverUrl } from './discovery.js';
import { VerificationError } from './errors.js';
import { ExpiringCache } from './expiring-cache.js';
import { checkedUrl, type Fetch, type FetchLimits, fetchJson } from './fetch-json.js';
import { checkedScopes, requireScopes } from './scopes.js';

export interface IntrospectorOptions {
  /** Compared byte by byte with the answer's `iss`, when it has one. */
  readonly issuer: string;
  /** This resource server's identifier; must be one of the token's audiences. */
  readonly audience: string;
  /** Discovered from the issuer's metadata when not given. */
  readonly introspectionEndpoint?: string;
  /** This resource server's own client at the issuer, which authenticates by client_secret_basic. */
  readonly clientId: string;
  readonly clientSecret: string;
  readonly requiredScopes?: readonly string[];
  /** Seconds by which the issuer's clock may differ from ours. Default 10, at most 300. */
  readonly clockToleranceFor?: number;
  /** Seconds an answer is used again: how long a revoked token may live on here. Default 10, at most 60; 0 asks each time. */
  readonly cacheFor?: number;
  /** Answers kept. Default 1000. */
  readonly cacheSize?: number;
  /** Seconds for one question. Default 5. */
  readonly timeoutAfter?: number;
  /** Allows http beyond loopback, for a network you trust. */
  readonly isHttpAllowed?: boolean;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly fetch?: Fetch;
}

/** What the issuer said. `undefined`: not active. */
type Answer = Readonly<Record<string, unknown>> | undefined;

const SIZE_LIMIT = 64 * 1024;
const RETRY_AFTER = 5;
/** RFC 6750 §2.1 */
const B64TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/**
 * Makes a verifier that asks the issuer about each token (RFC 7662), for opaque tokens or where a revocation must count
 * within seconds.
 *
 * @throws TypeError when an option is missing or unsafe.
 */
export function createIntrospector(options: IntrospectorOptions): AccessTokenVerifier {
  return new Introspector(options);
}

class Introspector implements AccessTokenVerifier {
  readonly #options: IntrospectorOptions;
  readonly #requiredScopes: readonly string[];
  readonly #authorization: string;
  readonly #now: () => number;
  readonly #fetch: Fetch;
  readonly #limits: FetchLimits;
  readonly #isHttpAllowed: boolean;
  readonly #cacheFor: number;
  readonly #toleranceFor: number;
  /** Apart from each other, so that invented tokens cannot push out the answers for real ones. */
  readonly #active: ExpiringCache<Answer>;
  readonly #inactive: ExpiringCache<true>;
  readonly #asking = new Map<string, Promise<Answer>>();
  #endpoint: string | undefined;

  constructor(options: IntrospectorOptions) {
    this.#options = options;
    this.#isHttpAllowed = options.isHttpAllowed === true;
    checkedUrl(options.issuer, 'issuer', this.#isHttpAllowed);
    for (const name of ['audience', 'clientId', 'clientSecret'] as const) {
      if (typeof options[name] !== 'string' || options[name] === '')
        throw new TypeError(`${name} is missing`);
    }
    if (options.introspectionEndpoint !== undefined)
      this.#endpoint = checkedUrl(
        options.introspectionEndpoint,
        'introspectionEndpoint',
        this.#isHttpAllowed,
      );
    this.#requiredScopes = checkedScopes(options.requiredScopes);
    this.#cacheFor = within('cacheFor', options.cacheFor ?? 10, 0, 60);
    this.#toleranceFor = within('clockToleranceFor', options.clockToleranceFor ?? 10, 0, 300);
    this.#limits = {
      timeoutAfter: within('timeoutAfter', options.timeoutAfter ?? 5, 0.001, 60),
      sizeLimit: SIZE_LIMIT,
    };
    const cacheSize = within('cacheSize', options.cacheSize ?? 1000, 0, 1_000_000);
    this.#active = new ExpiringCache(cacheSize);
    this.#inactive = new ExpiringCache(cacheSize);
    this.#now = options.now ?? systemNow;
    this.#fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
    // RFC 6749 §2.3.1: both are form-encoded before they are joined by the colon.
    this.#authorization = `Basic ${btoa(`${formEncoded(options.clientId)}:${formEncoded(options.clientSecret)}`)}`;
  }

  /**
   * @param token as it came, without the word Bearer.
   * @throws VerificationError, and nothing else, whatever the token is.
   */
  async verify(token: string): Promise<VerifiedClaims> {
    if (typeof token !== 'string') throw new VerificationError('token_malformed', 'the token is malformed');
    if (token.length > LONGEST_TOKEN)
      throw new VerificationError('token_too_long', `the token is longer than ${LONGEST_TOKEN} characters`);
    if (!B64TOKEN.test(token)) throw new VerificationError('token_malformed', 'the token is malformed');
    const answer = await this.#answerFor(token);
    if (answer === undefined)
      throw new VerificationError('inactive', 'the issuer says the token is not active');
    const claims = this.#check(answer);
    requireScopes(claims, this.#requiredScopes);
    return claims;
  }

  async #answerFor(token: string): Promise<Answer> {
    // A memory dump of the resource server holds no usable token.
    const name = await digest(token);
    const now = this.#now();
    const known = this.#active.get(name, now);
    if (known !== undefined) return known;
    if (this.#inactive.get(name, now) !== undefined) return undefined;
    const asking = this.#asking.get(name) ?? this.#ask(token, name).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    return asking;
  }

  async #ask(token: string, name: string): Promise<Answer> {
    const askedAt = this.#now();
    const answer = await this.#introspect(token);
    const until = askedAt + this.#cacheFor * 1000;
    if (answer === undefined) this.#inactive.set(name, true, until);
    else this.#active.set(name, answer, until);
    return answer;
  }

  async #introspect(token: string): Promise<Answer> {
    try {
      const { value } = await fetchJson(
        this.#fetch,
        await this.#locate(),
        {
          method: 'POST',
          headers: {
            accept: 'application/json',
            authorization: this.#authorization,
            'content-type': 'application/x-www-form-urlencoded',
          },
          body: new URLSearchParams({ token, token_type_hint: 'access_token' }).toString(),
        },
        this.#limits,
      );
      if (!isObject(value) || typeof value.active !== 'boolean')
        throw new Error('the answer has no "active"');
      return value.active ? Object.freeze(value) : undefined;
    } catch (cause) {
      // A refused client, an outage, nonsense: nothing is known about the token, and that is no permission.
      throw new VerificationError('introspection_unavailable', 'the issuer cannot be asked', {
        cause,
        retryAfter: RETRY_AFTER,
      });
    }
  }

  async #locate(): Promise<string> {
    const { issuer } = this.#options;
    this.#endpoint ??= await discoverUrl('introspection_endpoint', {
      issuer,
      fetch: this.#fetch,
      limits: this.#limits,
      isHttpAllowed: this.#isHttpAllowed,
    });
    return this.#endpoint;
  }

  /** Again on each use of a remembered answer: a token expires although its answer has not. */
  #check(answer: Readonly<Record<string, unknown>>): VerifiedClaims {
    checkClaimTypes(answer);
    // RFC 7662 §2.2 lets a server leave it out, and then a refresh token would pass for an access token.
    if (typeof answer.token_type !== 'string' || answer.token_type.toLowerCase() !== 'bearer')
      throw new VerificationError('type_wrong', 'the token is no Bearer access token');
    if (answer.iss !== undefined && answer.iss !== this.#options.issuer)
      throw new VerificationError('issuer_wrong', 'the token is by another issuer');
    // RFC 7662 §4: a token for another resource server is active there, not here.
    if (!isForAudience(answer.aud, this.#options.audience))
      throw new VerificationError('audience_wrong', 'the token is for another resource server');
    refuseSenderConstrained(answer);
    const now = this.#now() / 1000;
    if (answer.exp !== undefined && Number(answer.exp) <= now - this.#toleranceFor)
      throw new VerificationError('expired', 'the token has expired');
    if (answer.nbf !== undefined && Number(answer.nbf) > now + this.#toleranceFor)
      throw new VerificationError('not_yet_valid', 'the token is not valid yet');
    // Kinds were checked above; `aud` holds our audience.
    return answer as VerifiedClaims;
  }
}

function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}

async function digest(token: string): Promise<string> {
  const hash = await globalThis.crypto.subtle.digest('SHA-256', new TextEncoder().encode(token));
  return String.fromCharCode(...new Uint8Array(hash));
}

function within(name: string, value: number, least: number, most: number): number {
  if (Number.isFinite(value) && value >= least && value <= most) return value;
  throw new TypeError(`${name} must be ${least} to ${most}`);
}
