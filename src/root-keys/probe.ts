import { randomBytes } from 'node:crypto';
import type { RootKey } from '../crypto/root-key.js';
import { AppError } from '../errors.js';

const PROBE_LENGTH = 32;
const CONTEXT = 'root_key.probe';

/** Before anything is written: the root key wraps something of no worth and opens it again. */
export async function assertWorks(rootKey: RootKey): Promise<void> {
  const probe = randomBytes(PROBE_LENGTH);
  const opened = await rootKey.unwrap(await rootKey.wrap(probe, CONTEXT), CONTEXT);
  if (opened.equals(probe)) return;
  throw new AppError(
    'root_key_wrong',
    `The root key ${rootKey.id} gives back something else than it was given. Do not use it.`,
  );
}
