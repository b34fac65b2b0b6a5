import { toRfc3339 } from '../clock.js';
import type { Database, Queryable, Transaction } from '../database/connect.js';
import type { AuditEvent } from './events.js';

/** Longest text kept of what a caller sent (user agent, unknown client id): an attacker chooses its length. */
const TEXT_LIMIT = 256;

// Control characters would let a caller forge lines in whatever prints the log.
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/gu;

function bounded(text: string | undefined): string | null {
  if (text === undefined) return null;
  const short = text.length > TEXT_LIMIT ? `${text.slice(0, TEXT_LIMIT)}…` : text;
  return short
    .toWellFormed()
    .replace(CONTROL, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The columns of every row in their order, without those that the database fills in. */
const COLUMNS = [
  'event',
  'outcome',
  'actor',
  'subject',
  'client_id',
  'user_id',
  'credential_id',
  'resource',
  'ip',
  'user_agent',
  'request_id',
  'node_id',
  'detail',
] as const;

/** Only tokens that can be revoked in a list have them, so that other batches do not pay for three more columns. */
const STATUS_COLUMNS = ['status_list', 'status_index', 'grant_key'] as const;
const NUMBERS: ReadonlySet<string> = new Set(['status_list', 'status_index']);

type Row = readonly (string | number | null)[];

function rowOf(event: AuditEvent, nodeId: string): Row {
  const row: (string | number | null)[] = [
    event.event,
    event.outcome,
    bounded(event.actor),
    bounded(event.subject),
    bounded(event.clientId),
    event.userId ?? null,
    event.credentialId ?? null,
    bounded(event.resource),
    event.ip ?? null,
    bounded(event.userAgent),
    event.requestId ?? null,
    nodeId,
    event.detail === undefined ? '{}' : JSON.stringify(event.detail),
  ];
  const { status } = event;
  if (status !== undefined) row.push(status.listId, status.index, status.grantKey ?? null);
  return row;
}

/** Both texts of the statement's columns, made once and not for each batch. */
function columnsFrom(valueAt: (index: number, column: string) => string) {
  const text = (columns: readonly string[]) => ({
    columns: columns.join(', '),
    values: columns.map((column, index) => valueAt(index, column)).join(', '),
  });
  return { plain: text(COLUMNS), withStatus: text([...COLUMNS, ...STATUS_COLUMNS]) };
}

/**
 * All rows travel as one JSON value: one bound parameter and one statement text for any number of rows, which
 * costs a fraction of binding each column.
 */
const SOURCE = {
  sqlite: {
    ...columnsFrom(index => `json_extract(value, '$[${index}]')`),
    from: 'json_each(?)',
    fence: 'select value from change_sequence where id = 1',
  },
  postgres: {
    ...columnsFrom((index, column) =>
      NUMBERS.has(column) ? `(value ->> ${index})::bigint` : `value ->> ${index}`,
    ),
    from: 'json_array_elements(?::json)',
    // Shared lock: a change that is being committed is waited for, and a later one waits for us.
    fence: 'select value from change_sequence where id = 1 for share',
  },
} as const;

function insertSql(database: Database, events: readonly AuditEvent[], at: string, condition: string): string {
  const { plain, withStatus, from } = SOURCE[database.dialect];
  const { columns, values } = events.some(({ status }) => status !== undefined) ? withStatus : plain;
  return `insert into audit_events (${columns}, occurred_at) select ${values}, ${at} from ${from} ${condition}`;
}

function rowsOf(events: readonly AuditEvent[], nodeId: string): string {
  return JSON.stringify(events.map(event => rowOf(event, nodeId)));
}

/** Appends in the transaction of what is being told, so that neither exists without the other. */
export async function appendAuditEvents(
  database: Database,
  trx: Transaction,
  events: readonly AuditEvent[],
  nodeId: string,
  at: number,
): Promise<void> {
  if (events.length === 0) return;
  // "where true": without it SQLite reads the end of a select as the beginning of an upsert clause.
  await trx.raw(insertSql(database, events, '?', 'where true'), [at, rowsOf(events, nodeId)]);
}

/**
 * Appends in one statement of its own, if nothing has changed since `sequence`: the statement is its own
 * transaction, and its condition is the fence.
 *
 * @returns false, with nothing written, when something has changed.
 */
export async function appendAuditEventsIfUnchanged(
  database: Database,
  events: readonly AuditEvent[],
  nodeId: string,
  sequence: number,
): Promise<boolean> {
  const { fence } = SOURCE[database.dialect];
  const condition = 'where (select value from fence) = ? returning id';
  const sql = `with fence as (${fence}) ${insertSql(database, events, `${database.nowSql} + ?`, condition)}`;
  const result = await database.write(on =>
    on.raw(sql, [database.clockOffset, rowsOf(events, nodeId), sequence]),
  );
  const written: unknown[] = Array.isArray(result) ? result : result.rows;
  return written.length > 0;
}

export interface StoredAuditEvent {
  readonly id: number;
  readonly event: string;
  readonly occurred_at: string;
  readonly outcome: string;
  readonly actor: string;
  readonly subject: string | null;
  readonly client_id: string | null;
  readonly user_id: string | null;
  readonly credential_id: string | null;
  readonly resource: string | null;
  readonly ip: string | null;
  readonly user_agent: string | null;
  readonly request_id: string | null;
  readonly node_id: string;
  readonly detail: unknown;
}

/** Newest first. */
export async function listAuditEvents(
  on: Queryable,
  filter: {
    readonly limit: number;
    readonly clientId?: string;
    readonly userId?: string;
    readonly requestId?: string;
    readonly event?: string;
    readonly events?: readonly string[];
    /** Older than this event's number. */
    readonly before?: number;
  },
): Promise<StoredAuditEvent[]> {
  const query = on('audit_events').orderBy('id', 'desc').limit(filter.limit);
  if (filter.clientId !== undefined) query.where({ client_id: filter.clientId });
  if (filter.userId !== undefined) query.where({ user_id: filter.userId });
  if (filter.requestId !== undefined) query.where({ request_id: filter.requestId });
  if (filter.before !== undefined) query.where('id', '<', filter.before);
  if (filter.event !== undefined) query.where({ event: filter.event });
  if (filter.events !== undefined) query.whereIn('event', filter.events);
  const rows = await query;
  return rows.map(({ status_list: _list, status_index: _index, grant_key: _grant, ...row }) => ({
    ...row,
    id: Number(row.id),
    occurred_at: toRfc3339(Number(row.occurred_at)),
    detail: JSON.parse(row.detail),
  }));
}
