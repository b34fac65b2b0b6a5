import type { Knex } from 'knex';
import type { Migration } from '../../src/database/migrate.js';

/**
 * Instants are epoch milliseconds by the database's clock. `text` columns named after a list or an object hold
 * JSON. Every table's writer and retention stand in db/README.md.
 */
export const foundation: Migration = {
  name: '0001-foundation',
  async up(trx: Knex): Promise<void> {
    await trx.schema.createTable('installation', table => {
      table.integer('id').primary();
      table.text('installation_id').notNullable();
      table.text('issuer').notNullable();
      table.text('environment').notNullable();
      table.text('root_key_id').notNullable();
      table.bigInteger('created_at').notNullable();
    });
    await trx.schema.createTable('data_keys', table => {
      table.text('id').primary();
      table.text('purpose').notNullable().unique();
      table.text('wrapped').notNullable();
      table.text('root_key_id').notNullable();
      table.bigInteger('created_at').notNullable();
    });

    await trx.schema.createTable('change_sequence', table => {
      table.integer('id').primary();
      table.bigInteger('value').notNullable();
    });
    await trx('change_sequence').insert({ id: 1, value: 0 });
    await trx.schema.createTable('changes', table => {
      table.bigInteger('sequence').primary();
      table.text('kind').notNullable();
      table.text('subject_id').notNullable();
      table.bigInteger('changed_at').notNullable().index();
    });
    await trx.schema.createTable('nodes', table => {
      table.text('node_id').primary();
      table.bigInteger('served_version').notNullable();
      table.bigInteger('lease_until').notNullable();
      table.bigInteger('started_at').notNullable();
    });
    await trx.schema.createTable('job_leases', table => {
      table.text('job').primary();
      table.text('holder').notNullable();
      table.bigInteger('lease_until').notNullable();
    });

    await trx.schema.createTable('key_ring', table => {
      table.integer('id').primary();
      table.bigInteger('version').notNullable();
    });
    await trx('key_ring').insert({ id: 1, version: 0 });
    await trx.schema.createTable('signing_keys', table => {
      table.text('kid').primary();
      table.text('alg').notNullable();
      table.text('state').notNullable();
      table.bigInteger('announced_version').notNullable();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('announced_at').notNullable();
      table.bigInteger('activated_at');
      table.bigInteger('retained_at');
      table.bigInteger('retired_at');
      table.bigInteger('revoked_at');
      table.text('public_jwk').notNullable();
      table.text('sealed_private');
    });
    // The database itself refuses a second active key, whatever the program believes.
    await trx.raw("create unique index signing_keys_one_active on signing_keys (alg) where state = 'active'");

    await trx.schema.createTable('resource_servers', table => {
      table.text('id').primary();
      table.text('identifier').notNullable().unique();
      table.text('name').notNullable();
      table.text('scopes').notNullable();
      table.text('alg').notNullable();
      table.integer('access_token_for').notNullable();
      table.text('access_token_format').notNullable();
      table.text('introspectors').notNullable();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('updated_at').notNullable();
    });

    await trx.schema.createTable('clients', table => {
      table.text('client_id').primary();
      table.text('name').notNullable();
      table.text('auth_method').notNullable();
      table.text('grant_types').notNullable();
      table.bigInteger('disabled_at');
      table.bigInteger('created_at').notNullable();
      table.bigInteger('updated_at').notNullable();
    });
    await trx.schema.createTable('client_resources', table => {
      table.text('client_id').notNullable().references('clients.client_id').onDelete('CASCADE');
      table.text('resource_id').notNullable().references('resource_servers.id').onDelete('CASCADE').index();
      table.text('scopes').notNullable();
      table.text('default_scopes').notNullable();
      table.boolean('is_default').notNullable();
      table.primary(['client_id', 'resource_id']);
    });
    await trx.schema.createTable('client_secrets', table => {
      table.text('id').primary();
      table.text('client_id').notNullable().references('clients.client_id').onDelete('CASCADE').index();
      table.text('name').notNullable();
      table.text('hash').notNullable();
      table.text('pepper_id').notNullable();
      table.text('created_by').notNullable();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('expires_at');
      table.bigInteger('revoked_at');
      table.bigInteger('last_used_at');
    });

    await trx.schema.createTable('artifacts', table => {
      table.text('id').primary();
      table.text('model').notNullable();
      table.text('grant_key').index();
      table.text('uid_key').index();
      table.text('user_code_key');
      table.text('payload').notNullable();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('expires_at').index();
      table.bigInteger('consumed_at');
    });
    await trx.raw(
      'create unique index artifacts_user_code on artifacts (user_code_key) where user_code_key is not null',
    );
    await trx.schema.createTable('grant_tombstones', table => {
      table.text('grant_key').primary();
      table.bigInteger('revoked_at').notNullable();
      table.bigInteger('expires_at').notNullable().index();
    });
    await trx.schema.createTable('revoked_tokens', table => {
      table.text('kind').notNullable();
      table.text('value').notNullable();
      // Tokens issued before this instant are revoked; null: all.
      table.bigInteger('issued_before');
      table.bigInteger('revoked_at').notNullable();
      table.bigInteger('expires_at').notNullable().index();
      table.primary(['kind', 'value']);
    });

    await trx.schema.createTable('audit_events', table => {
      table.bigIncrements('id');
      table.text('event').notNullable();
      table.bigInteger('occurred_at').notNullable().index();
      table.text('outcome').notNullable();
      table.text('actor').notNullable();
      table.text('subject');
      table.text('client_id');
      table.text('credential_id');
      table.text('resource');
      table.text('ip');
      table.text('user_agent');
      table.text('request_id');
      table.text('node_id').notNullable();
      table.text('detail').notNullable();
    });
  },
};
