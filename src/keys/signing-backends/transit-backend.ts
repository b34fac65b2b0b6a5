import { createPublicKey, type KeyObject } from 'node:crypto';
import type { JWK } from 'jose';
import type { ExternalAlgorithm } from '../../config/signing-places.js';
import { AppError } from '../../errors.js';
import type { TransitKeyType, TransitSignOptions, VaultClient } from '../../outbound/vault-client.js';
import { isVaultError, type VaultReason } from '../../outbound/vault-error.js';
import type { SigningBackend } from './signing-backend.js';

type Vault = Pick<VaultClient, 'createKey' | 'sign' | 'deleteKey'>;

const TYPES = {
  ES256: 'ecdsa-p256',
  ES384: 'ecdsa-p384',
  RS256: 'rsa-3072',
  PS256: 'rsa-3072',
  EdDSA: 'ed25519',
} as const satisfies Record<ExternalAlgorithm, TransitKeyType>;

const OPTIONS = {
  ES256: { hash: 'sha2-256' },
  ES384: { hash: 'sha2-384' },
  RS256: { hash: 'sha2-256', padding: 'pkcs1v15' },
  PS256: { hash: 'sha2-256', padding: 'pss' },
  EdDSA: {},
} as const satisfies Record<ExternalAlgorithm, TransitSignOptions>;

/** One Transit key for each of ours, never rotated by Vault: a new key is a new name, so old versions cannot be confused. */
export function transitBackend(vault: Vault, mount: string): SigningBackend {
  return {
    generate: async (reference, alg) => {
      const key = await told(vault.createKey(mount, nameOf(reference), TYPES[alg]));
      const [version, another] = key.versions;
      if (key.isExportable || version?.publicKey === undefined || another !== undefined) {
        throw new AppError(
          'backend_misconfigured',
          `Vault made the key ${key.name} exportable, or in several versions. Check the mount ${mount}.`,
        );
      }
      return publicKeyOf(version.publicKey).export({ format: 'jwk' }) as JWK;
    },
    sign: (reference, alg, input) =>
      told(vault.sign(mount, nameOf(reference), input, { ...OPTIONS[alg], keyVersion: 1 })),
    destroy: reference => told(vault.deleteKey(mount, nameOf(reference))),
    close: () => undefined,
  };
}

function nameOf(reference: string): string {
  return `claviger-${reference}`;
}

/** PEM, or for Ed25519 the 32 bytes in base64. */
function publicKeyOf(text: string): KeyObject {
  if (text.startsWith('-----BEGIN')) return createPublicKey(text);
  const x = Buffer.from(text, 'base64').toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}

const PASSING: readonly VaultReason[] = ['unreachable', 'sealed', 'rate_limited', 'failed'];

async function told<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!isVaultError(error)) throw error;
    const code = PASSING.includes(error.reason) ? 'backend_unavailable' : 'backend_misconfigured';
    throw new AppError(code, error.message, { cause: error });
  }
}
