import type { Queryable, Transaction } from '../database/connect.js';

/** Holds nothing that opens a door: the private half never leaves the authenticator. */
export interface Passkey {
  /** base64url, as the authenticator chose it. */
  readonly credentialId: string;
  readonly userId: string;
  readonly name: string;
  /** COSE key, base64url. */
  readonly publicKey: string;
  readonly counter: number;
  readonly transports: readonly string[];
  /** Synchronised to other devices of its owner. */
  readonly isBackedUp: boolean;
  readonly createdAt: number;
  readonly lastUsedAt?: number | undefined;
}

interface Row {
  readonly credential_id: string;
  readonly user_id: string;
  readonly name: string;
  readonly public_key: string;
  readonly counter: number;
  readonly transports: string;
  readonly is_backed_up: boolean | number;
  readonly created_at: number;
  readonly last_used_at: number | null;
}

export class PasskeyStore {
  async find(on: Queryable, credentialId: string): Promise<Passkey | undefined> {
    const row: Row | undefined = await on('passkeys').where({ credential_id: credentialId }).first();
    return row && passkeyOf(row);
  }

  /** Oldest first. */
  async list(on: Queryable, userId: string): Promise<Passkey[]> {
    const rows: Row[] = await on('passkeys')
      .where({ user_id: userId })
      .orderBy('created_at')
      .orderBy('credential_id');
    return rows.map(passkeyOf);
  }

  async count(on: Queryable, userId: string): Promise<number> {
    const row = await on('passkeys').where({ user_id: userId }).count({ passkeys: '*' }).first();
    return Number(row?.passkeys ?? 0);
  }

  /** @returns false when the credential is registered already, to whomever. */
  async insert(trx: Transaction, passkey: Passkey): Promise<boolean> {
    const inserted = await trx('passkeys')
      .insert({
        credential_id: passkey.credentialId,
        user_id: passkey.userId,
        name: passkey.name,
        public_key: passkey.publicKey,
        counter: passkey.counter,
        transports: JSON.stringify(passkey.transports),
        is_backed_up: passkey.isBackedUp,
        created_at: passkey.createdAt,
      })
      .onConflict('credential_id')
      .ignore()
      .returning('credential_id');
    return inserted.length === 1;
  }

  /**
   * WebAuthn §6.1.1, in one statement: the counter only grows, unless the authenticator keeps none (both 0).
   * A smaller one means that the key was copied, or that this answer is older than one already accepted.
   */
  async recordUse(
    trx: Transaction,
    use: {
      readonly credentialId: string;
      readonly userId: string;
      readonly counter: number;
      readonly isBackedUp: boolean;
    },
    now: number,
  ): Promise<boolean> {
    const { credentialId, userId, counter, isBackedUp } = use;
    const recorded = await trx('passkeys')
      .where({ credential_id: credentialId, user_id: userId })
      .where(row => (counter === 0 ? row.where({ counter: 0 }) : row.where('counter', '<', counter)))
      .update({ counter, is_backed_up: isBackedUp, last_used_at: now });
    return recorded === 1;
  }

  async rename(trx: Transaction, userId: string, credentialId: string, name: string): Promise<boolean> {
    const renamed = await trx('passkeys')
      .where({ credential_id: credentialId, user_id: userId })
      .update({ name });
    return renamed === 1;
  }

  async delete(trx: Transaction, userId: string, credentialId: string): Promise<boolean> {
    const deleted = await trx('passkeys').where({ credential_id: credentialId, user_id: userId }).delete();
    return deleted === 1;
  }
}

function passkeyOf(row: Row): Passkey {
  return {
    credentialId: row.credential_id,
    userId: row.user_id,
    name: row.name,
    publicKey: row.public_key,
    counter: Number(row.counter),
    transports: JSON.parse(row.transports),
    isBackedUp: Boolean(row.is_backed_up),
    createdAt: Number(row.created_at),
    lastUsedAt: row.last_used_at === null ? undefined : Number(row.last_used_at),
  };
}
