import { randomUUID } from 'node:crypto';
import { AppError } from '../errors.js';
import type { Queryable, Transaction } from './connect.js';
import { opensAll, readDataKeys, readRootKeys } from './data-key-store.js';
import { hasTable } from './migrate.js';

/** Who this database belongs to. Kept in it, so that two environments can never be mixed up by a wrong URL. */
export interface Installation {
  readonly installationId: string;
  readonly issuer: string;
  readonly environment: string;
  /** The current root key: the one that new data keys are wrapped by. */
  readonly rootKeyId: string;
  /** Every root key that opens the database: two while one takes over from the other. */
  readonly openingRootKeyIds: readonly string[];
}

export interface Expected {
  readonly issuer: string;
  readonly environment: string;
  readonly rootKeyId: string;
}

/** What the database remembers, or undefined when it is new. Never writes. */
export async function readInstallation(on: Queryable): Promise<Installation | undefined> {
  if (!(await hasTable(on, 'installation'))) return undefined;
  const row = await on('installation').where({ id: 1 }).first();
  if (row === undefined) return undefined;
  return {
    installationId: row.installation_id,
    issuer: row.issuer,
    environment: row.environment,
    rootKeyId: row.root_key_id,
    openingRootKeyIds: await openingRootKeys(on, row.root_key_id),
  };
}

async function openingRootKeys(on: Queryable, current: string): Promise<string[]> {
  const dataKeys = await readDataKeys(on);
  const others = (await readRootKeys(on)).filter(
    ({ id, role }) => id !== current && role === 'main' && opensAll(id, dataKeys),
  );
  return [current, ...others.map(({ id }) => id)];
}

function isLoopback(issuer: string): boolean {
  return /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(\/|$)/.test(issuer);
}

/** A development server moved by PORT keeps its database; every other difference is a mistake of somebody's. */
export function isMovedDevelopment(found: Installation, expected: Expected): boolean {
  return (
    found.environment === 'development' &&
    expected.environment === 'development' &&
    isLoopback(found.issuer) &&
    isLoopback(expected.issuer)
  );
}

/**
 * Refuses a database that belongs to another issuer, environment or root key, before anything is written.
 *
 * @throws AppError `database_foreign`, `root_key_wrong`.
 */
export function assertInstallation(found: Installation, expected: Expected): void {
  if (found.environment !== expected.environment) {
    throw new AppError(
      'database_foreign',
      `This database belongs to the environment "${found.environment}", but the configuration says "${expected.environment}". Point database.url at the right database, or correct environment.`,
    );
  }
  if (found.issuer !== expected.issuer && !isMovedDevelopment(found, expected)) {
    throw new AppError(
      'database_foreign',
      `This database belongs to the issuer ${found.issuer}, but the configuration says ${expected.issuer}. Point database.url at the right database, correct issuer, or, if the issuer really moves, run: claviger database adopt --issuer ${expected.issuer}`,
    );
  }
  if (!found.openingRootKeyIds.includes(expected.rootKeyId)) {
    throw new AppError(
      'root_key_wrong',
      `This database was sealed under the root key ${found.openingRootKeyIds.join(' or ')}, but rootKey is the key ${expected.rootKeyId}. Provide the right root key; nothing was changed. If it is lost, a recovery key brings in another: docs/root-key.md.`,
    );
  }
}

export async function writeInstallation(trx: Transaction, expected: Expected, now: number): Promise<void> {
  await trx('installation').insert({
    id: 1,
    installation_id: randomUUID(),
    issuer: expected.issuer,
    environment: expected.environment,
    root_key_id: expected.rootKeyId,
    created_at: now,
  });
}

export async function moveInstallation(trx: Transaction, issuer: string): Promise<void> {
  await trx('installation').where({ id: 1 }).update({ issuer });
}
