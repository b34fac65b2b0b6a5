import { createRequire } from 'node:module';
import knexModule, { type Knex } from 'knex';
import pg from 'pg';
import { isSilent } from './failures.js';

export interface PostgresOptions {
  readonly url: string;
  readonly poolSize: number;
  /** Seconds. */
  readonly statementTimeoutAfter: number;
}

interface Connection {
  __knex__disposed?: unknown;
  readonly connection?: { readonly stream?: { destroy(): void } };
}
type ClientClass = new (
  config: Knex.Config,
) => Knex.Client & {
  _query(connection: Connection, query: object): Promise<unknown>;
};

const require = createRequire(import.meta.url);
const PgClient = require('knex/lib/dialects/postgres/index.js') as ClientClass;

/**
 * When packets are dropped, a statement ends by our own time limit and its connection looks as good as before; knex
 * would hand it out again and again. It is marked as lost here, and its socket ended.
 */
class LossAwareClient extends PgClient {
  override async _query(connection: Connection, query: object): Promise<unknown> {
    try {
      return await super._query(connection, query);
    } catch (error) {
      if (isSilent(error)) {
        connection.__knex__disposed = error;
        connection.connection?.stream?.destroy();
      }
      throw error;
    }
  }
}

/** bigint columns hold epoch milliseconds and sequence numbers, all below 2^53. */
function numbersFromBigint(oid: number): unknown {
  if (oid === pg.types.builtins.INT8) return Number;
  return pg.types.getTypeParser(oid, 'text');
}

export function openPostgres(options: PostgresOptions, log: Knex.Logger): Knex {
  const statementTimeout = options.statementTimeoutAfter * 1000;
  return knexModule.knex({
    client: LossAwareClient as unknown as typeof Knex.Client,
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
    // A failed statement is told without its text: it holds what it was to write.
    compileSqlOnError: false,
    log,
    pool: { min: 0, max: options.poolSize },
  });
}
