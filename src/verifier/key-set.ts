import { importJWK, type JSONWebKeySet, type JWK } from 'jose';
import { isObject } from './access-token-claims.js';
import { VerificationError } from './errors.js';

interface KeyKind {
  readonly kty: string;
  readonly crv?: string;
}

/** Asymmetric only. With HS256 the published key would be the secret, with none there is no signature at all. */
export const KEY_KINDS = {
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  RS256: { kty: 'RSA' },
  RS384: { kty: 'RSA' },
  RS512: { kty: 'RSA' },
  PS256: { kty: 'RSA' },
  PS384: { kty: 'RSA' },
  PS512: { kty: 'RSA' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  Ed25519: { kty: 'OKP', crv: 'Ed25519' },
  // RFC 9964; where the runtime has it, which is Node.js from 24.7 on.
  'ML-DSA-44': { kty: 'AKP' },
  'ML-DSA-65': { kty: 'AKP' },
  'ML-DSA-87': { kty: 'AKP' },
} as const satisfies Record<string, KeyKind>;

export type SignatureAlgorithm = keyof typeof KEY_KINDS;

export type VerificationKey = Awaited<ReturnType<typeof importJWK>>;

/** Where the verifier finds the public key of a token. */
export interface KeySource {
  /** @throws VerificationError `key_unknown`, `key_unsuitable` or `keys_unavailable`. */
  find(kid: string, alg: SignatureAlgorithm): Promise<VerificationKey>;
}

const MOST_KEYS = 100;

export function isSignatureAlgorithm(alg: unknown): alg is SignatureAlgorithm {
  return typeof alg === 'string' && Object.hasOwn(KEY_KINDS, alg);
}

/**
 * A key made for something else must not check a signature: `alg`, `use`, `key_ops`, kind and curve must all agree
 * with the token's algorithm (RFC 7517 §4, RFC 8725 §3.1).
 */
function fits(jwk: JWK, alg: SignatureAlgorithm): boolean {
  const kind: KeyKind = KEY_KINDS[alg];
  return (
    jwk.kty === kind.kty &&
    (kind.crv === undefined || jwk.crv === kind.crv) &&
    // RFC 9964 §3: such a key is of one algorithm, and says which.
    (jwk.alg === undefined ? kind.kty !== 'AKP' : jwk.alg === alg) &&
    (jwk.use === undefined || jwk.use === 'sig') &&
    (jwk.key_ops === undefined || (Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) &&
    // A private key in a published set is anybody's key.
    jwk.d === undefined &&
    jwk.priv === undefined
  );
}

/** One published JWKS. Imported keys live and die with it, so a withdrawn key goes when the set is replaced. */
export class KeySet {
  readonly #byKid = new Map<string, JWK[]>();
  readonly #imported = new Map<JWK, Map<SignatureAlgorithm, Promise<VerificationKey>>>();

  /** @throws TypeError when it is not a JWK set (RFC 7517 §5) or an implausibly large one. */
  constructor(value: unknown) {
    if (!isObject(value) || !Array.isArray(value.keys)) throw new TypeError('not a JWK set');
    if (value.keys.length > MOST_KEYS) throw new TypeError(`a JWK set of more than ${MOST_KEYS} keys`);
    for (const jwk of value.keys) {
      // RFC 7517 §5: what is not understood is ignored.
      if (!isObject(jwk) || typeof jwk.kid !== 'string') continue;
      this.#byKid.set(jwk.kid, [...(this.#byKid.get(jwk.kid) ?? []), jwk]);
    }
  }

  has(kid: string): boolean {
    return this.#byKid.has(kid);
  }

  async key(kid: string, alg: SignatureAlgorithm): Promise<VerificationKey> {
    const named = this.#byKid.get(kid);
    if (named === undefined) throw unknownKey();
    const [jwk, ...others] = named.filter(candidate => fits(candidate, alg));
    if (jwk === undefined)
      throw new VerificationError('key_unsuitable', 'the key was not made for the token’s algorithm');
    // Two keys under one name: whoever can add a key must not be able to stand in for another.
    if (others.length > 0)
      throw new VerificationError('key_unsuitable', 'several keys share the token’s kid');
    try {
      return await this.#load(jwk, alg);
    } catch (cause) {
      throw new VerificationError('key_unsuitable', 'the key is damaged', { cause });
    }
  }

  #load(jwk: JWK, alg: SignatureAlgorithm): Promise<VerificationKey> {
    const known = this.#imported.get(jwk) ?? new Map<SignatureAlgorithm, Promise<VerificationKey>>();
    this.#imported.set(jwk, known);
    const key = known.get(alg) ?? importJWK(jwk, alg);
    known.set(alg, key);
    return key;
  }
}

export function unknownKey(): VerificationError {
  return new VerificationError('key_unknown', 'the issuer does not publish the token’s key');
}

/**
 * Keys that are at hand in this program, e.g. an authorization server checking its own tokens.
 *
 * @param read asked for each token. Returning the same object while nothing changed spares the import of the keys.
 */
export class LocalKeys implements KeySource {
  readonly #read: () => JSONWebKeySet | Promise<JSONWebKeySet>;
  #last: { readonly from: JSONWebKeySet; readonly keys: KeySet } | undefined;

  constructor(read: () => JSONWebKeySet | Promise<JSONWebKeySet>) {
    this.#read = read;
  }

  async find(kid: string, alg: SignatureAlgorithm): Promise<VerificationKey> {
    return (await this.#current()).key(kid, alg);
  }

  async #current(): Promise<KeySet> {
    try {
      const from = await this.#read();
      if (this.#last?.from !== from) this.#last = { from, keys: new KeySet(from) };
      return this.#last.keys;
    } catch (cause) {
      throw new VerificationError('keys_unavailable', 'the keys cannot be read', { cause, retryAfter: 1 });
    }
  }
}
