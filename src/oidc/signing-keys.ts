import {
  constants,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto';
import { promisify } from 'node:util';
import { ExternalSigningKey } from 'oidc-provider';
import { AVAILABLE_ALGORITHMS } from '../config/available-algorithms.js';
import type { ActiveSigner, ServedRing } from '../keys/key-ring.js';
import { isPublished } from '../keys/key-state.js';
import type { SigningKey } from '../keys/signing-key.js';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../protocol.js';

const signInPool = promisify(sign);

/**
 * A key of the ring as the core sees it. Only the active one has a private half: what is announced or retained
 * verifies and never signs.
 */
class RingKey extends ExternalSigningKey {
  readonly #key: SigningKey;
  readonly #public: KeyObject;
  readonly #private: KeyObject | undefined;
  readonly #signElsewhere: ActiveSigner['signElsewhere'];

  constructor(key: SigningKey, signer: ActiveSigner | undefined) {
    super();
    this.#key = key;
    this.#public = createPublicKey({ key: key.publicJwk as JsonWebKey, format: 'jwk' });
    const privateJwk = signer?.privateJwk as JsonWebKey | undefined;
    this.#private = privateJwk && createPrivateKey({ key: privateJwk, format: 'jwk' });
    this.#signElsewhere = signer?.signElsewhere;
  }

  override get kid(): string {
    return this.#key.kid;
  }

  override get alg(): string {
    return this.#key.alg;
  }

  override get key_ops(): string[] | undefined {
    return this.#private === undefined && this.#signElsewhere === undefined ? ['verify'] : undefined;
  }

  override keyObject(): KeyObject {
    return this.#public;
  }

  override sign(input: Uint8Array): Buffer | Promise<Buffer> {
    if (this.#signElsewhere !== undefined) return this.#signElsewhere(input);
    const key = this.#private;
    if (key === undefined) throw new TypeError(`${this.kid} is ${this.#key.state} and does not sign`);
    return signWith(this.#key.alg, key, input);
  }
}

/**
 * RFC 7518 §3, RFC 8037 §3.1, RFC 9964. P-256 and Ed25519 are over sooner than another thread could take them up; the
 * others take from half a millisecond (ML-DSA, P-384) to two (RSA), in which this thread serves somebody else.
 */
export function signWith(alg: SigningAlgorithm, key: KeyObject, input: Uint8Array): Buffer | Promise<Buffer> {
  switch (alg) {
    case 'ES256':
      return sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' });
    case 'ES384':
      return signInPool('sha384', input, { key, dsaEncoding: 'ieee-p1363' });
    case 'RS256':
      return signInPool('sha256', input, { key, padding: constants.RSA_PKCS1_PADDING });
    case 'PS256':
      // RFC 7518 §3.5: the salt is as long as the hash.
      return signInPool('sha256', input, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
    case 'EdDSA':
      return sign(null, input, key);
    case 'ML-DSA-44':
    case 'ML-DSA-65':
      return signInPool(null, input, key);
  }
}

/** The ring as the core wants it. An RSA key without `alg` would lose against one that has it, so all have it. */
export function coreJwks(served: ServedRing): { keys: unknown[] } {
  const usable = served.ring.keys.filter(key => isPublished(key) && AVAILABLE_ALGORITHMS.includes(key.alg));
  const keys = usable.map(key => {
    const signs = served.signing.get(key.alg);
    const isActive = key.state === 'active' && signs?.kid === key.kid;
    return new RingKey(key, isActive ? signs : undefined);
  });
  return { keys };
}

export function signingAlgorithms(served: ServedRing): string[] {
  // In one order whatever the ring's is: a list that looks changed costs a new Provider.
  return SIGNING_ALGORITHMS.filter(alg => served.signing.has(alg));
}
