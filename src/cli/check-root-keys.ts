import { type Config, DEVELOPMENT } from '../config/config.js';
import type { RootKey } from '../crypto/root-key.js';
import type { Database } from '../database/connect.js';
import { opensAll, readDataKeys, readRootKeys } from '../database/data-key-store.js';
import { readInstallation } from '../database/identity.js';
import {
  openDataKeys,
  readRecoveryKeys,
  signingKeyEnvelopeIn,
  sortRecoveryKeys,
} from '../database/installation.js';
import { isAppError } from '../errors.js';
import { type Finding, found, ok } from './finding.js';

/** What would be missed on the day the root key is lost, and what a change of root key has left behind. */
export async function checkRootKeys(database: Database, { environment }: Config): Promise<Finding[]> {
  const [installation, dataKeys, rootKeys] = await database.read(async on => [
    await readInstallation(on),
    await readDataKeys(on),
    await readRootKeys(on),
  ]);
  const findings = rootKeys
    .filter(({ id, role }) => role === 'main' && id !== installation?.rootKeyId)
    .map(({ id }) =>
      opensAll(id, dataKeys)
        ? found(
            'root_key_change',
            'warning',
            `The root key ${id} was replaced and still opens the database.`,
            `When every node uses the new one: claviger root-key retire ${id}`,
          )
        : found(
            'root_key_change',
            'warning',
            `The change to the root key ${id} was broken off.`,
            `Run claviger root-key rotate again, or give it up: claviger root-key retire ${id}`,
          ),
    );
  const recoveries = rootKeys.filter(({ id, role }) => role === 'recovery' && opensAll(id, dataKeys));
  if (recoveries.length > 0) {
    findings.push(ok('recovery_key', `A recovery key opens all ${dataKeys.length} data keys.`));
  } else if (environment !== DEVELOPMENT) {
    findings.push(
      found(
        'recovery_key',
        'note',
        'There is no recovery key: if the root key is lost, so is everything it wraps.',
        'claviger root-key make-recovery (docs/root-key.md)',
      ),
    );
  }
  return findings;
}

/** What the next start of a server would find, whether the key is here or somewhere else. */
export async function checkDataKeys(database: Database, rootKey: RootKey): Promise<Finding[]> {
  const installation = await database.read(readInstallation);
  // Said already: the tables are missing, or this is another root key.
  if (installation?.openingRootKeyIds.includes(rootKey.id) !== true) return [];
  try {
    const stored = await database.read(readDataKeys);
    const opened = await openDataKeys(rootKey, stored);
    const known = await database.read(readRecoveryKeys);
    const { strangers } = await sortRecoveryKeys(known, signingKeyEnvelopeIn(opened, stored));
    return [
      ok('data_keys', `The root key ${rootKey.id} opens all ${opened.length} data keys.`),
      ...strangers.map(id =>
        found(
          'recovery_key',
          'error',
          `The recovery key ${id} was not added by this program: somebody wrote it into the database. Nothing new is wrapped for it.`,
          `Find out who writes there, then: claviger root-key retire ${id}`,
        ),
      ),
    ];
  } catch (error) {
    if (!isAppError(error)) throw error;
    return [found('data_keys', 'error', error.message, 'Without it no server starts here.')];
  }
}
