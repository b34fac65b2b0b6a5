import type { RemoteReader } from '../config/load-remotely.js';
import { UnreadableReference } from '../config/remote-references.js';
import { openVault } from '../outbound/open-vault.js';
import { fieldOf, SecretStoreError, type SecretStoreParts, SecretStores } from '../outbound/secret-stores.js';
import type { VaultClient } from '../outbound/vault-client.js';
import { isVaultError } from '../outbound/vault-error.js';

/** Shorter than the limit of a reference, so that its better sentence is the one that is told. */
const VAULT_TIMEOUT_AFTER = 4;

const NO_VAULT =
  'It is not (or not rightly) said how Vault is reached: set vault.address and a way to log in, by file:, env: or credential:.';

/** How references of the configuration are followed to other machines. */
export function createRemoteReader(parts: SecretStoreParts = {}): RemoteReader {
  return reach => {
    const stores = new SecretStores(parts);
    let vault: VaultClient | undefined;
    // Several settings are often fields of one secret.
    const secrets = new Map<string, Promise<Readonly<Record<string, unknown>>>>();

    function vaultSecret(path: string): Promise<Readonly<Record<string, unknown>>> {
      if (reach === undefined) throw new UnreadableReference(NO_VAULT);
      vault ??= openVault(reach, { timeoutAfter: VAULT_TIMEOUT_AFTER });
      const secret = secrets.get(path) ?? vault.readSecret(path);
      secrets.set(path, secret);
      return secret;
    }

    return async (reference, signal) => {
      try {
        switch (reference.scheme) {
          case 'vault':
            return fieldOf(await vaultSecret(reference.path), reference.field);
          case 'awssm': {
            const secret = await stores.readAws(reference.secretId, signal);
            return reference.field === undefined ? secret : fieldOf(secret, reference.field);
          }
          case 'gcpsm':
            return await stores.readGoogle(reference.version, signal);
          case 'azurekv':
            return await stores.readAzure(reference, signal);
        }
      } catch (error) {
        if (isVaultError(error) || error instanceof SecretStoreError)
          throw new UnreadableReference(error.message, { cause: error });
        throw error;
      }
    };
  };
}
