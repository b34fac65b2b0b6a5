import type { RequestFacts } from '../audit/events.js';
import type { Transaction } from '../database/connect.js';
import { Limiter, type Want } from '../rate-limits/limiter.js';
import type { LimitName } from '../rate-limits/limits.js';
import { network } from '../rate-limits/network.js';
import { KnownDeviceStore } from './known-device-store.js';
import type { PeopleContext } from './people-context.js';

/** No end of a window to wait for: another way in, a reset by mail or an operator ends them. */
const PAUSES: ReadonlySet<LimitName> = new Set([
  'account_consecutive',
  'device_consecutive',
  'second_factor_consecutive',
]);

const devices = new KnownDeviceStore();

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

type LimitContext = Pick<PeopleContext, 'database' | 'hasher' | 'config'>;

/** It keeps nothing to itself: every count is in the database. */
function limiterOf({ database, hasher, config }: LimitContext): Limiter {
  return new Limiter(database, hasher, config.rateLimits);
}

/**
 * After a reset by mail, in its transaction: the owner is back. Failures that paused the password were about the old
 * one, and devices that were known may be those of whoever made the reset necessary. The pause of the second factor
 * stays: a mailbox in foreign hands would buy a hundred more guesses with each reset.
 */
export async function recoverPassword(
  context: LimitContext,
  trx: Transaction,
  userId: string,
): Promise<void> {
  await limiterOf(context).forget(trx, 'account_consecutive', userId);
  await devices.deleteAll(trx, userId);
}

/** After another second factor. */
export async function endSecondFactorPause(
  context: LimitContext,
  trx: Transaction,
  userId: string,
): Promise<boolean> {
  const limiter = limiterOf(context);
  const ended = [
    await limiter.forget(trx, 'second_factor', userId),
    await limiter.forget(trx, 'second_factor_consecutive', userId),
  ];
  return ended.includes(true);
}

/**
 * By an operator, who knows that it is the owner who waits.
 *
 * @returns false when nothing was counted.
 */
export async function endPauses(context: LimitContext, trx: Transaction, userId: string): Promise<boolean> {
  const limiter = limiterOf(context);
  let ended = await endSecondFactorPause(context, trx, userId);
  ended = (await limiter.forget(trx, 'account_consecutive', userId)) || ended;
  for (const deviceId of await devices.idsOf(trx, userId)) {
    ended = (await limiter.forget(trx, 'device_password', deviceId)) || ended;
    ended = (await limiter.forget(trx, 'device_consecutive', deviceId)) || ended;
  }
  return ended;
}
