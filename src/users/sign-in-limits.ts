import type { RequestFacts } from '../audit/events.js';
import type { Transaction } from '../database/connect.js';
import type { Limiter, Want } from '../rate-limits/limiter.js';
import type { LimitName } from '../rate-limits/limits.js';
import { network } from '../rate-limits/network.js';

/** No end of a window to wait for: another way in, a reset by mail or an operator ends them. */
const PAUSES: ReadonlySet<LimitName> = new Set([
  'account_consecutive',
  'device_consecutive',
  'second_factor_consecutive',
]);

export function isPause(limit: LimitName): boolean {
  return PAUSES.has(limit);
}

/**
 * A known device of the account has budgets of its own: strangers use up neither them nor the owner's patience.
 *
 * @param account the id, or for an address without an account its key
 */
export function passwordLimits(
  account: string,
  deviceId: string | undefined,
  facts: RequestFacts,
): readonly Want[] {
  if (deviceId !== undefined) {
    return [
      ['device_password', deviceId],
      ['device_consecutive', deviceId],
    ];
  }
  const from = network(facts.ip);
  return [
    ['account_password_network', from],
    ['account_password', [account, from]],
    ['account_consecutive', account],
  ];
}

export function totpLimits(userId: string): readonly Want[] {
  return [
    ['second_factor', userId],
    ['second_factor_consecutive', userId],
  ];
}

/**
 * Ends the pause of an account's password after its owner proved to be there in another way: a reset by mail. Not
 * that of its second factor: a mailbox in foreign hands would buy a hundred more guesses with each reset.
 */
export async function endPasswordPause(limiter: Limiter, trx: Transaction, userId: string): Promise<void> {
  await limiter.forget(trx, 'account_consecutive', userId);
}

/** After another second factor, or by an operator. */
export async function endSecondFactorPause(
  limiter: Limiter,
  trx: Transaction,
  userId: string,
): Promise<void> {
  await limiter.forget(trx, 'second_factor', userId);
  await limiter.forget(trx, 'second_factor_consecutive', userId);
}
