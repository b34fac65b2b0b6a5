import { namesRootKeyBackend, readRootKeyReference } from '../config/root-key-reference.js';
import type { Pkcs11Token } from '../crypto/pkcs11.js';
import { localRootKey, type RootKey } from '../crypto/root-key.js';
import { AppError } from '../errors.js';
import type { GuardedFetch } from '../outbound/guarded-fetch.js';
import type { VaultClient } from '../outbound/vault-client.js';
import { awsKmsRootKey } from './aws-kms-root-key.js';
import { gcpKmsRootKey } from './gcp-kms-root-key.js';
import { pkcs11RootKey } from './pkcs11-root-key.js';
import { transitRootKey } from './transit-root-key.js';

/** How to reach what may hold a root key; each is called only for a root key that lives there. */
export interface RootKeyPlaces {
  vault(): VaultClient;
  token(): Pkcs11Token;
  fetch(): GuardedFetch;
}

/**
 * The root key that a setting's value is or names. Reaches nobody: the first wrap or unwrap does.
 *
 * @throws AppError `root_key_wrong`, `root_key_missing` for what is neither a key nor the name of one.
 */
export function openRootKey(secret: { reveal(): string } | undefined, places: RootKeyPlaces): RootKey {
  const text = secret?.reveal() ?? '';
  if (!namesRootKeyBackend(text)) return localRootKey(text);
  const reading = readRootKeyReference(text);
  if ('problem' in reading) throw new AppError('root_key_wrong', `The root key ${reading.problem}`);
  const { reference } = reading;
  switch (reference.backend) {
    case 'transit':
      return transitRootKey(reference, () => places.vault());
    case 'pkcs11':
      return pkcs11RootKey(reference, () => places.token());
    case 'aws-kms':
      return awsKmsRootKey(reference);
    case 'gcp-kms':
      return gcpKmsRootKey(reference, { fetch: places.fetch() });
  }
}
