import { migrations } from '../../db/migrations/all.js';
import type { Database } from './connect.js';
import { type MigrationStatus, migrate, migrationStatus } from './migrate.js';

/** @returns names of the migrations that were applied now. */
export function migrateSchema(database: Database): Promise<string[]> {
  return migrate(database, migrations);
}

export function schemaStatus(database: Database): Promise<MigrationStatus> {
  return migrationStatus(database, migrations);
}
