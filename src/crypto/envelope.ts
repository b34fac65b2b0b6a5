import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { AppError } from '../errors.js';

const VERSION = 'v1';
const CIPHER = 'aes-256-gcm';
const KEY_LENGTH = 32;
const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;
const KEY_ID = /^[0-9A-Za-z_-]{1,64}$/;

/**
 * AES-256-GCM. The context (which table, which row) is authenticated with the value, so a sealed value copied into
 * another row does not open there.
 *
 * Each context has its own key, derived from ours: random 96-bit nonces are safe for 2^32 values under one key
 * (NIST SP 800-38D §8.3), which a busy table would reach, and one row does not.
 */
export class Envelope {
  readonly keyId: string;
  readonly #key: Buffer;

  constructor(key: { readonly id: string; readonly key: Buffer }) {
    if (key.key.length !== KEY_LENGTH) throw new TypeError('an envelope key has 32 bytes');
    if (!KEY_ID.test(key.id)) throw new TypeError('an envelope key id is 1-64 letters, digits, - or _');
    this.keyId = key.id;
    this.#key = Buffer.from(key.key);
  }

  /** @returns `v1.<key id>.<nonce>.<ciphertext>.<tag>`, the last three base64url */
  seal(plaintext: Buffer | string, context: string): string {
    const nonce = randomBytes(NONCE_LENGTH);
    const cipher = createCipheriv(CIPHER, this.#keyFor(context), nonce, { authTagLength: TAG_LENGTH });
    cipher.setAAD(this.#boundTo(context));
    const body = typeof plaintext === 'string' ? Buffer.from(plaintext, 'utf8') : plaintext;
    const ciphertext = Buffer.concat([cipher.update(body), cipher.final()]);
    const parts = [nonce, ciphertext, cipher.getAuthTag()].map(part => part.toString('base64url'));
    return [VERSION, this.keyId, ...parts].join('.');
  }

  /** Throws AppError `sealed_value_damaged` for anything but an unchanged value of this key and this context. */
  open(sealed: string, context: string): Buffer {
    const [version, keyId, ...parts] = sealed.split('.');
    if (version !== VERSION || keyId !== this.keyId || parts.length !== 3) {
      throw damaged(context, `not a ${VERSION} value of key ${this.keyId}`);
    }
    const [nonce, ciphertext, tag] = parts.map(strictBase64url);
    if (!nonce || !ciphertext || !tag || nonce.length !== NONCE_LENGTH || tag.length !== TAG_LENGTH) {
      throw damaged(context, 'malformed');
    }
    const decipher = createDecipheriv(CIPHER, this.#keyFor(context), nonce, { authTagLength: TAG_LENGTH });
    decipher.setAAD(this.#boundTo(context));
    decipher.setAuthTag(tag);
    const plaintext = decipher.update(ciphertext);
    try {
      return Buffer.concat([plaintext, decipher.final()]);
    } catch (cause) {
      throw damaged(context, 'authentication failed', cause);
    }
  }

  #keyFor(context: string): Buffer {
    if (context === '') throw new TypeError('a sealed value needs a context');
    return createHmac('sha256', this.#key).update(`claviger envelope ${VERSION}\0${context}`).digest();
  }

  #boundTo(context: string): Buffer {
    return Buffer.from(`${VERSION}\0${this.keyId}\0${context}`, 'utf8');
  }
}

/** The id of the key that a value claims to be sealed with, to choose the envelope that may open it. */
export function sealedWith(sealed: string): string | undefined {
  const [version, keyId] = sealed.split('.', 2);
  return version === VERSION ? keyId : undefined;
}

/** Node skips foreign characters and ignores the last bits: two texts would stand for one value. */
function strictBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}

function damaged(context: string, detail: string, cause?: unknown): AppError {
  return new AppError(
    'sealed_value_damaged',
    'A sealed value in the database does not open: it was changed, or moved from another row. Restore it from a backup.',
    { detail: `${context}: ${detail}`, cause },
  );
}
