import { toRfc3339 } from '../clock.js';
import type { Queryable, Transaction } from '../database/connect.js';
import type { AuditEvent } from './events.js';

/** Longest text kept of what a caller sent (user agent, unknown client id): an attacker chooses its length. */
const TEXT_LIMIT = 256;

// Control characters would let a caller forge lines in whatever prints the log.
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/gu;

function bounded(text: string | undefined): string | null {
  if (text === undefined) return null;
  const short = text.length > TEXT_LIMIT ? `${text.slice(0, TEXT_LIMIT)}…` : text;
  return short.replace(CONTROL, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function rowOf(event: AuditEvent, nodeId: string, at: number): Record<string, unknown> {
  return {
    event: event.event,
    occurred_at: at,
    outcome: event.outcome,
    actor: bounded(event.actor),
    subject: bounded(event.subject),
    client_id: bounded(event.clientId),
    credential_id: event.credentialId ?? null,
    resource: bounded(event.resource),
    ip: event.ip ?? null,
    user_agent: bounded(event.userAgent),
    request_id: event.requestId ?? null,
    node_id: nodeId,
    detail: event.detail === undefined ? '{}' : JSON.stringify(event.detail),
  };
}

/** SQLite binds at most 32 766 values in one statement. */
const ROWS_PER_INSERT = 1000;

/** Appends in the transaction of what is being told, so that neither exists without the other. */
export async function appendAuditEvents(
  trx: Transaction,
  events: readonly AuditEvent[],
  nodeId: string,
  at: number,
): Promise<void> {
  for (let start = 0; start < events.length; start += ROWS_PER_INSERT) {
    const rows = events.slice(start, start + ROWS_PER_INSERT).map(event => rowOf(event, nodeId, at));
    await trx('audit_events').insert(rows);
  }
}

export interface StoredAuditEvent {
  readonly id: number;
  readonly event: string;
  readonly occurred_at: string;
  readonly outcome: string;
  readonly actor: string;
  readonly subject: string | null;
  readonly client_id: string | null;
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
  filter: { readonly limit: number; readonly clientId?: string; readonly event?: string },
): Promise<StoredAuditEvent[]> {
  const query = on('audit_events').orderBy('id', 'desc').limit(filter.limit);
  if (filter.clientId !== undefined) query.where({ client_id: filter.clientId });
  if (filter.event !== undefined) query.where({ event: filter.event });
  const rows = await query;
  return rows.map(row => ({
    ...row,
    id: Number(row.id),
    occurred_at: toRfc3339(Number(row.occurred_at)),
    detail: JSON.parse(row.detail),
  }));
}
