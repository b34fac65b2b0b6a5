import type { AuditDetail, AuditEventName } from '../audit/events.js';
import { lockChanges } from '../database/changes.js';
import type { Transaction } from '../database/connect.js';
import { AppError } from '../errors.js';
import { assertActingSession } from './acting-session.js';
import type { Acting, PeopleContext } from './people-context.js';
import { isActive, type User } from './user.js';
import { mailToUser, tellOfUser, userEvent } from './user-events.js';
import { UserStore } from './user-store.js';

const users = new UserStore();

/**
 * One transaction for whatever changes how people prove to be themselves. The account is read inside it: its owner
 * adds nothing to one that was locked or deleted meanwhile.
 *
 * @throws AppError `not_found`; `stale` when the session has ended in which its owner acts
 */
export async function inFactorChange<T>(
  context: PeopleContext,
  userId: string,
  acting: Acting,
  work: (trx: Transaction, user: User, now: number) => Promise<T>,
): Promise<T> {
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    await assertActingSession(trx, acting);
    const now = await context.database.now(trx);
    const user = await users.find(trx, userId);
    const isOwner = acting.actor === `user:${userId}`;
    if (user === undefined || (isOwner && !isActive(user))) {
      throw new AppError('not_found', 'There is no such account. Sign in again.');
    }
    return work(trx, user, now);
  });
}

/** Audited, told to the other nodes, and to the owner: whoever adds a factor to a foreign account stays in it. */
export async function tellFactorChange(
  context: PeopleContext,
  trx: Transaction,
  change: {
    readonly user: User;
    readonly event: AuditEventName & `user.${string}`;
    readonly detail: AuditDetail;
    readonly mail:
      | readonly ['factor-added', 'totp' | 'passkey' | 'recovery_codes']
      | readonly ['factor-removed', 'totp' | 'passkey'];
    readonly acting: Acting;
    readonly now: number;
  },
): Promise<void> {
  const { user, event, detail, mail, acting, now } = change;
  await tellOfUser(context, trx, now, user.id, [userEvent(event, user.id, acting, detail)]);
  if (mail[0] === 'factor-added') await mailToUser(context, trx, user, mail[0], { factor: mail[1] }, now);
  else await mailToUser(context, trx, user, mail[0], { factor: mail[1] }, now);
}
