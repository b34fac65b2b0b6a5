import { createHash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import type { RootKeyBackend } from '../config/root-key-reference.js';
import { AppError } from '../errors.js';
import { Envelope, sealedWith } from './envelope.js';

const LENGTH = 32;
/** Of 32 random bytes, about 30 differ; fewer than this is a placeholder somebody typed. */
const LEAST_DIFFERENT_BYTES = 8;

const REMEDY =
  'Set CLAVIGER_ROOT_KEY, or CLAVIGER_ROOT_KEY_FILE, to the 32 bytes in base64url (43 characters) this database was set up with';

/** Whom a data key is wrapped for. */
export interface KeyRecipient {
  /** Public fingerprint: tells two root keys apart and nothing about either. */
  readonly id: string;
  wrap(key: Buffer, context: string): Promise<string>;
}

/** Who opens what was wrapped for them. */
export interface KeyOpener {
  readonly id: string;
  /**
   * AppError `root_key_wrong` when another root key wrapped it, `sealed_value_damaged` when it was changed or (a key
   * held elsewhere cannot tell) wrapped by another, `root_key_unavailable` when whoever holds the key does not answer.
   */
  unwrap(wrapped: string, context: string): Promise<Buffer>;
}

/** The key that wraps every data key. It never enters the database; without it the database opens nothing. */
export interface RootKey extends KeyRecipient, KeyOpener {
  readonly backend: RootKeyBackend;
  /** The setting that names it, for a key that never leaves its place; empty for a local one. Not secret. */
  readonly reference: string;
  /** Lets go of what was opened to reach it. It may be used again afterwards. */
  close(): void;
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
    backend: 'local',
    reference: '',
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
    close: () => undefined,
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

/** Of a key that is known by its name only. */
export function fingerprintOf(reference: string): string {
  return createHash('sha256')
    .update(`claviger root key reference v1\0${reference}`)
    .digest('hex')
    .slice(0, 16);
}

const BINDING_LENGTH = 32;

function bindingOf(context: string): Buffer {
  return createHash('sha256').update(`claviger wrapped key v1\0${context}`).digest();
}

/**
 * What is sent to a key held elsewhere: the data key behind a hash of what it is for. Additional data would do the same
 * where the other side honours it; an older Vault ignores it without a word, and a token may not offer it.
 */
export function bound(key: Buffer, context: string): Buffer {
  return Buffer.concat([bindingOf(context), key]);
}

/** @throws AppError `sealed_value_damaged` when it was wrapped for another row. */
export function unbound(opened: Buffer, context: string): Buffer {
  const binding = bindingOf(context);
  if (
    opened.length !== BINDING_LENGTH + LENGTH ||
    !timingSafeEqual(opened.subarray(0, BINDING_LENGTH), binding)
  ) {
    throw notOpened(context, 'it opens, but belongs to another row');
  }
  return Buffer.from(opened.subarray(BINDING_LENGTH));
}

/** For a key held elsewhere, which says no more than that it does not open. */
export function notOpened(context: string, detail: string, cause?: unknown): AppError {
  return new AppError(
    'sealed_value_damaged',
    'A data key does not open: it was changed, moved from another row, or wrapped by another root key. Restore it from a backup, or provide the right root key.',
    { detail: `${context}: ${detail}`, cause },
  );
}

/** The holder of the key did not answer, or refused to. @param remedy a sentence for the operator. */
export function rootKeyUnavailable(reference: string, remedy: string, cause?: unknown): AppError {
  return new AppError(
    'root_key_unavailable',
    `The root key ${reference} cannot be reached. ${remedy}`,
    cause === undefined ? {} : { cause },
  );
}
