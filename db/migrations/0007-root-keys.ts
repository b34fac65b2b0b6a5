import type { Knex } from 'knex';
import type { Migration } from '../../src/database/migrate.js';

/** A data key may be wrapped by several root keys: two during a change of root key, and by each recovery key. */
export const rootKeys: Migration = {
  name: '0007-root-keys',
  async up(trx: Knex): Promise<void> {
    await trx.schema.createTable('root_keys', table => {
      table.text('id').primary();
      // 'main' opens the database; 'recovery' only opens the ceremony that brings in a new main one.
      table.text('role').notNullable();
      table.text('backend').notNullable();
      // Where a key lies that never leaves its place: an ARN, a name. Empty for a local one.
      table.text('reference').notNullable();
      // Of a recovery key, to wrap later data keys for it too. Sealed, so that nobody adds one by writing here.
      table.text('sealed_public_key');
      table.bigInteger('created_at').notNullable();
    });
    await trx.schema.createTable('data_key_wraps', table => {
      table.text('data_key_id').notNullable().references('data_keys.id');
      table.text('root_key_id').notNullable().references('root_keys.id').index();
      table.text('wrapped').notNullable();
      table.bigInteger('created_at').notNullable();
      table.primary(['data_key_id', 'root_key_id']);
    });
    // Until now there was one root key, in the memory of each node.
    await trx('root_keys').insert(
      trx('installation').select(
        'root_key_id',
        trx.raw("'main'"),
        trx.raw("'local'"),
        trx.raw("''"),
        trx.raw('null'),
        'created_at',
      ),
    );
    await trx('data_key_wraps').insert(trx('data_keys').select('id', 'root_key_id', 'wrapped', 'created_at'));
  },
};
