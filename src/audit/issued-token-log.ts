import type { Database, Queryable } from '../database/connect.js';

export interface ClientTokens {
  readonly clientId: string;
  readonly tokens: number;
  /** Epoch milliseconds: when the last of them expires. */
  readonly lastExpiresAt: number;
}

/** Tokens that a key has signed and that have not expired. Revoked ones are counted too: "at most". */
export interface AliveTokens {
  readonly tokens: number;
  readonly clients: number;
  readonly lastExpiresAt: number | undefined;
  /** The clients with the most. */
  readonly top: readonly ClientTokens[];
}

export interface AliveQuery {
  readonly kid: string;
  readonly now: number;
  /** Seconds: no access token lives longer. */
  readonly longestTokenFor: number;
  /** Seconds. */
  readonly idTokenFor: number;
  readonly mostClients: number;
}

const FIELD = {
  sqlite: (name: string) => `json_extract(detail, '$.${name}')`,
  postgres: (name: string) => `(detail::json ->> '${name}')`,
} as const;

/** Counted exactly, over the rows of one longest token life, found by the index on `occurred_at`. */
export async function tokensAliveOf(database: Database, query: AliveQuery): Promise<AliveTokens> {
  const { kid, now, longestTokenFor, idTokenFor, mostClients } = query;
  const field = FIELD[database.dialect];
  const lives = (name: string, fallback: number) =>
    `(occurred_at + coalesce(cast(${field(name)} as bigint), ${fallback}) * 1000)`;
  const accessEnds = `case when ${field('kid')} = :kid then ${lives('expires_in', longestTokenFor)} else 0 end`;
  const idEnds = `case when ${field('id_token_kid')} = :kid then occurred_at + ${idTokenFor} * 1000 else 0 end`;
  // One statement, one moment: each client with its number, and the sums over all of them beside it.
  const sql = `with issued as (
      select client_id, ${accessEnds} as access_ends, ${idEnds} as id_ends
      from audit_events
      where event = 'token.issued' and outcome = 'success' and occurred_at > :since
    ), counted as (
      select coalesce(client_id, '') as client_id,
        sum(case when access_ends > :now then 1 else 0 end + case when id_ends > :now then 1 else 0 end) as tokens,
        max(case when access_ends > id_ends then access_ends else id_ends end) as last_ends
      from issued where access_ends > :now or id_ends > :now
      group by coalesce(client_id, '')
    )
    select client_id, tokens, last_ends, sum(tokens) over () as all_tokens, count(*) over () as all_clients,
      max(last_ends) over () as all_end
    from counted order by tokens desc, client_id limit :most`;
  const since = now - Math.max(longestTokenFor, idTokenFor) * 1000;
  const rows = await database.read(on => rowsOf(on, sql, { kid, now, since, most: mostClients }));
  const [first] = rows;
  return {
    tokens: Number(first?.all_tokens ?? 0),
    clients: Number(first?.all_clients ?? 0),
    lastExpiresAt: first === undefined ? undefined : Number(first.all_end),
    top: rows.map(row => ({
      clientId: String(row.client_id),
      tokens: Number(row.tokens),
      lastExpiresAt: Number(row.last_ends),
    })),
  };
}

async function rowsOf(
  on: Queryable,
  sql: string,
  bindings: Readonly<Record<string, string | number>>,
): Promise<Record<string, unknown>[]> {
  const result: unknown = await on.raw(sql, bindings);
  // SQLite answers with the rows, PostgreSQL with an object that holds them.
  return Array.isArray(result) ? result : (result as { rows: Record<string, unknown>[] }).rows;
}
