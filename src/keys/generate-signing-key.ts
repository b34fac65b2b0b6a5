import { generateKeyPair as generateKeyPairCallback } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint, type JWK } from 'jose';
import type { SigningAlgorithm } from '../protocol.js';

const generateKeyPair = promisify(generateKeyPairCallback);

/** 128 bits of security (NIST SP 800-57 part 1, table 2); 2048 would give 112. */
const RSA_MODULUS_LENGTH = 3072;

export interface GeneratedSigningKey {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
}

/** Off the event loop: an RSA pair takes up to a second, during which tokens must still be signed. */
export async function generateSigningKey(alg: SigningAlgorithm): Promise<GeneratedSigningKey> {
  for (;;) {
    const key = await generateOnce(alg);
    // A name that begins with a dash is an option to every command line: at 3 a.m. `key revoke -Ab…` must work.
    if (!key.kid.startsWith('-')) return key;
  }
}

async function generateOnce(alg: SigningAlgorithm): Promise<GeneratedSigningKey> {
  const { publicKey, privateKey } = await pairFor(alg);
  const publicPart = publicKey.export({ format: 'jwk' });
  // RFC 7638 (RFC 9964 for ML-DSA, whose `alg` is part of the key): the name follows from the key, so two nodes can never give one name to two keys.
  const kid = await calculateJwkThumbprint(publicPart as JWK, 'sha256');
  const named = { kid, alg, use: 'sig' };
  return {
    kid,
    alg,
    publicJwk: { ...publicPart, ...named },
    privateJwk: { ...privateKey.export({ format: 'jwk' }), ...named },
  };
}

function pairFor(alg: SigningAlgorithm) {
  switch (alg) {
    case 'ES256':
      return generateKeyPair('ec', { namedCurve: 'P-256' });
    case 'ES384':
      return generateKeyPair('ec', { namedCurve: 'P-384' });
    case 'RS256':
    // RFC 7518 §3.5: a plain RSA key; one that is bound to PSS has no JWK.
    case 'PS256':
      return generateKeyPair('rsa', { modulusLength: RSA_MODULUS_LENGTH, publicExponent: 0x10001 });
    case 'EdDSA':
      return generateKeyPair('ed25519');
    case 'ML-DSA-44':
    case 'ML-DSA-65':
      // The types are those of the oldest Node.js that is supported, which refuses this name.
      return generateKeyPair(alg.toLowerCase() as 'ed25519');
  }
}
