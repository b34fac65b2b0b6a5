import { type Config, DEVELOPMENT } from './config.js';
import type { Findings } from './key-checks.js';
import { namesRootKeyBackend, readRootKeyReference } from './root-key-reference.js';

const ROOT_KEY_REMEDY =
  'Make one with `node -p "crypto.randomBytes(32).toString(\'base64url\')"` and give it as CLAVIGER_ROOT_KEY_FILE';

/** Why these characters are no root key, without repeating any of them. */
function rootKeyProblem(rootKey: string): string | undefined {
  if (
    !/^[A-Za-z0-9_-]{43}$/.test(rootKey) ||
    Buffer.from(rootKey, 'base64url').toString('base64url') !== rootKey
  ) {
    return `must be 32 bytes in base64url (43 characters). ${ROOT_KEY_REMEDY}.`;
  }
  return undefined;
}

/** A typed or patterned key: 32 random bytes have fewer than 16 different ones, or are all printable, never. */
function isWeakRootKey(rootKey: string): boolean {
  const bytes = Buffer.from(rootKey, 'base64url');
  return new Set(bytes).size < 16 || bytes.every(byte => byte >= 0x20 && byte < 0x7f);
}

export function checkRootKey({ rootKey, environment }: Config): Findings {
  const at = 'rootKey';
  const isDevelopment = environment === DEVELOPMENT;
  if (rootKey === undefined) {
    const problem = `must be given in any environment but development. ${ROOT_KEY_REMEDY}.`;
    return { faults: isDevelopment ? [] : [{ at, problem }], warnings: [] };
  }
  if (namesRootKeyBackend(rootKey.reveal())) {
    const reading = readRootKeyReference(rootKey.reveal());
    return { faults: 'problem' in reading ? [{ at, problem: reading.problem }] : [], warnings: [] };
  }
  const malformed = rootKeyProblem(rootKey.reveal());
  if (malformed !== undefined) return { faults: [{ at, problem: malformed }], warnings: [] };
  if (!isWeakRootKey(rootKey.reveal())) return { faults: [], warnings: [] };
  const weak = [{ at, problem: `can be guessed: it is not random. ${ROOT_KEY_REMEDY}.` }];
  return isDevelopment ? { faults: [], warnings: weak } : { faults: weak, warnings: [] };
}
