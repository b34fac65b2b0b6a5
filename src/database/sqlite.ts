import { createRequire } from 'node:module';
import knexModule, { type Knex } from 'knex';

/**
 * knex opens an SQLite transaction with a plain BEGIN. A transaction that reads before it writes then takes the
 * write lock late and fails with SQLITE_BUSY at once, whatever the busy timeout, as soon as another process wrote
 * in between. BEGIN IMMEDIATE takes the lock first and waits for it. knex has no setting for this, so its two
 * classes are subclassed here and nowhere else.
 */
type Connection = unknown;
type TransactionClass = new (
  ...parts: unknown[]
) => Knex.Transaction & { query(connection: Connection, sql: string): Promise<unknown> };
type ClientClass = typeof Knex.Client;

const require = createRequire(import.meta.url);
const SqliteClient = require('knex/lib/dialects/sqlite3/index.js') as ClientClass;
const PlainTransaction =
  require('knex/lib/dialects/sqlite3/execution/sqlite-transaction.js') as TransactionClass;

class ImmediateTransaction extends PlainTransaction {
  begin(connection: Connection): Promise<unknown> {
    return this.query(connection, 'BEGIN IMMEDIATE;');
  }
}

class ImmediateClient extends SqliteClient {
  override transaction(...parts: unknown[]): Knex.Transaction {
    return new ImmediateTransaction(this, ...parts);
  }
}

interface SqliteConnection {
  exec(sql: string, done: (error: Error | null) => void): void;
}

// busy_timeout first: turning to WAL needs the file, too, and must wait for whoever has it, as everything after it does.
// synchronous=FULL: an acknowledged write is on the disk, so that a power cut loses no audit row.
const PRAGMAS =
  'PRAGMA busy_timeout = 2500; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;';

function open(filename: string, log: Knex.Logger, connections: { min: number; max: number }): Knex {
  return knexModule.knex({
    client: ImmediateClient,
    connection: { filename },
    useNullAsDefault: true,
    acquireConnectionTimeout: 5_000,
    compileSqlOnError: false,
    log,
    pool: {
      ...connections,
      afterCreate(connection: SqliteConnection, done: (error: Error | null, connection: unknown) => void) {
        connection.exec(PRAGMAS, error => done(error, connection));
      },
    },
  });
}

/** One writer, because SQLite has one write lock: waiting in our pool is cheaper than waiting for the file. */
export function openSqlite(
  filename: string,
  readers: number,
  log: Knex.Logger,
): { writer: Knex; reader: Knex } {
  return {
    writer: open(filename, log, { min: 1, max: 1 }),
    reader: open(filename, log, { min: 0, max: readers }),
  };
}
