import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FreshDatabase, freshDatabase } from './postgres.js';

export type DatabaseName = 'SQLite' | 'PostgreSQL';

/** A new SQLite file in a folder of its own, so that the `-wal` and `-shm` files go with it. */
export async function freshSqlite(): Promise<FreshDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-sqlite-'));
  return {
    url: `sqlite:${join(folder, 'claviger.sqlite')}`,
    drop: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

/**
 * Declares the same tests for both databases. `fresh()` makes an empty database; what a test does not drop itself is
 * dropped after the block's last test, after the block's own `after` hooks.
 */
export function forEachDatabase(
  body: (name: DatabaseName, fresh: () => Promise<FreshDatabase>) => void,
): void {
  const makers: ReadonlyArray<readonly [DatabaseName, () => Promise<FreshDatabase>]> = [
    ['SQLite', freshSqlite],
    ['PostgreSQL', freshDatabase],
  ];
  for (const [name, make] of makers) {
    describe(`on ${name}`, () => {
      const made: FreshDatabase[] = [];
      body(name, async () => {
        const database = await make();
        made.push(database);
        return database;
      });
      after(async () => {
        for (const database of made.splice(0)) await database.drop();
      });
    });
  }
}
