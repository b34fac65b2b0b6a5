import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import knexModule, { type Knex } from 'knex';
import pg from 'pg';
import { AppError } from '../errors.js';
import { asDatabaseFailure, isContention } from './failures.js';
import { openSqlite } from './sqlite.js';

export type Transaction = Knex.Transaction;
/** Whatever a query may run on: the reading pool or an open transaction. */
export type Queryable = Knex;

export interface DatabaseOptions {
  /** `sqlite:PATH` or `postgres://…` (any server that speaks PostgreSQL's protocol). */
  readonly url: string;
  readonly poolSize?: number;
  /** Seconds after which the server gives up on one statement (PostgreSQL). */
  readonly statementTimeoutAfter?: number;
  /** Milliseconds added to the database's clock; tests only. */
  readonly clockOffset?: () => number;
}

/** Longest time that one unit of work is run again because other writers were in the way. */
const CONTENTION_ATTEMPTS = 20;

const NOW = {
  sqlite: "cast(round((julianday('now') - 2440587.5) * 86400000) as integer)",
  postgres: 'floor(extract(epoch from clock_timestamp()) * 1000)::bigint',
} as const;

export class Database {
  readonly dialect: 'sqlite' | 'postgres';
  /** For reads outside a transaction. */
  readonly reader: Knex;
  readonly #writer: Knex;
  readonly #clockOffset: () => number;

  constructor(dialect: 'sqlite' | 'postgres', writer: Knex, reader: Knex, clockOffset: () => number) {
    this.dialect = dialect;
    this.#writer = writer;
    this.reader = reader;
    this.#clockOffset = clockOffset;
  }

  /**
   * Runs `work` in one transaction. It is run again from the start when another writer was in the way, so it must
   * change nothing but the database, and wait for nothing but the database.
   *
   * @throws AppError `database_unavailable`; whatever `work` throws, after a rollback.
   */
  async transaction<T>(work: (trx: Transaction) => Promise<T>): Promise<T> {
    return withoutContention(() => this.#writer.transaction(work));
  }

  /** Runs reads; turns an unreachable database into `database_unavailable`. */
  async read<T>(query: (reader: Queryable) => Promise<T>): Promise<T> {
    try {
      return await query(this.reader);
    } catch (error) {
      throw asDatabaseFailure(error);
    }
  }

  /**
   * Runs one statement that is its own transaction; again when another writer was in the way.
   *
   * @throws AppError `database_unavailable`.
   */
  async write<T>(statement: (on: Queryable) => PromiseLike<T>): Promise<T> {
    return withoutContention(() => statement(this.#writer));
  }

  /**
   * The database's clock, milliseconds since the epoch: the only clock that key policy, expiry and leases go by,
   * because the nodes' clocks disagree.
   */
  async now(on: Queryable = this.reader): Promise<number> {
    return this.read(async () => {
      const row = await on.select({ now: on.raw(NOW[this.dialect]) }).first();
      return this.instantOf(row);
    });
  }

  /** SQL that yields the database's clock beside other columns, to be read through `instantOf`. */
  get nowSql(): string {
    return NOW[this.dialect];
  }

  get clockOffset(): number {
    return this.#clockOffset();
  }

  instantOf(row: { now: unknown } | undefined): number {
    const now = Number(row?.now);
    if (!Number.isSafeInteger(now)) throw new TypeError('the database returned no time');
    return now + this.#clockOffset();
  }

  async close(): Promise<void> {
    await this.#writer.destroy();
    if (this.reader !== this.#writer) await this.reader.destroy();
  }
}

async function withoutContention<T>(work: () => PromiseLike<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isContention(error) || attempt === CONTENTION_ATTEMPTS) throw asDatabaseFailure(error);
    }
  }
}

/** bigint columns hold epoch milliseconds and sequence numbers, all below 2^53. */
function numbersFromBigint(oid: number): unknown {
  if (oid === pg.types.builtins.INT8) return Number;
  return pg.types.getTypeParser(oid, 'text');
}

function openPostgres(options: DatabaseOptions): Knex {
  const statementTimeout = (options.statementTimeoutAfter ?? 10) * 1000;
  return knexModule.knex({
    client: 'pg',
    connection: {
      connectionString: options.url,
      application_name: 'claviger',
      connectionTimeoutMillis: 5_000,
      statement_timeout: statementTimeout,
      // Packets may be dropped silently: without this a dead connection would hold a request for hours.
      query_timeout: statementTimeout + 2_000,
      idle_in_transaction_session_timeout: statementTimeout,
      keepAlive: true,
      types: { getTypeParser: numbersFromBigint },
    } as Knex.PgConnectionConfig,
    acquireConnectionTimeout: 5_000,
    pool: { min: 0, max: options.poolSize ?? 10 },
  });
}

/** For its owner only, before there is anything in it; SQLite gives its other files the mode of this one. */
function createFile(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    closeSync(openSync(file, 'a', 0o600));
  } catch (cause) {
    throw new AppError(
      'database_unavailable',
      `The database file ${file} cannot be opened for writing. Correct its permissions or database.url.`,
      { cause },
    );
  }
}

/**
 * Opens the database. Nothing is created but the folder and the file of a missing SQLite database.
 *
 * @throws AppError `configuration_invalid` for an URL of an unknown kind, `database_unavailable` for a file that
 *   cannot be written.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const clockOffset = options.clockOffset ?? (() => 0);
  if (/^postgres(ql)?:\/\//.test(options.url)) {
    const pool = openPostgres(options);
    return new Database('postgres', pool, pool, clockOffset);
  }
  const path = /^sqlite:(?:\/\/)?(.+)$/.exec(options.url)?.[1];
  if (path === undefined) {
    throw new AppError(
      'configuration_invalid',
      'database.url must be sqlite:PATH or postgres://USER@HOST/NAME. Correct it and start again.',
    );
  }
  const file = resolve(path);
  createFile(file);
  const { writer, reader } = openSqlite(file, Math.max(2, (options.poolSize ?? 4) - 1));
  return new Database('sqlite', writer, reader, clockOffset);
}
