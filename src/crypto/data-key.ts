import { randomBytes } from 'node:crypto';
import { randomBase62 } from './random-id.js';

/** One key for one use each: a key that leaks through one use opens nothing of another. */
export const DATA_KEY_PURPOSES = [
  'pepper',
  'artifact',
  'signing_key',
  'cookie',
  'dpop_nonce',
  'successor',
  'account',
] as const;
export type DataKeyPurpose = (typeof DATA_KEY_PURPOSES)[number];

export interface DataKey {
  /** Carried by everything the key protects, so that a later key of the same purpose can stand beside it. */
  readonly id: string;
  readonly key: Buffer;
}

export function generateDataKey(): DataKey {
  return { id: randomBase62(12), key: randomBytes(32) };
}

/** What a wrapped data key is bound to: a cookie key put in the pepper's row does not unwrap there. */
export function dataKeyContext(purpose: DataKeyPurpose, id: string): string {
  return `data_key:${purpose}:${id}`;
}
