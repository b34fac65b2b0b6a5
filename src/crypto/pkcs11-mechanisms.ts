import { createHash } from 'node:crypto';
import type * as Pkcs11Module from 'pkcs11js';
import type { ExternalAlgorithm } from '../config/signing-places.js';
import type { PublicParameters, TokenObject } from './pkcs11-messages.js';

type Constants = typeof Pkcs11Module;

/** PKCS#11 3.0 §2.3.14 and §2.3.10; the binding has no names for them. */
const CKM_EDDSA = 0x1057;
const CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055;

/** CKA_EC_PARAMS: object identifiers for the NIST curves, a curve name for Ed25519 (PKCS#11 3.0 §2.3.5). */
const CURVES = {
  ES256: { crv: 'P-256', parameters: '06082a8648ce3d030107', coordinateLength: 32 },
  ES384: { crv: 'P-384', parameters: '06052b81040022', coordinateLength: 48 },
  EdDSA: { crv: 'Ed25519', parameters: '130c656477617264733235353139', coordinateLength: 32 },
} as const;

const RSA_MODULUS_LENGTH = 3072;

export const NONCE_LENGTH = 12;
export const TAG_LENGTH = 16;

/** RFC 8017 §9.2: the DigestInfo that goes before a SHA-256 hash. */
const SHA256_DIGEST_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex');

export function generation(p: Constants, alg: ExternalAlgorithm) {
  if (alg === 'RS256' || alg === 'PS256') {
    return {
      mechanism: { mechanism: p.CKM_RSA_PKCS_KEY_PAIR_GEN },
      template: [
        { type: p.CKA_MODULUS_BITS, value: RSA_MODULUS_LENGTH },
        { type: p.CKA_PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
      ],
    };
  }
  const mechanism = alg === 'EdDSA' ? CKM_EC_EDWARDS_KEY_PAIR_GEN : p.CKM_EC_KEY_PAIR_GEN;
  const parameters = Buffer.from(CURVES[alg].parameters, 'hex');
  return { mechanism: { mechanism }, template: [{ type: p.CKA_EC_PARAMS, value: parameters }] };
}

/** Attributes to read from the public half, and what they are as a JWK. */
export function publicAttributes(p: Constants, alg: ExternalAlgorithm): number[] {
  return alg === 'RS256' || alg === 'PS256' ? [p.CKA_MODULUS, p.CKA_PUBLIC_EXPONENT] : [p.CKA_EC_POINT];
}

export function publicParameters(alg: ExternalAlgorithm, values: readonly Buffer[]): PublicParameters {
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = values;
  if (alg === 'RS256' || alg === 'PS256') {
    return { kty: 'RSA', n: base64urlUInt(first), e: base64urlUInt(second) };
  }
  const { crv, coordinateLength } = CURVES[alg];
  if (alg === 'EdDSA') {
    return { kty: 'OKP', crv, x: pointOf(first, coordinateLength).toString('base64url') };
  }
  const point = pointOf(first, 1 + 2 * coordinateLength);
  if (point[0] !== 4) throw new TypeError('the token answers with a compressed point');
  return {
    kty: 'EC',
    crv,
    x: point.subarray(1, 1 + coordinateLength).toString('base64url'),
    y: point.subarray(1 + coordinateLength).toString('base64url'),
  };
}

/** The hash is made here: what goes to the token is small, and raw mechanisms are those that every token has. */
export function signing(p: Constants, alg: ExternalAlgorithm, input: Uint8Array) {
  switch (alg) {
    case 'ES256':
      return { mechanism: { mechanism: p.CKM_ECDSA }, bytes: digest('sha256', input), length: 64 };
    case 'ES384':
      return { mechanism: { mechanism: p.CKM_ECDSA }, bytes: digest('sha384', input), length: 96 };
    case 'EdDSA':
      return { mechanism: { mechanism: CKM_EDDSA }, bytes: Buffer.from(input), length: 64 };
    case 'RS256':
      return {
        mechanism: { mechanism: p.CKM_RSA_PKCS },
        bytes: Buffer.concat([SHA256_DIGEST_INFO, digest('sha256', input)]),
        length: RSA_MODULUS_LENGTH / 8,
      };
    case 'PS256': {
      // RFC 7518 §3.5: MGF1 with the same hash, salt as long as the hash.
      const parameter = {
        type: p.CK_PARAMS_RSA_PSS,
        hashAlg: p.CKM_SHA256,
        mgf: p.CKG_MGF1_SHA256,
        saltLen: 32,
      };
      return {
        mechanism: { mechanism: p.CKM_RSA_PKCS_PSS, parameter },
        bytes: digest('sha256', input),
        length: RSA_MODULUS_LENGTH / 8,
      };
    }
  }
}

/** What is asked of every key that we let a token make: it stays there. */
export function keptInside(p: Constants, object: TokenObject) {
  return [
    { type: p.CKA_TOKEN, value: true },
    { type: p.CKA_PRIVATE, value: true },
    { type: p.CKA_SENSITIVE, value: true },
    { type: p.CKA_EXTRACTABLE, value: false },
    { type: p.CKA_ID, value: Buffer.from(object.id, 'hex') },
    { type: p.CKA_LABEL, value: Buffer.from(object.label, 'utf8') },
  ];
}

export function aesGcm(p: Constants, nonce: Buffer, additional: Uint8Array) {
  return {
    mechanism: p.CKM_AES_GCM,
    parameter: {
      type: p.CK_PARAMS_AES_GCM_v240,
      iv: nonce,
      ivBits: NONCE_LENGTH * 8,
      aad: Buffer.from(additional),
      tagBits: TAG_LENGTH * 8,
    },
  };
}

function digest(name: string, input: Uint8Array): Buffer {
  return createHash(name).update(input).digest();
}

/** Tokens wrap the point in an OCTET STRING or a BIT STRING, or do not wrap it. All lengths here are below 128. */
function pointOf(value: Buffer, length: number): Buffer {
  if (value.length === length) return value;
  const isOctetString = value.length === length + 2 && value[0] === 0x04 && value[1] === length;
  const isBitString = value.length === length + 3 && value[0] === 0x03 && value[1] === length + 1;
  if (!isOctetString && !isBitString) throw new TypeError('the token answers with an unknown form of point');
  return value.subarray(value.length - length);
}

/** RFC 7518 §2: without leading zeros. */
function base64urlUInt(value: Buffer): string {
  const first = value.findIndex(byte => byte !== 0);
  return value.subarray(Math.max(0, first)).toString('base64url');
}
