import { type RootKeyReference, showRootKeyReference } from '../config/root-key-reference.js';
import type { Pkcs11Token } from '../crypto/pkcs11.js';
import {
  bound,
  fingerprintOf,
  notOpened,
  type RootKey,
  rootKeyUnavailable,
  unbound,
} from '../crypto/root-key.js';
import { isAppError } from '../errors.js';

type Token = Pick<Pkcs11Token, 'encrypt' | 'decrypt' | 'close'>;

/**
 * An AES key that never leaves its token (HSM).
 *
 * @param connect called with the first use, and again with the first after `close`.
 */
export function pkcs11RootKey(
  reference: RootKeyReference & { readonly backend: 'pkcs11' },
  connect: () => Token,
): RootKey {
  let connected: Token | undefined;
  const token = (): Token => {
    connected ??= connect();
    return connected;
  };
  const { label } = reference;
  const shown = showRootKeyReference(reference);
  return {
    id: fingerprintOf(shown),
    backend: 'pkcs11',
    reference: shown,
    async wrap(key, context) {
      try {
        const sealed = await token().encrypt(label, bound(key, context), Buffer.from(context));
        return sealed.toString('base64url');
      } catch (error) {
        throw unavailable(shown, error);
      }
    },
    async unwrap(wrapped, context) {
      let opened: Buffer;
      try {
        opened = await token().decrypt(label, Buffer.from(wrapped, 'base64url'), Buffer.from(context));
      } catch (error) {
        if (isAppError(error, 'sealed_value_damaged')) {
          throw notOpened(context, 'the token does not open it', error);
        }
        throw unavailable(shown, error);
      }
      return unbound(opened, context);
    },
    close() {
      connected?.close();
      connected = undefined;
    },
  };
}

function unavailable(shown: string, error: unknown): unknown {
  return isAppError(error) ? rootKeyUnavailable(shown, error.message, error) : error;
}
