import type { Config } from '../../config/config.js';
import { signingPlaceOf } from '../../config/signing-places.js';
import { Pkcs11Token } from '../../crypto/pkcs11.js';
import { AppError } from '../../errors.js';
import { openVault } from '../../outbound/open-vault.js';
import { pkcs11Backend } from './pkcs11-backend.js';
import { SigningBackends } from './signing-backends.js';
import { transitBackend } from './transit-backend.js';

/** What the settings say about keys that are elsewhere. Reaches nobody yet. */
export function openSigningBackends(
  { keys, pkcs11, vault }: Pick<Config, 'keys' | 'pkcs11' | 'vault'>,
  monotonic: () => number,
): SigningBackends {
  return new SigningBackends({
    placeOf: alg => signingPlaceOf(keys.signing, alg),
    monotonic,
    open: {
      pkcs11: () => {
        const { module: modulePath, token: tokenLabel, pin, sessions } = pkcs11;
        if (modulePath === '' || tokenLabel === '' || pin === undefined) {
          throw missing('a PKCS#11 token', 'pkcs11.module, pkcs11.token and pkcs11.pin');
        }
        return pkcs11Backend(new Pkcs11Token({ modulePath, tokenLabel, pin, sessions }));
      },
      transit: () => {
        if (vault.address === '') throw missing('Transit', 'vault.address and a way to log in');
        return transitBackend(openVault(vault), keys.transitMount);
      },
    },
  });
}

/** A key made elsewhere stays there when the settings go. */
function missing(place: string, settings: string): AppError {
  return new AppError(
    'backend_misconfigured',
    `A signing key is in ${place}, which this node cannot reach: set ${settings}.`,
  );
}
