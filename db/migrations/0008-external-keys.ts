import type { Knex } from 'knex';
import type { Migration } from '../../src/database/migrate.js';

/** Private signing keys that are not in the database: in a PKCS#11 token or in Vault Transit. */
export const externalKeys: Migration = {
  name: '0008-external-keys',
  async up(trx: Knex): Promise<void> {
    await trx.schema.alterTable('signing_keys', table => {
      table.text('external_place');
      table.text('external_reference');
    });
    // Written before a key is made, so that whatever a crash leaves behind is found.
    await trx.schema.createTable('external_keys', table => {
      table.text('reference').primary();
      table.text('place').notNullable();
      table.text('alg').notNullable();
      table.text('kid').unique();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('condemned_at');
      table.bigInteger('destroyed_at').index();
    });
  },
};
