import type { Knex } from 'knex';
import type { Migration } from '../../src/database/migrate.js';

/** A node says which algorithms it is configured for, so that another with a shorter list gives none of them up. */
export const nodeAlgorithms: Migration = {
  name: '0003-node-algorithms',
  async up(trx: Knex): Promise<void> {
    await trx.schema.alterTable('nodes', table => {
      // A JSON list; null: a node that does not say, and may want any.
      table.text('algorithms');
    });
  },
};
