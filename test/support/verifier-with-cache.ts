import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';

export interface StrictVerifierOptions {
  readonly jwksUri: string;
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms?: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Seconds; how long a fetched key set is used. */
  readonly cacheFor?: number;
  /** How the key set is fetched: over HTTP unless a test says otherwise. */
  readonly fetchKeySet?: (uri: string) => Promise<JSONWebKeySet>;
}

async function fetchOverHttp(uri: string): Promise<JSONWebKeySet> {
  const response = await fetch(uri);
  if (!response.ok) throw new Error(`${uri} answered ${response.status}`);
  return (await response.json()) as JSONWebKeySet;
}

/**
 * Somebody else's resource server at its most stubborn: it keeps a key set for five minutes and does not look again
 * for a `kid` it does not know. Rotation must never make it refuse a token.
 */
export class StrictVerifier {
  readonly #options: StrictVerifierOptions;
  #keySet: { readonly find: ReturnType<typeof createLocalJWKSet>; readonly fetchedAt: number } | undefined;
  #fetching: Promise<void> | undefined;
  #fetches = 0;

  constructor(options: StrictVerifierOptions) {
    this.#options = options;
  }

  /** How often the key set was fetched. */
  get fetches(): number {
    return this.#fetches;
  }

  /** @throws jose's error when the token is not to be trusted, with `ERR_JWKS_NO_MATCHING_KEY` for an unknown key. */
  async verify(token: string): Promise<JWTPayload> {
    const { issuer, audience, algorithms = ['ES256', 'RS256'], now } = this.#options;
    const find = await this.#current();
    const { payload } = await jwtVerify(token, find, {
      issuer,
      audience,
      algorithms: [...algorithms],
      typ: 'at+jwt',
      currentDate: new Date(now()),
      requiredClaims: ['exp', 'iat', 'jti', 'client_id'],
    });
    return payload;
  }

  async #current(): Promise<ReturnType<typeof createLocalJWKSet>> {
    const { now, cacheFor = 300 } = this.#options;
    if (this.#keySet === undefined || now() - this.#keySet.fetchedAt >= cacheFor * 1000) {
      // Concurrent verifications share one fetch, and an answer is dated by when it was asked for.
      this.#fetching ??= this.#fetch(now()).finally(() => {
        this.#fetching = undefined;
      });
      await this.#fetching;
    }
    if (this.#keySet === undefined) throw new Error('no key set');
    return this.#keySet.find;
  }

  async #fetch(fetchedAt: number): Promise<void> {
    const { jwksUri, fetchKeySet = fetchOverHttp } = this.#options;
    const found = await fetchKeySet(jwksUri);
    this.#fetches += 1;
    this.#keySet = { find: createLocalJWKSet(found), fetchedAt };
  }
}
