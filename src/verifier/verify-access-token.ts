import { decodeProtectedHeader, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import {
  type AccessTokenClaims,
  type AccessTokenVerifier,
  checkClaimTypes,
  LONGEST_TOKEN,
  REQUIRED_CLAIMS,
  refuseSenderConstrained,
} from './access-token-claims.js';
import { systemNow } from './clock.js';
import { discoverUrl } from './discovery.js';
import { VerificationError, type VerificationErrorCode } from './errors.js';
import { checkedUrl, type Fetch, fetchJson } from './fetch-json.js';
import { type KeyCacheBounds, type KeyCacheEvent, RemoteKeys } from './jwks.js';
import {
  isSignatureAlgorithm,
  type KeySource,
  LocalKeys,
  type SignatureAlgorithm,
  type VerificationKey,
} from './key-set.js';
import { checkedScopes, requireScopes } from './scopes.js';
import { type StatusListOptions, StatusLists, type StatusListsParts } from './status-lists.js';

export type { AccessTokenClaims, AccessTokenVerifier } from './access-token-claims.js';
export { VerificationError, type VerificationErrorCode } from './errors.js';
export type { StatusListOptions } from './status-lists.js';

export interface VerifierOptions {
  /** The only issuer whose tokens are accepted, compared byte by byte (RFC 9068 §4). */
  readonly issuer: string;
  /** This resource server's identifier; must be one of the token's audiences. */
  readonly audience: string;
  /** Where the issuer publishes its keys. Discovered from the issuer's metadata when neither this nor `jwks` is given. */
  readonly jwksUri?: string;
  /** Keys that are at hand in this program, instead of fetched ones. Return the same object while nothing changed. */
  readonly jwks?: () => JSONWebKeySet | Promise<JSONWebKeySet>;
  /**
   * Accepted signature algorithms. Default ES256, ES384, RS256, PS256, EdDSA, ML-DSA-44, ML-DSA-65: what an issuer can be
   * configured for. Name the one you expect, and no other is accepted. `none` and HMAC cannot be chosen.
   */
  readonly algorithms?: readonly SignatureAlgorithm[];
  /** Seconds by which the issuer's clock may differ from ours. Default 10, at most 300. */
  readonly clockToleranceFor?: number;
  /** Scopes that every token must have. */
  readonly requiredScopes?: readonly string[];
  /** Asked last; anything but `false` refuses the token, and an error makes it unavailable (503), never accepted. */
  readonly isRevoked?: (claims: AccessTokenClaims) => boolean | Promise<boolean>;
  readonly keyCache?: KeyCacheBounds;
  /**
   * Tokens with a `status` are looked up in the issuer's status list, so that a revoked one is refused within
   * `freshFor` seconds. `false`: not looked up, and it counts until it expires.
   */
  readonly statusLists?: false | StatusListOptions;
  /** For counters. */
  readonly onKeyCacheEvent?: (event: KeyCacheEvent) => void;
  /** Seconds for one fetch of keys or metadata. Default 5. */
  readonly timeoutAfter?: number;
  /** Allows http beyond loopback, for a network you trust. */
  readonly isHttpAllowed?: boolean;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly fetch?: Fetch;
}

const DEFAULT_ALGORITHMS: readonly SignatureAlgorithm[] = [
  'ES256',
  'ES384',
  'RS256',
  'PS256',
  'EdDSA',
  'ML-DSA-44',
  'ML-DSA-65',
];
const SIZE_LIMIT = 64 * 1024;
const LONGEST_KID = 256;
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Each would let the token choose its own key, or change what the signature covers (RFC 7515 §4.1, RFC 7797). */
const REFUSED_HEADERS = ['crit', 'jwk', 'jku', 'x5u', 'x5c', 'b64'] as const;

const CLAIM_FAULTS: Readonly<Record<string, VerificationErrorCode>> = {
  iss: 'issuer_wrong',
  aud: 'audience_wrong',
  nbf: 'not_yet_valid',
};

/**
 * Makes a verifier of JWT access tokens (RFC 9068 §4, RFC 8725). It makes no request until a token needs a key.
 *
 * @example
 * const verifier = createVerifier({ issuer: 'https://as.example', audience: 'https://api.example' });
 * const claims = await verifier.verify(token);
 *
 * @throws TypeError when an option is missing, contradictory or unsafe.
 */
export function createVerifier(options: VerifierOptions): AccessTokenVerifier<AccessTokenClaims> {
  if (typeof options.audience !== 'string' || options.audience === '')
    throw new TypeError('audience must be this resource server’s identifier');
  return new JwtVerifier(options, options.audience);
}

/**
 * For the issuer itself, which answers questions about its own tokens for others (RFC 7662): a token may be meant
 * for any resource server and may be bound to a key. Whoever asks must check both.
 *
 * @throws TypeError as `createVerifier`.
 */
export function createIssuerVerifier(
  options: Omit<VerifierOptions, 'audience'>,
): AccessTokenVerifier<AccessTokenClaims> {
  return new JwtVerifier(options, undefined);
}

class JwtVerifier implements AccessTokenVerifier<AccessTokenClaims> {
  readonly #issuer: string;
  /** Undefined: the issuer itself is asking. */
  readonly #audience: string | undefined;
  readonly #algorithms: readonly SignatureAlgorithm[];
  readonly #clockToleranceFor: number;
  readonly #requiredScopes: readonly string[];
  readonly #isRevoked: VerifierOptions['isRevoked'];
  readonly #statusLists: StatusLists | undefined;
  readonly #now: () => number;
  readonly #keys: KeySource;

  constructor(options: Omit<VerifierOptions, 'audience'>, audience: string | undefined) {
    this.#issuer = checkedUrl(options.issuer, 'issuer', options.isHttpAllowed === true);
    this.#audience = audience;
    this.#algorithms = [...(options.algorithms ?? DEFAULT_ALGORITHMS)];
    if (this.#algorithms.length === 0 || !this.#algorithms.every(isSignatureAlgorithm))
      throw new TypeError('algorithms must name asymmetric signature algorithms');
    const tolerance = options.clockToleranceFor ?? 10;
    if (!(tolerance >= 0 && tolerance <= 300))
      throw new TypeError('clockToleranceFor must be 0 to 300 seconds');
    this.#clockToleranceFor = tolerance;
    this.#requiredScopes = checkedScopes(options.requiredScopes);
    this.#isRevoked = options.isRevoked;
    this.#now = options.now ?? systemNow;
    this.#keys = keySource(options, this.#now);
    this.#statusLists = statusListsOf(options, {
      algorithms: this.#algorithms,
      keys: this.#keys,
      now: this.#now,
    });
  }

  /**
   * @param token the compact JWT, without the word Bearer.
   * @returns the claims, after every check has passed.
   * @throws VerificationError, and nothing else, whatever the token is.
   */
  async verify(token: string): Promise<AccessTokenClaims> {
    const { kid, alg } = this.#readHeader(token);
    const key = await this.#keys.find(kid, alg);
    const payload = await this.#checkSignatureAndTimes(token, key, alg);
    const claims = this.#checkClaims(payload);
    await this.#statusLists?.check(claims.status, kid);
    await this.#checkRevocation(claims);
    requireScopes(claims, this.#requiredScopes);
    return claims;
  }

  /** All that can be refused without a key is, before a key is looked for. */
  #readHeader(token: string): { readonly kid: string; readonly alg: SignatureAlgorithm } {
    if (typeof token !== 'string') throw malformed('not a string');
    if (token.length > LONGEST_TOKEN)
      throw new VerificationError('token_too_long', `the token is longer than ${LONGEST_TOKEN} characters`);
    if (!COMPACT_JWS.test(token)) throw malformed('not three base64url parts');
    // The signature does not cover its own spelling: with spare bits set, one token would have several texts, and
    // whoever blocks or counts tokens by their text would miss the others (RFC 4648 §3.5).
    if (!hasCanonicalEnd(token)) throw malformed('spare bits in the signature');
    const header = decodeHeader(token);
    // RFC 9068 §4, RFC 8725 §3.11: an ID token or a logout token of the same issuer is no access token.
    if (!/^(?:application\/)?at\+jwt$/i.test(typeof header.typ === 'string' ? header.typ : ''))
      throw new VerificationError('type_wrong', 'the token is not of type at+jwt');
    // RFC 8725 §3.1: the token does not choose the algorithm, it names one of those we chose.
    const alg = this.#algorithms.find(allowed => allowed === header.alg);
    if (alg === undefined) throw new VerificationError('algorithm_refused', 'the algorithm is not allowed');
    for (const name of REFUSED_HEADERS) {
      if (Object.hasOwn(header, name))
        throw new VerificationError('header_refused', `header parameter "${name}" is not accepted`);
    }
    const { kid } = header;
    if (typeof kid !== 'string' || kid === '' || kid.length > LONGEST_KID)
      throw new VerificationError('key_unknown', 'the token names no key');
    return { kid, alg };
  }

  async #checkSignatureAndTimes(
    token: string,
    key: VerificationKey,
    alg: SignatureAlgorithm,
  ): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [alg],
        issuer: this.#issuer,
        ...(this.#audience === undefined ? {} : { audience: this.#audience }),
        requiredClaims: [...REQUIRED_CLAIMS],
        clockTolerance: this.#clockToleranceFor,
        currentDate: new Date(this.#now()),
      });
      return payload;
    } catch (cause) {
      throw translated(cause);
    }
  }

  #checkClaims(payload: JWTPayload): AccessTokenClaims {
    checkClaimTypes(payload);
    // A token from the future was stamped by a broken clock; its lifetime cannot be trusted either.
    if (Number(payload.iat) > this.#now() / 1000 + this.#clockToleranceFor)
      throw new VerificationError('not_yet_valid', 'the token was issued in the future');
    if (this.#audience !== undefined) refuseSenderConstrained(payload);
    // Presence and kind of every required claim have just been checked.
    return Object.freeze(payload) as AccessTokenClaims;
  }

  async #checkRevocation(claims: AccessTokenClaims): Promise<void> {
    if (this.#isRevoked === undefined) return;
    let isRevoked: boolean;
    try {
      isRevoked = await this.#isRevoked(claims);
    } catch (cause) {
      throw new VerificationError('revocation_unavailable', 'whether the token is revoked cannot be told', {
        cause,
        retryAfter: 1,
      });
    }
    if (isRevoked !== false) throw new VerificationError('revoked', 'the token has been revoked');
  }
}

function hasCanonicalEnd(token: string): boolean {
  const length = token.length - token.lastIndexOf('.') - 1;
  if (length % 4 === 2) return /[AQgw]$/.test(token);
  if (length % 4 === 3) return /[AEIMQUYcgkosw048]$/.test(token);
  return length % 4 === 0;
}

function decodeHeader(token: string): Readonly<Record<string, unknown>> {
  try {
    return decodeProtectedHeader(token);
  } catch (cause) {
    throw malformed('the header is not a JSON object', cause);
  }
}

function malformed(what: string, cause?: unknown): VerificationError {
  return new VerificationError('token_malformed', `the token is malformed: ${what}`, { cause });
}

function translated(cause: unknown): VerificationError {
  if (cause instanceof errors.JWSSignatureVerificationFailed)
    return new VerificationError('signature_invalid', 'the signature is not by the named key', { cause });
  // The causes below hold the claims; they are kept out of logs.
  if (cause instanceof errors.JWTExpired) return new VerificationError('expired', 'the token has expired');
  if (cause instanceof errors.JWTClaimValidationFailed) {
    const code =
      cause.reason === 'missing' ? 'claim_missing' : (CLAIM_FAULTS[cause.claim] ?? 'claim_invalid');
    if (cause.reason === 'invalid') return new VerificationError('claim_invalid', cause.message);
    return new VerificationError(code, cause.message);
  }
  if (cause instanceof errors.JOSEError) return malformed(cause.message, cause);
  return new VerificationError('key_unsuitable', 'the key cannot check the signature', { cause });
}

function keySource(options: Omit<VerifierOptions, 'audience'>, now: () => number): KeySource {
  const { issuer, jwks, jwksUri, keyCache, onKeyCacheEvent } = options;
  if (jwks !== undefined && jwksUri !== undefined) throw new TypeError('give jwks or jwksUri, not both');
  if (jwks !== undefined) return new LocalKeys(jwks);
  const isHttpAllowed = options.isHttpAllowed === true;
  const fetchIt: Fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
  const limits = { timeoutAfter: checkedTimeout(options.timeoutAfter ?? 5), sizeLimit: SIZE_LIMIT };
  const configured = jwksUri === undefined ? undefined : checkedUrl(jwksUri, 'jwksUri', isHttpAllowed);
  const init = { headers: { accept: 'application/jwk-set+json, application/json' } };
  return new RemoteKeys({
    now,
    bounds: keyCache,
    onEvent: onKeyCacheEvent,
    // The metadata is asked each time, so that an issuer may move its keys; a refresh is rare.
    load: async () => {
      const url =
        configured ?? (await discoverUrl('jwks_uri', { issuer, fetch: fetchIt, limits, isHttpAllowed }));
      return fetchJson(fetchIt, url, init, limits);
    },
  });
}

function statusListsOf(
  options: Omit<VerifierOptions, 'audience'>,
  parts: Pick<StatusListsParts, 'algorithms' | 'keys' | 'now'>,
): StatusLists | undefined {
  if (options.statusLists === false) return undefined;
  return new StatusLists({
    ...parts,
    issuer: options.issuer,
    toleranceFor: options.clockToleranceFor ?? 10,
    timeoutAfter: checkedTimeout(options.timeoutAfter ?? 5),
    fetch: options.fetch ?? ((url, init) => globalThis.fetch(url, init)),
    bounds: options.statusLists ?? {},
  });
}

function checkedTimeout(timeoutAfter: number): number {
  if (timeoutAfter > 0 && timeoutAfter <= 60) return timeoutAfter;
  throw new TypeError('timeoutAfter must be more than 0 and at most 60 seconds');
}
