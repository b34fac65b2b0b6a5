import { randomBytes } from 'node:crypto';
import { migrations } from '../../db/migrations/all.js';
import { SecretHasher } from '../../src/crypto/secret-hash.js';
import { type Database, openDatabase } from '../../src/database/connect.js';
import { migrate } from '../../src/database/migrate.js';
import { type AppError, isAppError } from '../../src/errors.js';
import type { FreshDatabase } from '../support/postgres.js';

export interface Opened {
  readonly database: Database;
  readonly nodeId: string;
  readonly hasher: SecretHasher;
  /** Another node on the same database: its own connections, the same pepper. */
  another(): Opened;
  /** Moves the database's clock, for all nodes. */
  moveBy(seconds: number): void;
  close(): Promise<void>;
}

/** Opens what `fresh()` made, migrated. */
export async function openedDatabase(fresh: () => Promise<FreshDatabase>): Promise<Opened> {
  const { url } = await fresh();
  const hasher = new SecretHasher({ id: 'pepper-1', key: randomBytes(32) });
  const databases: Database[] = [];
  let offset = 0;
  const open = (): Database => {
    const database = openDatabase({ url, clockOffset: () => offset });
    databases.push(database);
    return database;
  };
  const node = (database: Database): Opened => ({
    database,
    hasher,
    nodeId: `node-${databases.length}`,
    another: () => node(open()),
    moveBy: seconds => {
      offset += seconds * 1000;
    },
    close: async () => {
      for (const each of databases.splice(0)) await each.close();
    },
  });
  const first = node(open());
  await migrate(first.database, migrations);
  return first;
}

/** The refusal that `work` ends in; fails when it succeeds or breaks. */
export async function refusalOf(work: Promise<unknown> | (() => unknown)): Promise<AppError> {
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (error) {
    if (isAppError(error)) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

/** Changes as other nodes will read them, oldest first. */
export async function changesOf(database: Database): Promise<string[]> {
  const rows = await database.reader('changes').orderBy('sequence');
  return rows.map(row => `${row.kind} ${row.subject_id}`);
}

export async function auditedEvents(database: Database): Promise<string[]> {
  const rows = await database.reader('audit_events').orderBy('id');
  return rows.map(row => `${row.event} ${row.subject}`);
}
