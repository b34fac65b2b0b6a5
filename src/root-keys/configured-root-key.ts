import type { Config } from '../config/config.js';
import { Pkcs11Token } from '../crypto/pkcs11.js';
import type { RootKey } from '../crypto/root-key.js';
import { AppError } from '../errors.js';
import { createGuardedFetch } from '../outbound/guarded-fetch.js';
import { openVault } from '../outbound/open-vault.js';
import { openRootKey } from './open-root-key.js';

type Places = Pick<Config, 'vault' | 'pkcs11' | 'outbound'>;

/** A root key, and where the configuration says that keys elsewhere are reached. Reaches nobody yet. */
export function configuredRootKey(
  { vault, pkcs11, outbound }: Places,
  secret: { reveal(): string },
): RootKey {
  return openRootKey(secret, {
    vault: () => {
      if (vault.address === '') throw missing('vault.address', 'Transit');
      return openVault(vault);
    },
    token: () => {
      const { module: modulePath, token: tokenLabel, pin } = pkcs11;
      if (modulePath === '' || tokenLabel === '' || pin === undefined) {
        throw missing('pkcs11.module, pkcs11.token and pkcs11.pin', 'a PKCS#11 token');
      }
      // One process: a root key is used for seconds, at the start.
      return new Pkcs11Token({ modulePath, tokenLabel, pin, sessions: 1 });
    },
    fetch: () => createGuardedFetch(outbound.allowedNetworks),
  });
}

/** For a root key that a command names; the one of the settings has been checked with them. */
function missing(settings: string, place: string): AppError {
  return new AppError('configuration_invalid', `${settings} must be set for a root key in ${place}.`);
}
