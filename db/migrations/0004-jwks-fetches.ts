import type { Knex } from 'knex';
import type { Migration } from '../../src/database/migrate.js';

/** Who fetches the published keys, and which version of the ring each of them got last. */
export const jwksFetches: Migration = {
  name: '0004-jwks-fetches',
  async up(trx: Knex): Promise<void> {
    await trx.schema.createTable('jwks_fetches', table => {
      // A hash of the four columns that follow, because two of them may be absent.
      table.text('fetcher_id').primary();
      table.text('network').notNullable();
      table.text('user_agent').notNullable();
      // No reference: the row is evidence of what was, and outlives its client.
      table.text('client_id');
      // The entry of keys.verifierNetworks that the address was in.
      table.text('listed_as');
      table.bigInteger('ring_version').notNullable();
      table.bigInteger('first_seen_at').notNullable();
      table.bigInteger('last_seen_at').notNullable().index();
      table.bigInteger('fetches').notNullable();
    });
  },
};
