import { pbkdf2, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { parseOptions as parseArgon2 } from '@node-rs/argon2';
import { verify as verifyBcrypt } from '@node-rs/bcrypt';
import type { PasswordHasher } from '../crypto/password-hash.js';

const derivePbkdf2 = promisify(pbkdf2);

/** Costs that a sign-in may have: what an import brings must not stop the server at each attempt. */
const MOST_BCRYPT_COST = 15;
const PBKDF2_ROUNDS = { least: 1_000, most: 5_000_000 };
const MOST_MEMORY = 256 * 1024 * 1024;
const MOST_LANES = 16;
const MOST_ARGON2_PASSES = 32;
const SALT_LENGTH = { least: 4, most: 128 };
const KEY_LENGTH = { least: 16, most: 128 };

/** bcrypt reads no further. */
const BCRYPT_READS = 72;

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const PBKDF2 =
  /^\$pbkdf2(?:-(sha1|sha256|sha512))?\$(?:i=)?(\d{1,8})(?:,l=\d{1,4})?\$([A-Za-z0-9+/.=]{1,200})\$([A-Za-z0-9+/.=]{1,200})$/;
/** As Django writes it: the salt is the text itself. */
const DJANGO = /^pbkdf2_(sha1|sha256|sha512)\$(\d{1,8})\$([^$\s]{1,128})\$([A-Za-z0-9+/=]{1,200})$/;
const SCRYPT =
  /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/.=]{1,200})\$([A-Za-z0-9+/.=]{1,200})$/;

export const STORED_HASH_FORMS =
  'argon2 ($argon2id$…), bcrypt ($2b$…), PBKDF2 ($pbkdf2-sha256$i=…$salt$hash) or scrypt ($scrypt$ln=…,r=…,p=…$salt$hash)';

type StoredHash =
  | { readonly kind: 'argon2' }
  | { readonly kind: 'bcrypt' }
  | {
      readonly kind: 'pbkdf2';
      readonly digest: string;
      readonly rounds: number;
      readonly salt: Buffer;
      readonly key: Buffer;
    }
  | {
      readonly kind: 'scrypt';
      readonly N: number;
      readonly r: number;
      readonly p: number;
      readonly salt: Buffer;
      readonly key: Buffer;
    };

/** Why a hash cannot be taken over, or undefined; it is not repeated. */
export function storedHashProblem(storedHash: unknown): string | undefined {
  const found = typeof storedHash === 'string' ? parseStoredHash(storedHash) : undefined;
  if (found === undefined) return `It is none of the forms that can be verified: ${STORED_HASH_FORMS}.`;
  return typeof found === 'string' ? found : undefined;
}

export interface Verification {
  readonly matches: boolean;
  /** Made elsewhere, or with less than what new passwords get. */
  readonly needsRehash: boolean;
}

/**
 * Verifies ours and, once, those of another system.
 *
 * Theirs takes as long as it was made to take: a stopwatch can tell an account that has moved in and not signed in
 * since from all others. Nothing can hide that without making every sign-in as slow as the slowest import; it tells
 * nothing of the password, and ends with the first sign-in, when the hash becomes one of ours.
 *
 * @throws TypeError for a stored value that is no hash: a damaged row is not a wrong password.
 */
export async function verifyPassword(
  passwords: PasswordHasher,
  storedHash: string,
  password: string,
): Promise<Verification> {
  const found = parseStoredHash(storedHash);
  if (found === undefined || typeof found === 'string') throw new TypeError('the stored hash is damaged');
  if (found.kind === 'argon2') {
    const matches = await passwords.verify(storedHash, password);
    return { matches, needsRehash: passwords.needsRehash(storedHash) };
  }
  return {
    matches: await passwords.inTurn(() => matchesForeign(found, storedHash, password)),
    needsRehash: true,
  };
}

async function matchesForeign(
  found: Exclude<StoredHash, { kind: 'argon2' }>,
  storedHash: string,
  password: string,
): Promise<boolean> {
  if (found.kind === 'bcrypt') {
    const matches = await verifyBcrypt(password, storedHash);
    // The end of a longer one was never part of the hash: two that differ there would both open the account. Its
    // owner sets a new one by mail.
    return matches && Buffer.byteLength(password) <= BCRYPT_READS;
  }
  const { salt, key } = found;
  const derived =
    found.kind === 'pbkdf2'
      ? await derivePbkdf2(password, salt, found.rounds, key.length, found.digest)
      : await deriveScrypt(password, salt, key.length, found);
  return timingSafeEqual(derived, key);
}

function deriveScrypt(
  password: string,
  salt: Buffer,
  length: number,
  { N, r, p }: { readonly N: number; readonly r: number; readonly p: number },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const maxmem = scryptMemory(N, r, p) + 1024 * 1024;
    scrypt(password, salt, length, { N, r, p, maxmem }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

function scryptMemory(N: number, r: number, p: number): number {
  return 128 * r * (N + p + 2);
}

/** @returns undefined for an unknown form, a sentence for one that is refused. */
function parseStoredHash(stored: string): StoredHash | string | undefined {
  if (stored.length > 512) return undefined;
  if (stored.startsWith('$argon2')) return parsedArgon2(stored);
  const bcrypt = BCRYPT.exec(stored);
  if (bcrypt !== null) {
    const cost = Number(bcrypt[1]);
    if (cost >= 4 && cost <= MOST_BCRYPT_COST) return { kind: 'bcrypt' };
    return `bcrypt with cost ${cost} is outside 4 to ${MOST_BCRYPT_COST}.`;
  }
  const scrypted = SCRYPT.exec(stored);
  if (scrypted !== null) return parsedScrypt(scrypted);
  const [, digest, rounds, salt = '', key = ''] = PBKDF2.exec(stored) ?? [];
  if (rounds !== undefined)
    return parsedPbkdf2(digest ?? 'sha1', Number(rounds), bytesOf(salt), bytesOf(key));
  const django = DJANGO.exec(stored);
  if (django === null) return undefined;
  const [, hash = '', count, text = '', derived = ''] = django;
  return parsedPbkdf2(hash, Number(count), Buffer.from(text, 'utf8'), bytesOf(derived));
}

function parsedArgon2(stored: string): StoredHash | string | undefined {
  try {
    const { memoryCost, timeCost, parallelism } = parseArgon2(stored);
    const isBounded =
      memoryCost * 1024 <= MOST_MEMORY && timeCost <= MOST_ARGON2_PASSES && parallelism <= MOST_LANES;
    return isBounded
      ? { kind: 'argon2' }
      : 'argon2 asks for more memory, passes or lanes than a sign-in may cost.';
  } catch {
    return undefined;
  }
}

function parsedScrypt(match: RegExpExecArray): StoredHash | string | undefined {
  const [, ln = '', blocks = '', lanes = '', saltText = '', keyText = ''] = match;
  const [salt, key] = [bytesOf(saltText), bytesOf(keyText)];
  if (!isWithin(salt, SALT_LENGTH) || !isWithin(key, KEY_LENGTH)) return undefined;
  const [N, r, p] = [2 ** Number(ln), Number(blocks), Number(lanes)];
  const isBounded = r >= 1 && p >= 1 && p <= MOST_LANES && N >= 1024 && scryptMemory(N, r, p) <= MOST_MEMORY;
  if (!isBounded) return 'scrypt asks for more memory or lanes than a sign-in may cost, or for nearly none.';
  return { kind: 'scrypt', N, r, p, salt, key };
}

function parsedPbkdf2(
  digest: string,
  rounds: number,
  salt: Buffer | undefined,
  key: Buffer | undefined,
): StoredHash | string | undefined {
  if (!isWithin(salt, SALT_LENGTH) || !isWithin(key, KEY_LENGTH)) return undefined;
  const { least, most } = PBKDF2_ROUNDS;
  if (rounds < least || rounds > most) return `PBKDF2 with ${rounds} rounds is outside ${least} to ${most}.`;
  return { kind: 'pbkdf2', digest, rounds, salt, key };
}

/** Base64 with or without padding, and passlib's form with `.` for `+`. */
function bytesOf(text: string): Buffer | undefined {
  const plain = text.replaceAll('.', '+').replace(/={1,2}$/, '');
  const bytes = Buffer.from(plain, 'base64');
  return plain.length % 4 !== 1 && bytes.length === Math.floor((plain.length * 3) / 4) ? bytes : undefined;
}

function isWithin(
  bytes: Buffer | undefined,
  { least, most }: { least: number; most: number },
): bytes is Buffer {
  return bytes !== undefined && bytes.length >= least && bytes.length <= most;
}
