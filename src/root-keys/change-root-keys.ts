import { openRecipient, type RecoveryRecipient, sealRecipient } from '../crypto/recovery-key.js';
import type { RootKey } from '../crypto/root-key.js';
import {
  deleteRootKey,
  insertRootKey,
  insertWrap,
  opensAll,
  type RootKeyRecord,
  readDataKeys,
  readRootKeys,
} from '../database/data-key-store.js';
import { readInstallation } from '../database/identity.js';
import { openDataKeys, signingKeyEnvelopeIn, storedContext } from '../database/installation.js';
import { AppError } from '../errors.js';
import { inTransaction, type RootKeyContext } from './rewrap.js';

/**
 * Wraps every data key for a recovery key as well: in one transaction, because a recovery key that opens only some
 * looks like help and is none. Later data keys are wrapped for it when they are made.
 *
 * @returns false when it is there already.
 * @throws AppError `conflict` when data keys were added in the meantime.
 */
export async function addRecoveryKey(
  context: RootKeyContext,
  opener: RootKey,
  recipient: RecoveryRecipient,
): Promise<boolean> {
  const { database } = context;
  const stored = await database.read(readDataKeys);
  const opened = await openDataKeys(opener, stored);
  const wraps = await Promise.all(
    stored.map(async key => {
      const found = opened.find(({ id }) => id === key.id);
      if (found === undefined) throw new TypeError(`the data key ${key.id} was not opened`);
      return { id: key.id, wrapped: await recipient.wrap(found.key, storedContext(key)) };
    }),
  );
  const envelope = signingKeyEnvelopeIn(opened, stored);
  if (envelope === undefined) throw new TypeError('an installation without its data keys was opened');
  const { id } = recipient;
  const sealedPublicKey = sealRecipient(envelope, recipient);
  let isNew = false;
  await inTransaction(context, async (trx, now) => {
    isNew = await insertRootKey(
      trx,
      { id, role: 'recovery', backend: 'offline', reference: '', sealedPublicKey },
      now,
    );
    if (!isNew) {
      const known = (await readRootKeys(trx)).find(key => key.id === id);
      const isOurs = (await openRecipient(envelope, id, known?.sealedPublicKey)) !== undefined;
      if (isOurs && opensAll(id, await readDataKeys(trx))) return [];
      throw new AppError(
        'conflict',
        `The recovery key ${id} stands in the database, but was not added whole by "add-recovery". Remove it, then add it again: claviger root-key retire ${id}`,
      );
    }
    for (const wrap of wraps) await insertWrap(trx, wrap.id, id, wrap.wrapped, now);
    if (!opensAll(id, await readDataKeys(trx))) {
      throw new AppError('conflict', 'A data key was added in the meantime. Run the same command again.');
    }
    return [{ event: 'root_key.recovery_added', subject: id }];
  });
  return isNew;
}

/**
 * Removes a root key and everything it wraps: from the commit on it opens nothing here (but what it opens in a backup
 * it goes on opening).
 *
 * @throws AppError `not_found`, `conflict` for the current root key.
 */
export async function retireRootKey(context: RootKeyContext, id: string): Promise<RootKeyRecord> {
  let retired: RootKeyRecord | undefined;
  await inTransaction(context, async trx => {
    retired = (await readRootKeys(trx)).find(key => key.id === id);
    if (retired === undefined) {
      throw new AppError('not_found', `There is no root key ${id}. List them: claviger root-key status`);
    }
    const current = (await readInstallation(trx))?.rootKeyId;
    if (current === id) {
      throw new AppError(
        'conflict',
        `${id} is the current root key. Let another take its place first: claviger root-key rotate --to …`,
      );
    }
    if (current === undefined || !opensAll(current, await readDataKeys(trx))) {
      throw new AppError(
        'conflict',
        'The current root key does not wrap every data key, so no other is given up.',
      );
    }
    await deleteRootKey(trx, id);
    const { role, backend, reference } = retired;
    return [{ event: 'root_key.retired', subject: id, detail: { role, backend, reference } }];
  });
  if (retired === undefined) throw new TypeError('nothing was retired and nobody was told');
  return retired;
}
