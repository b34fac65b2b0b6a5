import { createHmac, timingSafeEqual } from 'node:crypto';

const PEPPER_LENGTH = 32;
const MAC_LENGTH = 32;

/**
 * HMAC-SHA-256 under a pepper that the database does not hold readable. Only for values of at least 128 random
 * bits, which no slow hash can make safer; what people choose goes to PasswordHasher.
 */
export class SecretHasher {
  readonly pepperId: string;
  readonly #pepper: Buffer;

  constructor(pepper: { readonly id: string; readonly key: Buffer }) {
    if (pepper.key.length !== PEPPER_LENGTH) throw new TypeError('a pepper has 32 bytes');
    this.pepperId = pepper.id;
    this.#pepper = Buffer.from(pepper.key);
  }

  /** base64url; store it with {@link pepperId}. */
  hash(secret: string): string {
    return this.#mac('secret', secret).toString('base64url');
  }

  /** Takes the same time wherever the two differ. */
  matches(secret: string, storedHash: string): boolean {
    const stored = Buffer.from(storedHash, 'base64url');
    const actual = this.#mac('secret', secret);
    return timingSafeEqual(actual, stored.length === MAC_LENGTH ? stored : Buffer.alloc(MAC_LENGTH));
  }

  /** For values that are looked up: the same value in two contexts gives two unrelated hashes. */
  hashOf(context: string, value: string): string {
    if (context === 'secret') throw new TypeError("the context 'secret' belongs to hash()");
    return this.#mac(context, value).toString('base64url');
  }

  #mac(context: string, value: string): Buffer {
    // The separator cannot occur in a context, so no two pairs give the same input.
    if (context === '' || context.includes('\0')) throw new TypeError('a context is a name without NUL');
    return createHmac('sha256', this.#pepper).update(`${context}\0${value}`).digest();
  }
}
