import type { Knex } from 'knex';
import type { Migration } from '../../src/database/migrate.js';

/** What people were told, and what nodes remember of a key ring that a restored backup does not know. */
export const alerts: Migration = {
  name: '0005-alerts',
  async up(trx: Knex): Promise<void> {
    await trx.schema.createTable('alerts', table => {
      table.text('signal').notNullable();
      table.text('subject').notNullable();
      table.text('severity').notNullable();
      table.bigInteger('raised_at').notNullable().index();
      table.primary(['signal', 'subject']);
    });
    await trx.schema.createTable('remembered_rings', table => {
      table.text('node_id').primary();
      table.bigInteger('version').notNullable();
      // [{"kid", "alg", "state", …, "publicJwk"}]: public halves only.
      table.text('keys').notNullable();
      table.bigInteger('seen_at').notNullable();
    });
  },
};
