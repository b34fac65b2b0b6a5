import type { Knex } from 'knex';
import type { Migration } from '../../src/database/migrate.js';

/** Token status lists: which places of them are taken, and which of those are revoked. */
export const statusLists: Migration = {
  name: '0006-status-lists',
  async up(trx: Knex): Promise<void> {
    await trx.schema.alterTable('resource_servers', table => {
      table.text('revocation').notNullable().defaultTo('none');
    });

    await trx.schema.createTable('status_lists', table => {
      table.bigIncrements('id');
      table.text('alg').notNullable();
      // A list holds tokens of one key, so that revoking the key revokes the list whole.
      table.text('kid').notNullable().index();
      table.bigInteger('expires_at').notNullable();
      // The first list of its key and hour is 1; when it is full the next begins.
      table.integer('part').notNullable();
      table.integer('leased').notNullable();
      table.bigInteger('all_revoked_at');
      table.unique(['expires_at', 'kid', 'part']);
    });
    await trx.schema.createTable('revoked_statuses', table => {
      table.bigIncrements('id');
      table.bigInteger('list_id').notNullable().references('status_lists.id').onDelete('CASCADE');
      // [17, 4711, …]: what one transaction revoked in one list.
      table.text('indices').notNullable();
      table.bigInteger('revoked_at').notNullable();
      table.index(['list_id', 'revoked_at']);
    });
    await trx.schema.createTable('pending_status_revocations', table => {
      table.bigIncrements('id');
      table.text('client_id').notNullable();
      // ["orders.read"]: only tokens with one of them; null: all.
      table.text('scopes');
      table.bigInteger('before_event').notNullable();
      table.bigInteger('list_id').notNullable();
      table.integer('after_index').notNullable();
      table.bigInteger('created_at').notNullable();
    });

    await trx.schema.alterTable('audit_events', table => {
      table.bigInteger('status_list');
      table.integer('status_index');
      table.text('grant_key');
    });
    // Partial: they cost nothing where no resource server has lists.
    await trx.raw(
      'create index audit_events_status_client on audit_events (client_id, status_list, status_index) where status_list is not null',
    );
    await trx.raw(
      'create index audit_events_status_grant on audit_events (grant_key, status_list, status_index) where grant_key is not null',
    );
  },
};
