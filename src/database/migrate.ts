import type { Knex } from 'knex';
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
/** Any constant: the lock that PostgreSQL nodes wait on while one of them migrates. */
const ADVISORY_LOCK = 4_400_001;

function migrationSource(migrations: readonly Migration[]): Knex.MigrationSource<Migration> {
  return {
    getMigrations: async () => [...migrations],
    getMigrationName: migration => migration.name,
    getMigration: async migration => ({ up: migration.up, down: async () => undefined }),
  };
}

/**
 * Applies what is missing, in one transaction: however many nodes start at once, one migrates and the others
 * wait; a SIGKILL in the middle leaves the database as it was, knex's own lock row included.
 */
export async function migrate(database: Database, migrations: readonly Migration[]): Promise<string[]> {
  if ((await migrationStatus(database, migrations)).pending.length === 0) return [];
  return database.transaction(async (trx: Transaction) => {
    if (database.dialect === 'postgres') await trx.raw('select pg_advisory_xact_lock(?)', [ADVISORY_LOCK]);
    const [, applied] = (await trx.migrate.latest({
      migrationSource: migrationSource(migrations),
      tableName: TABLE,
      disableTransactions: true,
    })) as [number, string[]];
    return applied;
  });
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
