import type { Database } from '../../src/database/connect.js';

/** Every table of the program, knex's own included. */
async function tablesOf(database: Database): Promise<string[]> {
  const on = database.reader;
  const rows: { name: string }[] =
    database.dialect === 'sqlite'
      ? await on('sqlite_master').where({ type: 'table' }).whereNot('name', 'like', 'sqlite_%').select('name')
      : await on('information_schema.tables')
          .where({ table_schema: 'public' })
          .select({ name: 'table_name' });
  return rows.map(({ name }) => name).sort();
}

/** Rows per table, without the audit and without what time alone writes. */
export async function rowCounts(database: Database): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of await tablesOf(database)) {
    if (table === 'audit_events' || table === 'nodes' || table === 'job_leases') continue;
    const row = await database.reader(table).count({ count: '*' }).first();
    counts[table] = Number(row?.count);
  }
  return counts;
}

/** Every cell of every table as text. */
export async function dumpOf(database: Database): Promise<string> {
  const parts: string[] = [];
  for (const table of await tablesOf(database)) {
    parts.push(table, JSON.stringify(await database.reader(table)));
  }
  return parts.join('\n');
}

export interface AuditRow {
  readonly id: number;
  readonly event: string;
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
  readonly detail: Record<string, unknown>;
}

/** Audit rows in the order of their ids, after the one with id `after`. */
export async function auditRows(database: Database, after = 0): Promise<AuditRow[]> {
  const rows = await database.reader('audit_events').where('id', '>', after).orderBy('id');
  return rows.map(row => ({ ...row, id: Number(row.id), detail: JSON.parse(row.detail) }));
}

export async function lastAuditId(database: Database): Promise<number> {
  const row = await database.reader('audit_events').max({ id: 'id' }).first();
  return Number(row?.id ?? 0);
}
