import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { ExternalSigningKey } from 'oidc-provider';
import type { ServedRing } from '../keys/key-ring.js';
import { isPublished } from '../keys/key-state.js';
import type { SigningKey } from '../keys/signing-key.js';

/** A key that verifies and never signs: announced, or retained with its private half destroyed. */
class VerifyOnlyKey extends ExternalSigningKey {
  readonly #key: SigningKey;
  readonly #public: KeyObject;

  constructor(key: SigningKey) {
    super();
    this.#key = key;
    this.#public = createPublicKey({ key: key.publicJwk as JsonWebKey, format: 'jwk' });
  }

  override get kid(): string {
    return this.#key.kid;
  }

  override get alg(): string {
    return this.#key.alg;
  }

  override get key_ops(): string[] {
    return ['verify'];
  }

  override keyObject(): KeyObject {
    return this.#public;
  }

  override sign(): never {
    throw new TypeError(`${this.#key.kid} is ${this.#key.state} and does not sign`);
  }
}

/** The ring as the core wants it. An RSA key without `alg` would lose against one that has it, so all have it. */
export function coreJwks(served: ServedRing): { keys: unknown[] } {
  const keys = served.ring.keys.filter(isPublished).map(key => {
    const signs = served.signing.get(key.alg);
    if (key.state !== 'active' || signs?.kid !== key.kid) return new VerifyOnlyKey(key);
    return { ...signs.privateJwk, kid: key.kid, alg: key.alg, use: 'sig' };
  });
  return { keys };
}

export function signingAlgorithms(served: ServedRing): string[] {
  return [...served.signing.keys()];
}
