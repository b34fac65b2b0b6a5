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
import type { ServedRing } from '../keys/key-ring.js';
import { isPublished } from '../keys/key-state.js';
import type { SigningKey } from '../keys/signing-key.js';

const signInPool = promisify(sign);

/**
 * A key of the ring as the core sees it. Only the active one has a private half: what is announced or retained
 * verifies and never signs.
 */
class RingKey extends ExternalSigningKey {
  readonly #key: SigningKey;
  readonly #public: KeyObject;
  readonly #private: KeyObject | undefined;

  constructor(key: SigningKey, privateJwk: JsonWebKey | undefined) {
    super();
    this.#key = key;
    this.#public = createPublicKey({ key: key.publicJwk as JsonWebKey, format: 'jwk' });
    this.#private = privateJwk && createPrivateKey({ key: privateJwk, format: 'jwk' });
  }

  override get kid(): string {
    return this.#key.kid;
  }

  override get alg(): string {
    return this.#key.alg;
  }

  override get key_ops(): string[] | undefined {
    return this.#private === undefined ? ['verify'] : undefined;
  }

  override keyObject(): KeyObject {
    return this.#public;
  }

  override sign(input: Uint8Array): Buffer | Promise<Buffer> {
    const key = this.#private;
    if (key === undefined) throw new TypeError(`${this.kid} is ${this.#key.state} and does not sign`);
    // An elliptic-curve signature is over sooner than another thread could take it up; RSA takes 2 ms.
    if (this.#key.alg === 'ES256') return sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' });
    return signInPool('sha256', input, { key, padding: constants.RSA_PKCS1_PADDING });
  }
}

/** The ring as the core wants it. An RSA key without `alg` would lose against one that has it, so all have it. */
export function coreJwks(served: ServedRing): { keys: unknown[] } {
  const keys = served.ring.keys.filter(isPublished).map(key => {
    const signs = served.signing.get(key.alg);
    const isActive = key.state === 'active' && signs?.kid === key.kid;
    return new RingKey(key, isActive ? (signs.privateJwk as JsonWebKey) : undefined);
  });
  return { keys };
}

export function signingAlgorithms(served: ServedRing): string[] {
  return [...served.signing.keys()];
}
