import type { Database } from '../../src/database/connect.js';

/** Every row of every table, as whoever stole a backup has it. */
export type Dump = Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;

async function tablesOf({ dialect, reader }: Database): Promise<string[]> {
  const rows: { name: string }[] =
    dialect === 'sqlite'
      ? await reader('sqlite_master')
          .where({ type: 'table' })
          .whereNot('name', 'like', 'sqlite_%')
          .select('name')
      : await reader('information_schema.tables')
          .where({ table_schema: 'public', table_type: 'BASE TABLE' })
          .select({ name: 'table_name' });
  return rows.map(({ name }) => name).sort();
}

export async function dumpOf(database: Database): Promise<Dump> {
  const dump: Record<string, Record<string, unknown>[]> = {};
  for (const table of await tablesOf(database)) {
    const rows: Record<string, unknown>[] = await database.reader(table).select();
    dump[table] = rows.map(row => ({ ...row })).sort((a, b) => compare(JSON.stringify(a), JSON.stringify(b)));
  }
  return dump;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** Puts the named tables back to what they were: a restored backup under running nodes. */
export async function restoreDump(database: Database, dump: Dump, tables: readonly string[]): Promise<void> {
  await database.transaction(async trx => {
    for (const table of tables) {
      await trx(table).delete();
      for (const row of dump[table] ?? []) await trx(table).insert(row);
    }
  });
}
