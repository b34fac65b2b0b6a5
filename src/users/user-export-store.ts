import type { Queryable } from '../database/connect.js';

type Row = Readonly<Record<string, unknown>>;

/** What other tables hold about a person, without anything that opens a door. */
export interface RelatedRows {
  readonly recoveryCodesLeft: number;
  readonly passkeys: readonly Row[];
  readonly identities: readonly Row[];
  readonly devices: readonly Row[];
  readonly sessions: readonly Row[];
  readonly consents: readonly Row[];
}

/**
 * Reads across the tables that hang on an account. It lists the columns it gives out, so that a column added later is
 * not exported by chance.
 */
export class UserExportStore {
  async related(on: Queryable, userId: string): Promise<RelatedRows> {
    const of = (table: string, order: string) => on(table).where({ user_id: userId }).orderBy(order);
    const codes = await on('recovery_codes').where({ user_id: userId, used_at: null }).count({ count: '*' });
    return {
      recoveryCodesLeft: Number(codes[0]?.count ?? 0),
      passkeys: await of('passkeys', 'created_at').select('name', 'created_at', 'last_used_at'),
      identities: await of('federated_identities', 'created_at').select(
        ...['provider', 'subject', 'created_at', 'last_used_at'],
      ),
      devices: await of('known_devices', 'created_at').select(
        ...['created_at', 'last_seen_at', 'trusted_until', 'expires_at'],
      ),
      sessions: await of('sessions', 'created_at').select(
        ...['ip', 'user_agent', 'amr', 'created_at', 'last_used_at', 'ended_at', 'expires_at'],
      ),
      consents: await of('consents', 'created_at').select(
        ...['client_id', 'granted', 'created_at', 'updated_at', 'last_used_at'],
      ),
    };
  }
}
