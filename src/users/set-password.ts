import { appendAuditEvents } from '../audit/audit-log.js';
import type { Transaction } from '../database/connect.js';
import { AppError } from '../errors.js';
import { emailKey } from './account-input.js';
import { assertActingSession } from './acting-session.js';
import { change, endAccess, userOf } from './change-user.js';
import { EmailLinkStore } from './email-link-store.js';
import { deadLink, linkUrl, makeLink, peekLink, useLink } from './email-links.js';
import { otherWaysIn } from './other-ways.js';
import { normalizedPassword, passwordFaults } from './password-policy.js';
import type { Acting, PeopleContext } from './people-context.js';
import { refuseFields } from './refused-fields.js';
import { recoverPassword } from './sign-in-limits.js';
import { isActive, type User } from './user.js';
import { mailToUser, tellOfUser, userEvent } from './user-events.js';
import { UserStore } from './user-store.js';

export interface PasswordInput {
  readonly userId: string;
  readonly password: string;
  /** Otherwise every other session ends: whoever is inside with the old password is out. */
  readonly keepOtherSessions?: boolean | undefined;
  /**
   * Milliseconds by the database's clock: when the old password was proved. A newer one is not overwritten by somebody
   * who knows only the old one.
   */
  readonly provedAt?: number | undefined;
}

const users = new UserStore();
const links = new EmailLinkStore();

/**
 * By its owner, whose session stays, or by an operator. Whether the owner has proved the old one is the caller's matter.
 *
 * @throws FieldsRefused, AppError `not_found`; `stale` when the account has changed since `provedAt`
 */
export async function setPassword(
  context: PeopleContext,
  input: PasswordInput,
  acting: Acting,
): Promise<User> {
  const owner = await context.database.read(on => userOf(on, input.userId));
  const hash = await acceptedHash(context, owner, input.password);
  return change(context, owner.id, async (trx, before, now) => {
    await assertActingSession(trx, acting);
    const { provedAt } = input;
    if (provedAt !== undefined && !(isActive(before) && (before.passwordChangedAt ?? 0) <= provedAt)) {
      throw new AppError('stale', 'The account has changed meanwhile. Sign in again.');
    }
    await replacePassword(context, trx, before, hash, now);
    if (input.keepOtherSessions !== true) {
      await endAccess(context, trx, before.id, now, acting, acting.sessionId);
    }
    const detail = { others_ended: input.keepOtherSessions !== true };
    const events = [userEvent('user.password_changed', before.id, acting, detail)];
    await tellOfUser(context, trx, now, before.id, events);
    return userOf(trx, before.id);
  });
}

/**
 * Mails a link, or does nothing that the asker could tell from it: the answer is the same for an address nobody has.
 * The mail goes to the address the account holds, never to the one that was typed. How often it may be asked for is
 * the caller's matter.
 */
export async function requestPasswordReset(
  context: PeopleContext,
  input: { readonly email: string },
  acting: Acting,
): Promise<void> {
  const { database, config } = context;
  const expiresIn = config.users.emailLinkFor;
  await database.transaction(async trx => {
    const now = await database.now(trx);
    const user = await users.findByEmailKey(trx, emailKey(input.email));
    if (user === undefined || user.disabledAt !== undefined) {
      // The statements of the other way, so that the time tells as little as the words: links that are dead from the
      // start and belong to nobody, one in place of the link and one in place of the mail.
      await links.end(trx, '', ['reset_password'], now);
      const dead = { kind: 'reset_password', payload: { email: '' }, expiresIn: 0, now } as const;
      await makeLink(trx, context, dead);
      await makeLink(trx, context, dead);
      const refused = userEvent('user.password_reset_requested', user?.id, acting, {}, 'refused');
      await appendAuditEvents(database, trx, [refused], context.nodeId, now);
      return;
    }
    // The newest link is the one that works: an older mail in another folder opens nothing.
    await links.end(trx, user.id, ['reset_password'], now);
    const payload = { email: user.email };
    const link = { kind: 'reset_password', userId: user.id, payload, expiresIn, now } as const;
    const url = linkUrl(config.issuer, await makeLink(trx, context, link));
    await mailToUser(context, trx, user, 'reset-password', { url, minutes: minutesOf(expiresIn) }, now);
    const event = userEvent('user.password_reset_requested', user.id, acting);
    await appendAuditEvents(database, trx, [event], context.nodeId, now);
  });
}

/**
 * The holder of the mailbox sets a new password: every session ends, a locked account is unlocked, and the address is
 * verified by the way. A pause of the password ends, and no device is known any more. A second factor is still asked
 * for at the next sign-in.
 *
 * @throws FieldsRefused: the password, or `link.expired`
 */
export async function resetPassword(
  context: PeopleContext,
  input: { readonly token: string; readonly password: string },
  acting: Acting,
): Promise<User> {
  const link = await peekLink(context, input.token, 'reset_password');
  const owner = await ownerOf(context, link?.userId);
  if (owner === undefined) throw deadLink();
  // Judged before the link is used up: a refused password can be corrected.
  const hash = await acceptedHash(context, owner, input.password);
  return change(context, owner.id, async (trx, before, now) => {
    const used = await useLink(trx, context, input.token, 'reset_password', now);
    // The address may have changed since: who holds the old mailbox must not take the account.
    const isOwners = used?.userId === before.id && emailKey(used.payload.email) === before.emailKey;
    if (!isOwners || before.disabledAt !== undefined) throw deadLink();
    const opened: User = {
      ...before,
      lockedAt: undefined,
      emailVerifiedAt: before.emailVerifiedAt ?? now,
      updatedAt: now,
    };
    await users.update(trx, opened);
    await replacePassword(context, trx, opened, hash, now);
    await recoverPassword(context, trx, before.id);
    await endAccess(context, trx, before.id, now, acting);
    await tellOfUser(context, trx, now, before.id, [
      userEvent('user.password_changed', before.id, acting, { via: 'reset', others_ended: true }),
      ...(before.lockedAt === undefined
        ? []
        : [userEvent('user.unlocked', before.id, acting, { via: 'reset' })]),
      ...(before.emailVerifiedAt === undefined
        ? [userEvent('user.email_verified', before.id, acting, { via: 'reset' })]
        : []),
    ]);
    return userOf(trx, before.id);
  });
}

/** Seconds as people read them. */
export function minutesOf(seconds: number): number {
  return Math.max(1, Math.round(seconds / 60));
}

async function ownerOf(context: PeopleContext, userId: string | undefined): Promise<User | undefined> {
  if (userId === undefined) return undefined;
  return context.database.read(on => users.find(on, userId));
}

/** @throws FieldsRefused */
async function acceptedHash(context: PeopleContext, owner: User, password: string): Promise<string> {
  const { database, config, passwords } = context;
  const hasSecondFactor = await database.read(on => users.hasSecondFactor(on, owner.id));
  const about = { ...owner, hasSecondFactor, serviceName: config.branding.name };
  refuseFields('password', await passwordFaults(password, about));
  return passwords.hash(normalizedPassword(password));
}

/** And with it everything that could have set another one. */
async function replacePassword(
  context: PeopleContext,
  trx: Transaction,
  user: User,
  hash: string,
  now: number,
): Promise<void> {
  await users.setPasswordHash(trx, user.id, hash, now);
  // Also a change of address that is still to be confirmed: whoever was inside may have asked for it, and would have
  // the account back with it.
  await links.end(trx, user.id, ['reset_password', 'change_email', 'link_identity'], now);
  await mailToUser(context, trx, user, 'password-changed', { ...(await otherWaysIn(trx, user.id)) }, now);
}
