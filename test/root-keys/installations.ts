import { generateRootKey, localRootKey, type RootKey } from '../../src/crypto/root-key.js';
import { type Database, openDatabase } from '../../src/database/connect.js';
import { type DataKeys, type OpenedInstallation, openInstallation } from '../../src/database/installation.js';
import { AppError } from '../../src/errors.js';
import type { RootKeyContext } from '../../src/root-keys/rewrap.js';

export const EXPECTED = { issuer: 'https://id.example.test', environment: 'production' };

/** A database of its own with the root key it was made with. */
export interface Installed {
  readonly url: string;
  readonly database: Database;
  readonly secret: string;
  readonly rootKey: RootKey;
  readonly context: RootKeyContext;
  readonly fingerprint: string;
  /** As a node or a command opens it. */
  open(rootKey?: RootKey): Promise<OpenedInstallation>;
  close(): Promise<void>;
}

/** The same for the same data keys: each of them has a part in it. */
export function fingerprintOf(keys: DataKeys): string {
  return [
    keys.hasher.hash('x'),
    keys.cookieKey.toString('hex'),
    keys.dpopNonceSecret.toString('hex'),
    keys.successorKey.toString('hex'),
    keys.artifactEnvelope.keyId,
    keys.signingKeyEnvelope.keyId,
    keys.accountEnvelope.keyId,
  ].join(' ');
}

export async function install(url: string, rootKey?: RootKey): Promise<Installed> {
  const secret = generateRootKey();
  const main = rootKey ?? localRootKey(secret);
  const database = openDatabase({ url });
  const open = (by: RootKey = main) => openInstallation(database, by, EXPECTED);
  const { keys } = await open();
  return {
    url,
    database,
    secret,
    rootKey: main,
    context: { database, nodeId: 'test', actor: 'os:test@host' },
    fingerprint: fingerprintOf(keys),
    open,
    close: () => database.close(),
  };
}

export async function refusalOf(work: Promise<unknown>): Promise<AppError> {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (error instanceof AppError) return error;
  throw new Error(`no refusal: ${String(error)}`);
}
