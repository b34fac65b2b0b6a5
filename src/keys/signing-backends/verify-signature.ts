import { constants, createPublicKey, type JsonWebKey, verify } from 'node:crypto';
import type { JWK } from 'jose';
import type { ExternalAlgorithm } from '../../config/signing-places.js';

/** RFC 7518 §3, RFC 8037 §3.1: by this program's own hand, whatever the other side says about its signature. */
export function isSignatureOf(
  publicJwk: JWK,
  alg: ExternalAlgorithm,
  input: Uint8Array,
  signature: Uint8Array,
): boolean {
  const key = createPublicKey({ key: publicJwk as JsonWebKey, format: 'jwk' });
  switch (alg) {
    case 'ES256':
      return verify('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, signature);
    case 'ES384':
      return verify('sha384', input, { key, dsaEncoding: 'ieee-p1363' }, signature);
    case 'RS256':
      return verify('sha256', input, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
    case 'PS256':
      return verify(
        'sha256',
        input,
        { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
        signature,
      );
    case 'EdDSA':
      return verify(null, input, key, signature);
  }
}
