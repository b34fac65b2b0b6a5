import { type RootKeyReference, showRootKeyReference } from '../config/root-key-reference.js';
import {
  bound,
  fingerprintOf,
  notOpened,
  type RootKey,
  rootKeyUnavailable,
  unbound,
} from '../crypto/root-key.js';
import type { VaultClient } from '../outbound/vault-client.js';
import { isVaultError } from '../outbound/vault-error.js';

/** A key of Vault's or OpenBao's Transit engine, of type aes256-gcm96. */
export function transitRootKey(
  reference: RootKeyReference & { readonly backend: 'transit' },
  connect: () => Pick<VaultClient, 'encrypt' | 'decrypt'>,
): RootKey {
  let connected: Pick<VaultClient, 'encrypt' | 'decrypt'> | undefined;
  const vault = (): Pick<VaultClient, 'encrypt' | 'decrypt'> => {
    connected ??= connect();
    return connected;
  };
  const { mount, key: name } = reference;
  const shown = showRootKeyReference(reference);
  return {
    id: fingerprintOf(shown),
    backend: 'transit',
    reference: shown,
    async wrap(key, context) {
      try {
        return await vault().encrypt(mount, name, bound(key, context), Buffer.from(context));
      } catch (error) {
        throw unavailable(shown, error);
      }
    },
    async unwrap(wrapped, context) {
      let opened: Buffer;
      try {
        opened = await vault().decrypt(mount, name, wrapped, Buffer.from(context));
      } catch (error) {
        // With a cause it is the connection that was refused, and nothing was said about the ciphertext.
        if (isVaultError(error, 'refused') && error.cause === undefined) {
          throw notOpened(context, error.message, error);
        }
        throw unavailable(shown, error);
      }
      return unbound(opened, context);
    },
    close() {
      connected = undefined;
    },
  };
}

function unavailable(shown: string, error: unknown): unknown {
  return isVaultError(error) ? rootKeyUnavailable(shown, error.message, error) : error;
}
