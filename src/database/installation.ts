import {
  DATA_KEY_PURPOSES,
  type DataKey,
  type DataKeyPurpose,
  dataKeyContext,
  generateDataKey,
} from '../crypto/data-key.js';
import { Envelope } from '../crypto/envelope.js';
import type { RootKey } from '../crypto/root-key.js';
import { SecretHasher } from '../crypto/secret-hash.js';
import type { Database } from './connect.js';
import { insertDataKeys, readDataKeys, type WrappedDataKey } from './data-key-store.js';
import {
  assertInstallation,
  type Expected,
  isMovedDevelopment,
  moveInstallation,
  readInstallation,
  writeInstallation,
} from './identity.js';
import { migrateSchema } from './schema.js';

/** What the opened database protects things with. Never leaves the process. */
export interface DataKeys {
  readonly hasher: SecretHasher;
  readonly artifactEnvelope: Envelope;
  readonly signingKeyEnvelope: Envelope;
  readonly cookieKey: Buffer;
  readonly dpopNonceSecret: Buffer;
  /** Derives the successor of a refresh token from it, so that a repeat yields the same one. */
  readonly successorKey: Buffer;
  /** Seals what people's accounts and deliveries hold: TOTP secrets, mails, links. */
  readonly accountEnvelope: Envelope;
}

export interface OpenedInstallation {
  readonly keys: DataKeys;
  readonly migrated: readonly string[];
  /** The issuer under which this development database was known before, if it has just been moved. */
  readonly movedFrom: string | undefined;
}

/**
 * Checks that database, configuration and root key belong together, then migrates and unwraps the data keys. A
 * foreign database or a wrong root key is refused before anything is written.
 *
 * @throws AppError `database_foreign`, `root_key_wrong`, `database_unavailable`.
 */
export async function openInstallation(
  database: Database,
  rootKey: RootKey,
  expected: Omit<Expected, 'rootKeyId'>,
): Promise<OpenedInstallation> {
  const whole: Expected = { ...expected, rootKeyId: rootKey.id };
  const found = await database.read(readInstallation);
  if (found !== undefined) assertInstallation(found, whole);
  const migrated = await migrateSchema(database);
  const fresh = await Promise.all(DATA_KEY_PURPOSES.map(purpose => wrapNew(rootKey, purpose)));
  const movedFrom = await database.transaction(async trx => {
    const now = await database.now(trx);
    const current = await readInstallation(trx);
    // Another node may have been first since the look above.
    if (current !== undefined) assertInstallation(current, whole);
    await insertDataKeys(trx, fresh, now);
    if (current === undefined) {
      await writeInstallation(trx, whole, now);
      return undefined;
    }
    if (current.issuer === whole.issuer || !isMovedDevelopment(current, whole)) return undefined;
    await moveInstallation(trx, whole.issuer);
    return current.issuer;
  });
  const stored = await database.read(readDataKeys);
  return { keys: await unwrapAll(rootKey, stored), migrated, movedFrom };
}

async function wrapNew(rootKey: RootKey, purpose: DataKeyPurpose): Promise<WrappedDataKey> {
  const { id, key } = generateDataKey();
  return {
    id,
    purpose,
    wrapped: await rootKey.wrap(key, dataKeyContext(purpose, id)),
    rootKeyId: rootKey.id,
  };
}

async function unwrapAll(rootKey: RootKey, stored: readonly WrappedDataKey[]): Promise<DataKeys> {
  const unwrap = async (purpose: DataKeyPurpose): Promise<DataKey> => {
    const found = stored.find(key => key.purpose === purpose);
    if (found === undefined) throw new TypeError(`the data key for ${purpose} is missing`);
    return { id: found.id, key: await rootKey.unwrap(found.wrapped, dataKeyContext(purpose, found.id)) };
  };
  const [pepper, artifact, signingKey, cookie, dpopNonce, successor, account] = await Promise.all([
    unwrap('pepper'),
    unwrap('artifact'),
    unwrap('signing_key'),
    unwrap('cookie'),
    unwrap('dpop_nonce'),
    unwrap('successor'),
    unwrap('account'),
  ]);
  return {
    hasher: new SecretHasher(pepper),
    artifactEnvelope: new Envelope(artifact),
    signingKeyEnvelope: new Envelope(signingKey),
    cookieKey: cookie.key,
    dpopNonceSecret: dpopNonce.key,
    successorKey: successor.key,
    accountEnvelope: new Envelope(account),
  };
}
