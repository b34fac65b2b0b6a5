import { randomBytes } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { appendAuditEvents } from '../audit/audit-log.js';
import type { Actor } from '../audit/events.js';
import { type ExternalPlace, isExternalAlgorithm } from '../config/signing-places.js';
import type { Database, Transaction } from '../database/connect.js';
import { readInstallation } from '../database/identity.js';
import { AppError } from '../errors.js';
import type { SigningAlgorithm } from '../protocol.js';
import { type ExternalKey, ExternalKeyStore } from './external-key-store.js';
import { RELEASE_GRACE_FOR } from './key-policy.js';
import { isBackendFailure, type SigningBackends } from './signing-backends/signing-backends.js';
import type { NewSigningKey } from './signing-key.js';

/** Seconds after which a key that was made and never announced is one that a crash has left behind. */
export const ORPHANED_AFTER = 3600;

export interface ExternalKeyContext {
  readonly database: Database;
  readonly backends: SigningBackends;
  readonly nodeId: string;
  readonly actor: Actor;
}

const store = new ExternalKeyStore();

/** Writes down what it is going to make, makes it, and has it sign once. @throws AppError `backend_…` */
export async function makeExternalKey(
  context: ExternalKeyContext,
  place: ExternalPlace,
  alg: SigningAlgorithm,
): Promise<NewSigningKey> {
  const { database, backends } = context;
  if (!isExternalAlgorithm(alg)) throw new TypeError(`${alg} keys are made here`);
  for (;;) {
    const reference = randomBytes(16).toString('hex');
    const label = await database.transaction(async trx => {
      const now = await database.now(trx);
      if (!(await store.intend(trx, { reference, place, alg }, now))) throw tooMany(place);
      const installation = await readInstallation(trx);
      return `claviger ${installation?.installationId} ${alg} ${new Date(now).toISOString()}`;
    });
    const publicPart = await backends.generate(place, reference, alg, label).catch(async (error: unknown) => {
      // It may stand there all the same: whoever reaches the backend next destroys it, without waiting for an hour.
      await condemn(context, reference);
      throw error;
    });
    const kid = await calculateJwkThumbprint(publicPart, 'sha256');
    const publicJwk = { ...publicPart, kid, alg, use: 'sig' };
    const made = { kid, alg, publicJwk, external: { place, reference } };
    // As for every key: a name that begins with a dash is an option to every command line.
    if (!kid.startsWith('-')) return made;
    await discardExternalKeys(context, [made]);
  }
}

/** In the transaction that announces them: what is claimed is not an orphan, and an orphan cannot be claimed. */
export async function claimExternalKeys(trx: Transaction, keys: readonly NewSigningKey[]): Promise<void> {
  for (const { kid, external } of keys) {
    if (external === undefined || (await store.claim(trx, external.reference, kid))) continue;
    throw new AppError('conflict', 'The new signing key was given up meanwhile; another one will be made.');
  }
}

/** Not wanted after all, as when another node was first. What is not reached now is an orphan later. */
export async function discardExternalKeys(
  context: ExternalKeyContext,
  keys: readonly NewSigningKey[],
): Promise<void> {
  for (const { alg, external } of keys) {
    if (external === undefined) continue;
    await destroyOrphan(context, { ...external, alg, kid: undefined }).catch((error: unknown) => {
      if (!isBackendFailure(error)) throw error;
    });
  }
}

/**
 * Private halves that no key needs any more, on whichever node, as often as it takes. A retained key is left alone as
 * long as a node that has not heard of it yet may still sign with it.
 *
 * @returns how many were destroyed, and why others were not.
 */
export async function destroyExternalKeys(
  context: ExternalKeyContext,
): Promise<{ readonly destroyed: number; readonly failure: AppError | undefined }> {
  const { database } = context;
  const { orphans, spent } = await database.read(async on => {
    const now = await database.now(on);
    return {
      orphans: await store.orphans(on, now - ORPHANED_AFTER * 1000),
      spent: await store.spent(on, now - RELEASE_GRACE_FOR * 1000),
    };
  });
  let destroyed = 0;
  let failure: AppError | undefined;
  for (const key of [...orphans, ...spent]) {
    try {
      const isMine = key.kid === undefined ? await destroyOrphan(context, key) : await destroy(context, key);
      if (isMine) destroyed += 1;
    } catch (error) {
      if (!isBackendFailure(error)) throw error;
      failure = error;
    }
  }
  return { destroyed, failure };
}

/** Condemned first: a node that was paused for hours after it made the key must not announce it when it wakes up. */
async function destroyOrphan(context: ExternalKeyContext, key: ExternalKey): Promise<boolean> {
  return (await condemn(context, key.reference)) && (await destroy(context, key));
}

async function condemn({ database }: ExternalKeyContext, reference: string): Promise<boolean> {
  return database.transaction(async trx => store.condemn(trx, reference, await database.now(trx)));
}

function tooMany(place: ExternalPlace): AppError {
  const sentence = `Keys that were begun in ${place} wait to be destroyed there before another one is made.`;
  return new AppError('backend_unavailable', sentence);
}

async function destroy(context: ExternalKeyContext, key: ExternalKey): Promise<boolean> {
  const { database, backends, nodeId, actor } = context;
  await backends.destroy(key.place, key.reference);
  return database.transaction(async trx => {
    const now = await database.now(trx);
    if (!(await store.markDestroyed(trx, key.reference, now))) return false;
    const detail = {
      alg: key.alg,
      place: key.place,
      reference: key.reference,
      orphan: key.kid === undefined,
    };
    const subject = key.kid ?? key.reference;
    const event = { event: 'signing_key.destroyed', outcome: 'success', actor, subject, detail } as const;
    await appendAuditEvents(database, trx, [event], nodeId, now);
    return true;
  });
}
