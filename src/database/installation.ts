import {
  DATA_KEY_PURPOSES,
  type DataKey,
  type DataKeyPurpose,
  dataKeyContext,
  generateDataKey,
} from '../crypto/data-key.js';
import { Envelope } from '../crypto/envelope.js';
import { openRecipient } from '../crypto/recovery-key.js';
import type { KeyOpener, KeyRecipient, RootKey } from '../crypto/root-key.js';
import { SecretHasher } from '../crypto/secret-hash.js';
import { AppError, isAppError } from '../errors.js';
import type { Database, Queryable, Transaction } from './connect.js';
import {
  insertDataKeys,
  insertRootKey,
  lockRootKeys,
  type NewDataKey,
  type RootKeyRecord,
  readDataKeys,
  readRootKeys,
  type StoredDataKey,
} from './data-key-store.js';
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

/** What every installation was made with; later versions add to it. */
const FOUNDING_PURPOSES: readonly DataKeyPurpose[] = [
  'pepper',
  'artifact',
  'signing_key',
  'cookie',
  'dpop_nonce',
  'successor',
];

/** How often the recovery keys may change between wrapping for them and storing that. */
const MOST_ATTEMPTS = 5;

/**
 * Checks that database, configuration and root key belong together, then migrates and unwraps the data keys. A
 * foreign database or a wrong root key is refused before anything is written.
 *
 * @throws AppError `database_foreign`, `root_key_wrong`, `root_key_unavailable`, `database_unavailable`.
 */
export async function openInstallation(
  database: Database,
  rootKey: RootKey,
  expected: Omit<Expected, 'rootKeyId'>,
): Promise<OpenedInstallation> {
  const whole: Expected = { ...expected, rootKeyId: rootKey.id };
  const found = await database.read(readInstallation);
  const before = new Map<string, DataKey>();
  if (found !== undefined) {
    assertInstallation(found, whole);
    const stored = await database.read(readDataKeys);
    assertWhole(stored);
    // A key held elsewhere is known by its name only: whether it is the right one shows when it opens something.
    for (const key of await openDataKeys(rootKey, stored)) before.set(key.id, key);
  }
  const migrated = await migrateSchema(database);
  for (let attempt = 1; ; attempt += 1) {
    const stored = await database.read(readDataKeys);
    const recoveries = await database.read(readRecoveryKeys);
    const { recipients } = await sortRecoveryKeys(
      recoveries,
      signingKeyEnvelopeIn([...before.values()], stored),
    );
    const missing = DATA_KEY_PURPOSES.filter(purpose => stored.every(key => key.purpose !== purpose));
    const fresh = await Promise.all(missing.map(purpose => wrapNew([rootKey, ...recipients], purpose)));
    const outcome = await database.transaction(trx =>
      store(trx, { fresh, rootKey, recoveries, whole, now: () => database.now(trx) }),
    );
    if (outcome === 'again' && attempt < MOST_ATTEMPTS) continue;
    if (outcome === 'again') throw new AppError('stale', 'The recovery keys keep changing. Start again.');
    const after = await database.read(readDataKeys);
    const known = await openDataKeys(
      rootKey,
      after.filter(({ id }) => !before.has(id)),
    );
    return {
      keys: dataKeysOf([...before.values(), ...known], after),
      migrated,
      movedFrom: outcome.movedFrom,
    };
  }
}

interface Storing {
  readonly fresh: readonly NewDataKey[];
  readonly rootKey: RootKey;
  /** Those that were looked at, whether the fresh data keys are wrapped for them or not. */
  readonly recoveries: readonly RootKeyRecord[];
  readonly whole: Expected;
  now(): Promise<number>;
}

/** @returns `again` when the data keys were wrapped for others than those who must be able to open them. */
async function store(
  trx: Transaction,
  { fresh, rootKey, recoveries, whole, now }: Storing,
): Promise<'again' | { readonly movedFrom: string | undefined }> {
  await lockRootKeys(trx);
  const at = await now();
  // In this order: who sees data keys that another node has just made sees its installation, too.
  const hasDataKeys = (await readDataKeys(trx)).length > 0;
  const current = await readInstallation(trx);
  if (current === undefined && hasDataKeys) {
    throw new AppError(
      'database_foreign',
      'The database holds data keys and does not say whose (the row of the table installation is gone). Restore it from a backup.',
    );
  }
  // Another node may have been first since the look above.
  if (current !== undefined) assertInstallation(current, whole);
  if (fresh.length > 0) {
    const known = await readRecoveryKeys(trx);
    if (known.length !== recoveries.length) return 'again';
    if (known.some(({ id }) => recoveries.every(looked => looked.id !== id))) return 'again';
    // What only the old key opened would lock out every node that has the new one already.
    if (current !== undefined && current.rootKeyId !== rootKey.id) {
      throw new AppError(
        'root_key_wrong',
        `This program needs a data key the database does not have yet, and only the current root key, ${current.rootKeyId}, may wrap it. Set rootKey to that one; nothing was changed.`,
      );
    }
    const { id, backend, reference } = rootKey;
    await insertRootKey(trx, { id, backend, reference, role: 'main', sealedPublicKey: undefined }, at);
    await insertDataKeys(trx, fresh, at);
  }
  if (current === undefined) {
    await writeInstallation(trx, whole, at);
    return { movedFrom: undefined };
  }
  if (current.issuer === whole.issuer || !isMovedDevelopment(current, whole)) return { movedFrom: undefined };
  await moveInstallation(trx, whole.issuer);
  return { movedFrom: current.issuer };
}

export async function readRecoveryKeys(on: Queryable): Promise<RootKeyRecord[]> {
  return (await readRootKeys(on)).filter(({ role }) => role === 'recovery');
}

/** Strangers: written into the database by somebody who could not open it. Nothing is wrapped for them. */
export async function sortRecoveryKeys(
  known: readonly RootKeyRecord[],
  envelope: Envelope | undefined,
): Promise<{ readonly recipients: readonly KeyRecipient[]; readonly strangers: readonly string[] }> {
  const recipients: KeyRecipient[] = [];
  const strangers: string[] = [];
  for (const { id, sealedPublicKey } of known) {
    const recipient = envelope && (await openRecipient(envelope, id, sealedPublicKey));
    if (recipient === undefined) strangers.push(id);
    else recipients.push(recipient);
  }
  return { recipients, strangers };
}

/** Undefined where there is no such data key yet, in a new installation. */
export function signingKeyEnvelopeIn(
  opened: readonly DataKey[],
  stored: readonly StoredDataKey[],
): Envelope | undefined {
  const id = stored.find(({ purpose }) => purpose === 'signing_key')?.id;
  const key = opened.find(each => each.id === id);
  return key === undefined ? undefined : new Envelope(key);
}

/**
 * A data key that is gone is not made anew: everything it protects would be lost without a word, and a root key that is
 * known by its name only would open an installation without any.
 */
function assertWhole(stored: readonly StoredDataKey[]): void {
  const gone = FOUNDING_PURPOSES.filter(purpose => stored.every(key => key.purpose !== purpose));
  if (gone.length === 0) return;
  throw new AppError(
    'sealed_value_damaged',
    `The database has lost data keys (${gone.join(', ')}); what they protect does not open without them. Restore them from a backup; nothing was changed.`,
  );
}

async function wrapNew(recipients: readonly KeyRecipient[], purpose: DataKeyPurpose): Promise<NewDataKey> {
  const { id, key } = generateDataKey();
  const context = dataKeyContext(purpose, id);
  const wraps = recipients.map(async recipient => ({
    rootKeyId: recipient.id,
    wrapped: await recipient.wrap(key, context),
  }));
  return { id, purpose, wraps: await Promise.all(wraps) };
}

/** What a stored data key is bound to; a purpose that only a later version knows is bound alike. */
export function storedContext({ purpose, id }: { readonly purpose: string; readonly id: string }): string {
  return dataKeyContext(purpose as DataKeyPurpose, id);
}

/**
 * @throws AppError `root_key_wrong` when it opens none of them, `sealed_value_damaged` when it opens only some,
 *   `root_key_unavailable`.
 */
export async function openDataKeys(opener: KeyOpener, stored: readonly StoredDataKey[]): Promise<DataKey[]> {
  const results = await Promise.allSettled(
    stored.map(async (key): Promise<DataKey> => {
      const wrapped = key.wraps.get(opener.id);
      if (wrapped === undefined) {
        throw new AppError(
          'root_key_wrong',
          `The root key ${opener.id} does not wrap every data key. If a change of root key was broken off, finish it with the root key from before it: claviger root-key rotate.`,
          { detail: `the data key for ${key.purpose} has no wrap by it` },
        );
      }
      return { id: key.id, key: await opener.unwrap(wrapped, storedContext(key)) };
    }),
  );
  const failures = results.flatMap(result => (result.status === 'rejected' ? [result.reason] : []));
  // Whoever is away opens nothing now and may open everything later.
  const worst = failures.find(error => !isAppError(error, 'sealed_value_damaged')) ?? failures[0];
  if (worst === undefined) {
    return results.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []));
  }
  if (isAppError(worst, 'sealed_value_damaged') && failures.length === stored.length) {
    throw new AppError(
      'root_key_wrong',
      `The root key ${opener.id} opens none of the data keys, so it is not the one they were wrapped by. Provide the right root key; nothing was changed. (The first: ${worst.detail ?? 'no reason given'})`,
      { cause: worst },
    );
  }
  throw worst;
}

function dataKeysOf(opened: readonly DataKey[], stored: readonly StoredDataKey[]): DataKeys {
  const keyFor = (purpose: DataKeyPurpose): DataKey => {
    const id = stored.find(key => key.purpose === purpose)?.id;
    const found = opened.find(key => key.id === id);
    if (found === undefined) throw new TypeError(`the data key for ${purpose} is missing`);
    return found;
  };
  return {
    hasher: new SecretHasher(keyFor('pepper')),
    artifactEnvelope: new Envelope(keyFor('artifact')),
    signingKeyEnvelope: new Envelope(keyFor('signing_key')),
    cookieKey: keyFor('cookie').key,
    dpopNonceSecret: keyFor('dpop_nonce').key,
    successorKey: keyFor('successor').key,
    accountEnvelope: new Envelope(keyFor('account')),
  };
}
