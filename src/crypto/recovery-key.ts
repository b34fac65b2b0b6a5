import {
  CompactEncrypt,
  calculateJwkThumbprint,
  compactDecrypt,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from 'jose';
import { AppError } from '../errors.js';
import type { Envelope } from './envelope.js';
import { bound, type KeyOpener, type KeyRecipient, notOpened, unbound } from './root-key.js';

/** RFC 7518 §4.6: an ephemeral key agreement wraps a fresh content key, so only the public half is needed here. */
const ALGORITHM = 'ECDH-ES+A256KW';
const ENCRYPTION = 'A256GCM';
const CURVE = 'P-256';
const COORDINATE = /^[A-Za-z0-9_-]{43}$/;

export interface RecoveryKeyPair {
  readonly id: string;
  /** JSON. Goes into the database and may be shown to anybody. */
  readonly publicKey: string;
  /** JSON. Never comes near the server until the day it is needed. */
  readonly privateKey: string;
}

interface PublicHalf {
  readonly kty: 'EC';
  readonly crv: typeof CURVE;
  readonly x: string;
  readonly y: string;
}

export async function generateRecoveryKey(): Promise<RecoveryKeyPair> {
  const { publicKey, privateKey } = await generateKeyPair(ALGORITHM, { crv: CURVE, extractable: true });
  const [half, whole] = await Promise.all([exportJWK(publicKey), exportJWK(privateKey)]);
  const id = await idOf(publicHalf(half));
  const named = { kid: id, alg: ALGORITHM, use: 'enc' };
  return {
    id,
    publicKey: JSON.stringify({ ...publicHalf(half), ...named }),
    privateKey: JSON.stringify({ ...publicHalf(whole), d: whole.d, ...named }),
  };
}

/**
 * @param text the public half as JSON; a private half is refused, because it would lie readable in the database.
 * @throws AppError `invalid_request`.
 */
export async function recoveryRecipient(text: string): Promise<RecoveryRecipient> {
  const jwk = readJwk(text);
  if ('d' in jwk) {
    throw new AppError(
      'invalid_request',
      'This is the private half of a recovery key. Give the public half only (FILE.pub), and keep the private one offline.',
    );
  }
  const half = publicHalf(jwk);
  const id = await idOf(half);
  const key = await imported(half);
  return {
    id,
    publicKey: JSON.stringify({ ...half, kid: id, alg: ALGORITHM, use: 'enc' }),
    wrap: (dataKey, context) =>
      new CompactEncrypt(bound(dataKey, context))
        .setProtectedHeader({ alg: ALGORITHM, enc: ENCRYPTION, kid: id })
        .encrypt(key),
  };
}

/** @throws AppError `invalid_request` for anything but the private half of a recovery key. */
export async function recoveryOpener(text: string): Promise<KeyOpener> {
  const jwk = readJwk(text);
  if (typeof jwk.d !== 'string' || !COORDINATE.test(jwk.d)) {
    throw new AppError(
      'invalid_request',
      'This is not the private half of a recovery key. Give the file that "claviger root-key make-recovery" wrote.',
    );
  }
  const half = publicHalf(jwk);
  const id = await idOf(half);
  const key = await imported({ ...half, d: jwk.d });
  return {
    id,
    async unwrap(wrapped, context) {
      let opened: Uint8Array;
      try {
        ({ plaintext: opened } = await compactDecrypt(wrapped, key, {
          keyManagementAlgorithms: [ALGORITHM],
          contentEncryptionAlgorithms: [ENCRYPTION],
        }));
      } catch (cause) {
        throw notOpened(context, `recovery key ${id}`, cause);
      }
      return unbound(Buffer.from(opened), context);
    },
  };
}

export type RecoveryRecipient = KeyRecipient & { readonly publicKey: string };

function recipientContext(id: string): string {
  return `root_keys.sealed_public_key:${id}`;
}

/**
 * A public half as it is stored. Readable by anybody it would keep its secrecy and lose its worth: who can write the
 * database could add a key pair of their own, and the next data key that is made would be wrapped for them, too.
 *
 * @param envelope of a data key that was there before: only who opens the installation can add a recovery key.
 */
export function sealRecipient(envelope: Envelope, { id, publicKey }: RecoveryRecipient): string {
  return envelope.seal(publicKey, recipientContext(id));
}

/** @returns undefined for one that was not added by somebody who could open the installation. */
export async function openRecipient(
  envelope: Envelope,
  id: string,
  sealed: string | undefined,
): Promise<RecoveryRecipient | undefined> {
  if (sealed === undefined) return undefined;
  try {
    // It is bound to the id, so that what opens is of this id.
    return await recoveryRecipient(envelope.open(sealed, recipientContext(id)).toString('utf8'));
  } catch {
    return undefined;
  }
}

function readJwk(text: string): JWK {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  // What was given is never repeated: it may be the private half, or another secret altogether.
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new AppError('invalid_request', 'A recovery key is a JWK: one JSON object.');
  }
  return parsed;
}

function publicHalf(jwk: JWK): PublicHalf {
  const { kty, crv, x = '', y = '' } = jwk;
  if (kty !== 'EC' || crv !== CURVE || !COORDINATE.test(x) || !COORDINATE.test(y)) {
    throw new AppError('invalid_request', `A recovery key is a JWK of kty EC and crv ${CURVE}.`);
  }
  return { kty: 'EC', crv: CURVE, x, y };
}

async function imported(jwk: PublicHalf & { readonly d?: string }): Promise<CryptoKey> {
  try {
    const key = await importJWK({ ...jwk }, ALGORITHM);
    if (key instanceof Uint8Array) throw new TypeError('an EC key is no octet sequence');
    return key;
  } catch (cause) {
    throw new AppError('invalid_request', 'The recovery key is not a point of its curve.', { cause });
  }
}

async function idOf({ kty, crv, x, y }: PublicHalf): Promise<string> {
  // RFC 7638, in the form and length of every other root key's fingerprint.
  const thumbprint = await calculateJwkThumbprint({ kty, crv, x, y }, 'sha256');
  return Buffer.from(thumbprint, 'base64url').toString('hex').slice(0, 16);
}
