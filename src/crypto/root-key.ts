import { hkdfSync, randomBytes } from 'node:crypto';
import { AppError } from '../errors.js';
import { Envelope, sealedWith } from './envelope.js';

const LENGTH = 32;
/** Of 32 random bytes, about 30 differ; fewer than this is a placeholder somebody typed. */
const LEAST_DIFFERENT_BYTES = 8;

const REMEDY =
  'Set CLAVIGER_ROOT_KEY, or CLAVIGER_ROOT_KEY_FILE, to the 32 bytes in base64url (43 characters) this database was set up with';

/** The key that wraps every data key. It never enters the database; without it the database opens nothing. */
export interface RootKey {
  /** Public fingerprint: tells two root keys apart and nothing about either. */
  readonly id: string;
  wrap(key: Buffer, context: string): Promise<string>;
  /** AppError `root_key_wrong` when another root key wrapped it, `sealed_value_damaged` when it was changed. */
  unwrap(wrapped: string, context: string): Promise<Buffer>;
}

/** @returns base64url, for `claviger init` and the demo */
export function generateRootKey(): string {
  return randomBytes(LENGTH).toString('base64url');
}

/**
 * A root key held in this process's memory. (One that stays in an HSM implements the same interface, which is why
 * wrap and unwrap are asynchronous.)
 */
export function localRootKey(secret: { reveal(): string } | string | undefined): RootKey {
  const bytes = decode(typeof secret === 'object' ? secret.reveal() : secret);
  // Two derivations that cannot be computed from each other (RFC 5869 §3.2): the fingerprint is public.
  const id = derive(bytes, 'claviger root key fingerprint v1', 8).toString('hex');
  const envelope = new Envelope({ id, key: derive(bytes, 'claviger root key wrapping v1', LENGTH) });
  bytes.fill(0);
  return {
    id,
    wrap: async (key, context) => envelope.seal(key, context),
    unwrap: async (wrapped, context) => {
      const wrappedWith = sealedWith(wrapped);
      if (wrappedWith !== undefined && wrappedWith !== id) {
        throw new AppError('root_key_wrong', `This root key is not the one this database uses. ${REMEDY}.`, {
          detail: `${context} is wrapped by root key ${wrappedWith}, this one is ${id}`,
        });
      }
      return envelope.open(wrapped, context);
    },
  };
}

function decode(text: string | undefined): Buffer {
  if (text === undefined || text === '') {
    throw new AppError(
      'root_key_missing',
      `There is no root key. ${REMEDY}; "claviger init" makes a new one.`,
    );
  }
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length !== LENGTH || bytes.toString('base64url') !== text) {
    throw new AppError('root_key_wrong', `The root key is not 32 bytes in base64url. ${REMEDY}.`, {
      detail: `${text.length} characters`,
    });
  }
  if (new Set(bytes).size < LEAST_DIFFERENT_BYTES) {
    throw new AppError(
      'root_key_wrong',
      'The root key is a placeholder, not random. Make one with "claviger init".',
    );
  }
  return bytes;
}

function derive(bytes: Buffer, purpose: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', bytes, '', purpose, length));
}
