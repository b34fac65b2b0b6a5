import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Knex } from 'knex';
import { AppError } from '../errors.js';
import { asDatabaseFailure, isContention, isLocked } from './failures.js';
import { openPostgres } from './postgres.js';
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
  /** Where the driver's complaints go; default: nowhere. */
  readonly log?: DatabaseLog;
}

export interface DatabaseLog {
  warn(fields: object, message: string): void;
}

/** Otherwise knex writes to standard error by itself, past every redaction. */
function knexLog(log: DatabaseLog | undefined): Knex.Logger {
  const tell = (message: unknown): void =>
    log?.warn({ event: 'database.driver', detail: String(message) }, 'the database driver complains');
  return { warn: tell, error: tell, deprecate: () => undefined, debug: () => undefined };
}

/** How often work is run again because other writers were in the way. */
const CONTENTION_ATTEMPTS = 20;
/** Where each attempt has already waited for the lock, a few more would only keep the caller waiting. */
const LOCKED_ATTEMPTS = 2;

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

  /**
   * Runs reads, again when somebody else had the file; turns an unreachable database into `database_unavailable`.
   */
  async read<T>(query: (reader: Queryable) => Promise<T>): Promise<T> {
    return withoutContention(() => query(this.reader));
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
      const most = isLocked(error) ? LOCKED_ATTEMPTS : CONTENTION_ATTEMPTS;
      if (!isContention(error) || attempt >= most) throw asDatabaseFailure(error);
    }
  }
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
  const log = knexLog(options.log);
  if (/^postgres(ql)?:\/\//.test(options.url)) {
    const { url, poolSize = 10, statementTimeoutAfter = 10 } = options;
    const pool = openPostgres({ url, poolSize, statementTimeoutAfter }, log);
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
  const { writer, reader } = openSqlite(file, Math.max(2, (options.poolSize ?? 4) - 1), log);
  return new Database('sqlite', writer, reader, clockOffset);
}
