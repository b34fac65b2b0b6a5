import type { Knex } from 'knex';
import type { Migration } from '../../src/database/migrate.js';

/** People, their ways to sign in, their sessions and consents, and what is to be delivered to the outside. */
export const people: Migration = {
  name: '0002-people',
  async up(trx: Knex): Promise<void> {
    await trx.schema.createTable('users', table => {
      table.text('id').primary();
      table.text('email').notNullable();
      // The address as it is compared: an account is named by it whatever was typed.
      table.text('email_key').notNullable().unique();
      table.bigInteger('email_verified_at');
      table.text('password_hash');
      table.bigInteger('password_changed_at');
      table.text('profile').notNullable();
      table.text('custom_claims').notNullable();
      table.text('groups').notNullable();
      table.text('sealed_totp');
      table.bigInteger('totp_confirmed_at');
      // RFC 6238 §5.2: a time step is accepted once.
      table.bigInteger('totp_last_step');
      table.bigInteger('disabled_at');
      table.bigInteger('locked_at');
      table.bigInteger('last_sign_in_at');
      table.bigInteger('created_at').notNullable();
      table.bigInteger('updated_at').notNullable();
    });
    await trx.schema.createTable('recovery_codes', table => {
      table.text('id').primary();
      table.text('user_id').notNullable().references('users.id').onDelete('CASCADE').index();
      table.text('hash').notNullable();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('used_at');
    });
    await trx.schema.createTable('passkeys', table => {
      table.text('credential_id').primary();
      table.text('user_id').notNullable().references('users.id').onDelete('CASCADE').index();
      table.text('name').notNullable();
      table.text('public_key').notNullable();
      table.bigInteger('counter').notNullable();
      table.text('transports').notNullable();
      table.boolean('is_backed_up').notNullable();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('last_used_at');
    });
    await trx.schema.createTable('email_links', table => {
      table.text('id').primary();
      table.text('kind').notNullable();
      table.text('user_id').references('users.id').onDelete('CASCADE').index();
      table.text('sealed_payload').notNullable();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('expires_at').notNullable().index();
      table.bigInteger('used_at');
    });
    await trx.schema.createTable('federated_identities', table => {
      table.text('provider').notNullable();
      table.text('subject').notNullable();
      table.text('user_id').notNullable().references('users.id').onDelete('CASCADE').index();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('last_used_at');
      table.primary(['provider', 'subject']);
    });
    await trx.schema.createTable('known_devices', table => {
      table.text('id').primary();
      table.text('user_id').notNullable().references('users.id').onDelete('CASCADE').index();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('last_seen_at').notNullable();
      // Until then no second factor is asked for on this device.
      table.bigInteger('trusted_until');
      table.bigInteger('expires_at').notNullable().index();
    });
    await trx.schema.createTable('limit_counters', table => {
      table.text('limit_name').notNullable();
      table.text('counted_key').notNullable();
      table.bigInteger('count').notNullable();
      table.bigInteger('window_ends_at').notNullable().index();
      table.primary(['limit_name', 'counted_key']);
    });

    await trx.schema.createTable('sessions', table => {
      table.text('session_id').primary();
      table.text('user_id').notNullable().references('users.id').onDelete('CASCADE').index();
      table.text('ip');
      table.text('user_agent');
      table.text('amr').notNullable();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('last_used_at').notNullable();
      table.bigInteger('ended_at');
      table.bigInteger('expires_at').notNullable().index();
    });
    await trx.schema.createTable('consents', table => {
      table.text('user_id').notNullable().references('users.id').onDelete('CASCADE');
      table.text('client_id').notNullable().references('clients.client_id').onDelete('CASCADE').index();
      table.text('granted').notNullable();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('updated_at').notNullable();
      table.bigInteger('last_used_at').notNullable();
      table.primary(['user_id', 'client_id']);
    });
    await trx.schema.alterTable('artifacts', table => {
      table.text('account_id').index();
      table.text('client_id');
    });

    await trx.schema.createTable('outbox', table => {
      table.text('id').primary();
      table.text('kind').notNullable();
      table.text('sealed_payload').notNullable();
      table.integer('attempts').notNullable();
      table.bigInteger('created_at').notNullable();
      table.bigInteger('next_attempt_at').notNullable().index();
      table.bigInteger('expires_at').notNullable();
    });

    await trx.schema.alterTable('clients', table => {
      table.text('metadata').notNullable().defaultTo('{}');
    });
    await trx.schema.alterTable('resource_servers', table => {
      // {"orders.read": {"en": "Read your orders", "de": "Ihre Bestellungen lesen"}}
      table.text('scope_descriptions').notNullable().defaultTo('{}');
    });
    await trx.schema.alterTable('audit_events', table => {
      table.text('user_id').index();
    });
  },
};
