import type { Queryable, Transaction } from '../database/connect.js';

/** OpenID Connect Core §5.7: issuer and subject together are the only thing that names a person for good. */
export interface IdentityKey {
  /** The provider's id in the configuration. */
  readonly provider: string;
  readonly subject: string;
}

export interface FederatedIdentity extends IdentityKey {
  readonly userId: string;
  readonly createdAt: number;
  readonly lastUsedAt: number | undefined;
}

export class FederatedIdentityStore {
  async find(on: Queryable, { provider, subject }: IdentityKey): Promise<FederatedIdentity | undefined> {
    const row = await on('federated_identities').where({ provider, subject }).first();
    return row === undefined ? undefined : identityOf(row);
  }

  async list(on: Queryable, userId: string): Promise<FederatedIdentity[]> {
    const rows = await on('federated_identities')
      .where({ user_id: userId })
      .orderBy(['created_at', 'provider', 'subject']);
    return rows.map(identityOf);
  }

  /** @returns false if this identity belongs to an account already. */
  async insert(
    trx: Transaction,
    { provider, subject }: IdentityKey,
    userId: string,
    now: number,
  ): Promise<boolean> {
    const inserted = await trx('federated_identities')
      .insert({ provider, subject, user_id: userId, created_at: now, last_used_at: now })
      .onConflict(['provider', 'subject'])
      .ignore()
      .returning('user_id');
    return inserted.length === 1;
  }

  async noteUse(trx: Transaction, { provider, subject }: IdentityKey, now: number): Promise<void> {
    await trx('federated_identities').where({ provider, subject }).update({ last_used_at: now });
  }

  /** @returns false if the account has no such identity. */
  async delete(trx: Transaction, { provider, subject }: IdentityKey, userId: string): Promise<boolean> {
    return (await trx('federated_identities').where({ provider, subject, user_id: userId }).delete()) === 1;
  }

  /** A passkey is a way in of its own. */
  async hasPasskey(on: Queryable, userId: string): Promise<boolean> {
    return (await on('passkeys').where({ user_id: userId }).first('user_id')) !== undefined;
  }
}

// Rows as the two drivers give them: PostgreSQL returns big integers as text.
function identityOf(row: Record<string, unknown>): FederatedIdentity {
  return {
    provider: String(row.provider),
    subject: String(row.subject),
    userId: String(row.user_id),
    createdAt: Number(row.created_at),
    lastUsedAt: row.last_used_at === null ? undefined : Number(row.last_used_at),
  };
}
