import { timingSafeEqual } from 'node:crypto';
import { appendAuditEvents } from '../audit/audit-log.js';
import type { Actor, AuditEvent } from '../audit/events.js';
import type { DataKey } from '../crypto/data-key.js';
import type { KeyOpener, RootKey } from '../crypto/root-key.js';
import type { Database, Transaction } from '../database/connect.js';
import {
  insertRootKey,
  insertWrap,
  lockRootKeys,
  makeCurrent,
  opensAll,
  readDataKeys,
  readRootKeys,
  type StoredDataKey,
} from '../database/data-key-store.js';
import { readInstallation } from '../database/identity.js';
import { openDataKeys, storedContext } from '../database/installation.js';
import { AppError, isAppError } from '../errors.js';

/** Between these the process may die: whoever runs the same again finishes it. */
export type RewrapStep = 'opened' | 'added' | 'wrapped' | 'verified' | 'switched';

export interface RootKeyContext {
  readonly database: Database;
  readonly nodeId: string;
  readonly actor: Actor;
  /** Told after each step; `done` of `total` data keys are wrapped by the new root key. */
  readonly onStep?: (step: RewrapStep, done: number, total: number) => void | Promise<void>;
}

export interface Rewrapped {
  /** The root key that was current before; the same as the new one when there was nothing to do. */
  readonly replaced: string;
  /** Data keys wrapped now and not by an earlier attempt. */
  readonly wrapped: number;
  readonly total: number;
}

/** How often data keys may be added while we wrap them: only the start of a newer program adds any. */
const MOST_ROUNDS = 5;

/**
 * Wraps every data key for `target` too, one transaction each, and then makes it the current root key. The data keys
 * stay what they are and the old wraps stay where they are: running nodes notice nothing, and at every instant the
 * root key that was current opens the database; from the last step on both do, until the old one is retired.
 *
 * @param opener whoever opens the data keys now: the current root key, or a recovery key.
 * @throws AppError `root_key_wrong`, `root_key_unavailable`, `sealed_value_damaged`, `conflict`.
 */
export async function rewrap(
  context: RootKeyContext,
  opener: KeyOpener,
  target: RootKey,
  event: 'root_key.rotated' | 'root_key.recovered',
): Promise<Rewrapped> {
  const { database } = context;
  const found = await database.read(readInstallation);
  if (found === undefined) throw new AppError('not_found', 'The database belongs to no installation yet.');
  const replaced = found.rootKeyId;
  let wrapped = 0;
  for (let round = 1; round <= MOST_ROUNDS; round += 1) {
    const stored = await database.read(readDataKeys);
    const total = stored.length;
    if (replaced === target.id && opensAll(target.id, stored)) return { replaced, wrapped, total };
    const opened = await openDataKeys(opener, stored);
    await context.onStep?.('opened', 0, total);
    await add(context, target);
    await context.onStep?.('added', 0, total);
    let done = 0;
    for (const key of stored) {
      if (await wrapOne(context, key, openedKey(opened, key), target)) wrapped += 1;
      done += 1;
      await context.onStep?.('wrapped', done, total);
    }
    const now = await database.read(readDataKeys);
    const again = now.filter(({ id }) => opened.some(key => key.id === id));
    assertSame(opened, await openedAgain(target, again));
    await context.onStep?.('verified', total, total);
    if (await switchTo(context, target, opener, replaced, event)) {
      await context.onStep?.('switched', total, total);
      return { replaced, wrapped, total };
    }
  }
  throw new AppError('conflict', 'Data keys were added while they were wrapped. Run the same command again.');
}

function openedKey(opened: readonly DataKey[], { id }: StoredDataKey): DataKey {
  const found = opened.find(key => key.id === id);
  if (found === undefined) throw new TypeError(`the data key ${id} was not opened`);
  return found;
}

async function add(context: RootKeyContext, { id, backend, reference }: RootKey): Promise<void> {
  await inTransaction(context, async (trx, now) => {
    const known = (await readRootKeys(trx)).find(key => key.id === id);
    if (known?.role === 'recovery') {
      throw new AppError('conflict', 'This is a recovery key; it cannot be a main root key.');
    }
    const isNew = await insertRootKey(
      trx,
      { id, backend, reference, role: 'main', sealedPublicKey: undefined },
      now,
    );
    return isNew ? [{ event: 'root_key.added', subject: id, detail: { backend, reference } }] : [];
  });
}

/** @returns false when an earlier attempt has done it. */
async function wrapOne(
  context: RootKeyContext,
  { id, purpose, wraps }: StoredDataKey,
  { key }: DataKey,
  target: RootKey,
): Promise<boolean> {
  if (wraps.has(target.id)) return false;
  const wrapped = await target.wrap(key, storedContext({ id, purpose }));
  let isOurs = false;
  await inTransaction(context, async (trx, now) => {
    if ((await readRootKeys(trx)).every(known => known.id !== target.id)) {
      throw new AppError(
        'conflict',
        `${target.id} was retired while it took over. Run the same command again.`,
      );
    }
    isOurs = await insertWrap(trx, id, target.id, wrapped, now);
    const detail = { purpose, root_key_id: target.id };
    return isOurs ? [{ event: 'data_key.wrapped', subject: id, detail }] : [];
  });
  return isOurs;
}

/** An earlier attempt may have been made with another key that had the same name. */
async function openedAgain(target: RootKey, stored: readonly StoredDataKey[]): Promise<readonly DataKey[]> {
  try {
    return await openDataKeys(target, stored);
  } catch (cause) {
    if (!isAppError(cause) || cause.code === 'root_key_unavailable') throw cause;
    throw new AppError(
      'conflict',
      `The root key ${target.id} does not open what was wrapped by it before. Nothing was switched; remove the attempt with "claviger root-key retire ${target.id}", then begin again.`,
      { cause },
    );
  }
}

/** What is read back is what will be there on the day it is needed. */
function assertSame(before: readonly DataKey[], after: readonly DataKey[]): void {
  for (const { id, key } of before) {
    const same = after.find(other => other.id === id);
    if (same === undefined || same.key.length !== key.length || !timingSafeEqual(same.key, key)) {
      throw new AppError(
        'sealed_value_damaged',
        `The data key ${id} comes out of the new root key as something else. Nothing was switched; remove the attempt with "claviger root-key retire", then begin again.`,
      );
    }
  }
}

/** @returns false when a data key has been added in the meantime that the target does not wrap yet. */
async function switchTo(
  context: RootKeyContext,
  target: RootKey,
  opener: KeyOpener,
  replaced: string,
  event: 'root_key.rotated' | 'root_key.recovered',
): Promise<boolean> {
  let isSwitched = false;
  await inTransaction(context, async trx => {
    isSwitched = false;
    const current = (await readInstallation(trx))?.rootKeyId;
    if (current !== replaced && current !== target.id) {
      throw new AppError(
        'conflict',
        `Another change of root key has made ${current} the current one. Look at: claviger root-key status`,
      );
    }
    if (!opensAll(target.id, await readDataKeys(trx))) return [];
    isSwitched = true;
    if (current === target.id) return [];
    await makeCurrent(trx, target.id);
    return [{ event, subject: target.id, detail: { replaces: replaced, opened_by: opener.id } }];
  });
  return isSwitched;
}

type Told = Pick<AuditEvent, 'event' | 'subject' | 'detail'>;

/** The change and the events that tell of it, while nobody else changes root keys or data keys. */
export async function inTransaction(
  { database, nodeId, actor }: RootKeyContext,
  work: (trx: Transaction, now: number) => Promise<readonly Told[]>,
): Promise<void> {
  await database.transaction(async trx => {
    await lockRootKeys(trx);
    const now = await database.now(trx);
    const events = (await work(trx, now)).map(told => ({ ...told, outcome: 'success' as const, actor }));
    await appendAuditEvents(database, trx, events, nodeId, now);
  });
}
