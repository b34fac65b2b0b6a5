import type { Queryable, Transaction } from '../database/connect.js';

/** What proves a person beside the password: the TOTP columns of `users`, and `recovery_codes`. */
export class FactorStore {
  /** Sealed. */
  async totpSecretOf(on: Queryable, userId: string): Promise<string | undefined> {
    const row = await on('users')
      .where({ id: userId })
      .whereNotNull('totp_confirmed_at')
      .select('sealed_totp')
      .first();
    return row?.sealed_totp ?? undefined;
  }

  async setTotp(
    trx: Transaction,
    userId: string,
    totp: { readonly sealed: string; readonly step: number },
    now: number,
  ): Promise<void> {
    await trx('users').where({ id: userId }).update({
      sealed_totp: totp.sealed,
      totp_confirmed_at: now,
      totp_last_step: totp.step,
      updated_at: now,
    });
  }

  /** @returns false when there was none. */
  async removeTotp(trx: Transaction, userId: string, now: number): Promise<boolean> {
    const removed = await trx('users').where({ id: userId }).whereNotNull('sealed_totp').update({
      sealed_totp: null,
      totp_confirmed_at: null,
      totp_last_step: null,
      updated_at: now,
    });
    return removed === 1;
  }

  /**
   * RFC 6238 §5.2: a step once. One statement: of two requests with the same code one gets it.
   *
   * @returns false when this step, or a later one, was used already, or the secret is another by now.
   */
  async acceptStep(trx: Transaction, userId: string, sealed: string, step: number): Promise<boolean> {
    const accepted = await trx('users')
      .where({ id: userId, sealed_totp: sealed })
      .where(row => row.whereNull('totp_last_step').orWhere('totp_last_step', '<', step))
      .update({ totp_last_step: step });
    return accepted === 1;
  }

  async replaceRecoveryCodes(
    trx: Transaction,
    userId: string,
    codes: readonly { readonly id: string; readonly hash: string }[],
    now: number,
  ): Promise<void> {
    await this.removeRecoveryCodes(trx, userId);
    await trx('recovery_codes').insert(
      codes.map(({ id, hash }) => ({ id, user_id: userId, hash, created_at: now })),
    );
  }

  async removeRecoveryCodes(trx: Transaction, userId: string): Promise<void> {
    await trx('recovery_codes').where({ user_id: userId }).delete();
  }

  /** One statement: of any number of requests with the same code one gets true. */
  async useRecoveryCode(trx: Transaction, userId: string, hash: string, now: number): Promise<boolean> {
    const used = await trx('recovery_codes')
      .where({ user_id: userId, hash })
      .whereNull('used_at')
      .update({ used_at: now });
    return used === 1;
  }

  async recoveryCodesLeft(on: Queryable, userId: string): Promise<number> {
    const row = await on('recovery_codes')
      .where({ user_id: userId })
      .whereNull('used_at')
      .count({ left: '*' })
      .first();
    return Number(row?.left ?? 0);
  }

  /** Whether the account can be opened without any passkey: by password, or by another provider. */
  async opensWithoutPasskey(on: Queryable, userId: string): Promise<boolean> {
    const withPassword = await on('users').where({ id: userId }).whereNotNull('password_hash').first('id');
    if (withPassword !== undefined) return true;
    const linked = await on('federated_identities').where({ user_id: userId }).first('user_id');
    return linked !== undefined;
  }
}
