import type { Knex } from 'knex';
import { AppError } from '../errors.js';
import type { Database, Queryable, Transaction } from './connect.js';

export interface Migration {
  /** `NNNN-what`, without a file extension: the same name from source and from the built package. */
  readonly name: string;
  up(trx: Knex): Promise<void>;
}

export interface MigrationStatus {
  readonly applied: string[];
  readonly pending: string[];
}

const TABLE = 'schema_migrations';
/** Any constant: the lock that the one PostgreSQL node holds that migrates. */
const ADVISORY_LOCK = 4_400_001;

function migrationSource(migrations: readonly Migration[]): Knex.MigrationSource<Migration> {
  return {
    getMigrations: async () => [...migrations],
    getMigrationName: migration => migration.name,
    getMigration: async migration => ({ up: migration.up, down: async () => undefined }),
  };
}

/** Milliseconds between two looks whether another node is still migrating, and how many looks there are (10 min). */
const LOOK_EVERY = 200;
const LOOKS = 3000;

/**
 * Applies what is missing, in one transaction: however many nodes start at once, one migrates and the others
 * wait; a SIGKILL in the middle leaves the database as it was, knex's own lock row included.
 *
 * @throws AppError `database_unavailable` when another node has migrated for 10 minutes.
 */
export async function migrate(database: Database, migrations: readonly Migration[]): Promise<string[]> {
  if ((await migrationStatus(database, migrations)).pending.length === 0) return [];
  for (let look = 0; look < LOOKS; look += 1) {
    const applied = await database.transaction(async trx => {
      if (!(await isOursToMigrate(database, trx))) return undefined;
      const [, names] = (await trx.migrate.latest({
        migrationSource: migrationSource(migrations),
        tableName: TABLE,
        disableTransactions: true,
      })) as [number, string[]];
      return names;
    });
    if (applied !== undefined) return applied;
    // Waiting inside the database would be cut off by the limit on statements long before a slow migration is done.
    await new Promise(resolve => setTimeout(resolve, LOOK_EVERY));
  }
  throw new AppError(
    'database_unavailable',
    'Another node has been migrating the database for 10 minutes. Look at its log, then start this one again.',
  );
}

/** An SQLite transaction has the database to itself anyway. */
async function isOursToMigrate(database: Database, trx: Transaction): Promise<boolean> {
  if (database.dialect === 'sqlite') return true;
  const { rows } = await trx.raw('select pg_try_advisory_xact_lock(?) as ours', [ADVISORY_LOCK]);
  return rows[0]?.ours === true;
}

/** Names of tables are read without creating any, so that a status never writes. */
export async function hasTable(on: Queryable, table: string): Promise<boolean> {
  return on.schema.hasTable(table);
}

export async function migrationStatus(
  database: Database,
  migrations: readonly Migration[],
): Promise<MigrationStatus> {
  return database.read(async on => {
    const applied: string[] = (await hasTable(on, TABLE))
      ? (await on(TABLE).select('name').orderBy('id')).map(row => String(row.name))
      : [];
    const known = new Set(applied);
    return { applied, pending: migrations.map(({ name }) => name).filter(name => !known.has(name)) };
  });
}
