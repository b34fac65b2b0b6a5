import { generateKeyPairSync } from 'node:crypto';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../protocol.js';

/** FIPS 204 came to Node.js with 24.7 and OpenSSL 3.5; whether it is there is asked of both, not of a version. */
function isAvailable(alg: SigningAlgorithm): boolean {
  if (!alg.startsWith('ML-DSA-')) return true;
  // The types are those of the oldest Node.js that is supported, which knows no such key.
  const generate = generateKeyPairSync as unknown as (type: string) => {
    publicKey: { export(options: { format: 'jwk' }): { kty?: string } };
  };
  try {
    return generate(alg.toLowerCase()).publicKey.export({ format: 'jwk' }).kty === 'AKP';
  } catch {
    return false;
  }
}

/** What this runtime can sign and verify with. */
export const AVAILABLE_ALGORITHMS: readonly SigningAlgorithm[] = Object.freeze(
  SIGNING_ALGORITHMS.filter(isAvailable),
);

export const UNAVAILABLE_ALGORITHMS: readonly SigningAlgorithm[] = Object.freeze(
  SIGNING_ALGORITHMS.filter(alg => !AVAILABLE_ALGORITHMS.includes(alg)),
);
