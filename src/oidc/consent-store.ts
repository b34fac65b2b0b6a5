import type { Queryable, Transaction } from '../database/connect.js';

/** What a person allows a client. Kept beyond the session, so that the question is not asked at each sign-in. */
export interface GrantedAccess {
  readonly oidcScopes: readonly string[];
  readonly claims: readonly string[];
  /** Scopes by resource server. */
  readonly resources: Readonly<Record<string, readonly string[]>>;
}

export interface Consent {
  readonly userId: string;
  readonly clientId: string;
  readonly granted: GrantedAccess;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly lastUsedAt: number;
}

export class ConsentStore {
  async find(on: Queryable, userId: string, clientId: string): Promise<Consent | undefined> {
    const row = await on('consents').where({ user_id: userId, client_id: clientId }).first();
    return row === undefined ? undefined : consentOf(row);
  }

  async list(
    on: Queryable,
    of: { readonly userId?: string | undefined; readonly clientId?: string | undefined },
  ): Promise<Consent[]> {
    const query = on('consents').orderBy('updated_at', 'desc').limit(1000);
    if (of.userId !== undefined) query.where({ user_id: of.userId });
    if (of.clientId !== undefined) query.where({ client_id: of.clientId });
    return (await query).map(consentOf);
  }

  /** The newest answer counts: what was left out this time is no longer allowed. */
  async save(
    trx: Transaction,
    userId: string,
    clientId: string,
    granted: GrantedAccess,
    now: number,
  ): Promise<void> {
    await trx('consents')
      .insert({
        user_id: userId,
        client_id: clientId,
        granted: JSON.stringify(granted),
        created_at: now,
        updated_at: now,
        last_used_at: now,
      })
      .onConflict(['user_id', 'client_id'])
      .merge(['granted', 'updated_at', 'last_used_at']);
  }

  /** @returns false when it has been withdrawn meanwhile. */
  async noteUse(trx: Transaction, userId: string, clientId: string, now: number): Promise<boolean> {
    return (
      (await trx('consents')
        .where({ user_id: userId, client_id: clientId })
        .update({ last_used_at: now })) === 1
    );
  }

  async delete(trx: Transaction, userId: string, clientId: string): Promise<boolean> {
    return (await trx('consents').where({ user_id: userId, client_id: clientId }).delete()) === 1;
  }
}

function consentOf(row: Record<string, unknown>): Consent {
  return {
    userId: String(row.user_id),
    clientId: String(row.client_id),
    granted: JSON.parse(String(row.granted)) as GrantedAccess,
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
    lastUsedAt: Number(row.last_used_at),
  };
}
