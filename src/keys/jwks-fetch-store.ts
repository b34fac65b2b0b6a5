import { createHash } from 'node:crypto';
import type { Queryable, Transaction } from '../database/connect.js';
import type { Fetcher, JwksFetch } from './jwks-fetch.js';

interface Row {
  readonly network: string;
  readonly user_agent: string;
  readonly client_id: string | null;
  readonly listed_as: string | null;
  readonly ring_version: number;
  readonly first_seen_at: number;
  readonly last_seen_at: number;
  readonly fetches: number;
}

/** Rows that stay, the latest first. Each class has its own number, so that inventing names in one evicts no other. */
export const MOST_FETCHERS = { anonymous: 2000, listed: 5000, ofOneClient: 20, ofAllClients: 5000 } as const;

const COLUMNS = 9;

/**
 * The same on every node, whoever of them answered. Arrays and not text with separators: nothing that a fetcher calls
 * itself can make it another one.
 */
function fetcherId({ network, userAgent, clientId, listedAs }: Fetcher): string {
  const named = JSON.stringify([network, userAgent, clientId ?? null, listedAs ?? null]);
  return createHash('sha256').update(named).digest('base64url').slice(0, 27);
}

export class JwksFetchStore {
  /** One statement. Versions and instants move forward only: nodes report in any order. */
  async record(on: Queryable, fetches: readonly JwksFetch[]): Promise<void> {
    if (fetches.length === 0) return;
    // In one order on every node, so that two of them never wait for each other's rows.
    const rows = fetches
      .map(fetch => [fetcherId(fetch), fetch] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, each]) => [
        ...[id, each.network, each.userAgent, each.clientId ?? null, each.listedAs ?? null],
        ...[each.ringVersion, each.firstSeenAt, each.lastSeenAt, each.fetches],
      ]);
    const values = rows.map(() => `(${Array<string>(COLUMNS).fill('?').join(', ')})`).join(', ');
    const later = (column: string) =>
      `${column} = case when excluded.${column} > jwks_fetches.${column} then excluded.${column} else jwks_fetches.${column} end`;
    await on.raw(
      `insert into jwks_fetches
        (fetcher_id, network, user_agent, client_id, listed_as, ring_version, first_seen_at, last_seen_at, fetches)
        values ${values}
        on conflict (fetcher_id) do update set ${later('ring_version')}, ${later('last_seen_at')},
          fetches = jwks_fetches.fetches + excluded.fetches`,
      rows.flat(),
    );
  }

  /** The latest first, everyone known before anyone anonymous. At most 12 000 rows; see {@link MOST_FETCHERS}. */
  async list(on: Queryable, since: number, { isAnonymousWanted = true } = {}): Promise<JwksFetch[]> {
    const fetches = on('jwks_fetches').where('last_seen_at', '>=', since);
    if (!isAnonymousWanted) {
      fetches.where(row => row.whereNotNull('client_id').orWhereNotNull('listed_as'));
    }
    const rows: Row[] = await fetches.orderByRaw(
      'case when client_id is null and listed_as is null then 1 else 0 end, last_seen_at desc, fetcher_id',
    );
    return rows.map(fetchOf);
  }

  /** Deletes what was last seen before `before`, and of each class what is more than it may have. */
  async sweep(trx: Transaction, before: number): Promise<number> {
    const old = await trx('jwks_fetches').where('last_seen_at', '<', before).delete();
    const { anonymous, listed, ofOneClient, ofAllClients } = MOST_FETCHERS;
    const place = (partition: string) =>
      `row_number() over (partition by ${partition} order by last_seen_at desc, fetcher_id)`;
    const standing =
      "case when client_id is not null then 'client' when listed_as is not null then 'listed' else 'anonymous' end";
    const ranked = trx('jwks_fetches').select(
      'fetcher_id',
      trx.raw(`${standing} as standing`),
      trx.raw(`${place(standing)} as place`),
      trx.raw(`${place('client_id')} as client_place`),
    );
    const excess = trx
      .from(ranked.as('ranked'))
      .select('fetcher_id')
      .where(row => row.where('standing', 'anonymous').andWhere('place', '>', anonymous))
      .orWhere(row => row.where('standing', 'listed').andWhere('place', '>', listed))
      .orWhere(row => row.where('standing', 'client').andWhere('place', '>', ofAllClients))
      .orWhere(row => row.where('standing', 'client').andWhere('client_place', '>', ofOneClient));
    return old + (await trx('jwks_fetches').whereIn('fetcher_id', excess).delete());
  }
}

function fetchOf(row: Row): JwksFetch {
  return {
    network: row.network,
    userAgent: row.user_agent,
    clientId: row.client_id ?? undefined,
    listedAs: row.listed_as ?? undefined,
    ringVersion: Number(row.ring_version),
    firstSeenAt: Number(row.first_seen_at),
    lastSeenAt: Number(row.last_seen_at),
    fetches: Number(row.fetches),
  };
}
