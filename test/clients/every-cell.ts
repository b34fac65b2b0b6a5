import type { Database } from '../../src/database/connect.js';

/** What a dump of the database holds: every value of every row. */
export async function everyCell(database: Database): Promise<string[]> {
  const { reader, dialect } = database;
  const tables: { name: string }[] =
    dialect === 'sqlite'
      ? await reader('sqlite_master').where({ type: 'table' }).select('name')
      : await reader('pg_tables').where({ schemaname: 'public' }).select({ name: 'tablename' });
  const cells: string[] = [];
  for (const { name } of tables) {
    for (const row of await reader(name)) cells.push(...Object.values(row).map(String));
  }
  return cells.sort();
}
