import { emailFault, emailKey, normalizedEmail } from './account-input.js';
import { assertActingSession } from './acting-session.js';
import { change } from './change-user.js';
import { EmailLinkStore } from './email-link-store.js';
import { deadLink, linkUrl, makeLink, peekLink, useLink } from './email-links.js';
import type { Acting, PeopleContext } from './people-context.js';
import { FieldsRefused, refuseFields } from './refused-fields.js';
import { minutesOf } from './set-password.js';
import { isActive, type User } from './user.js';
import { mailToUser, tellOfUser, userEvent } from './user-events.js';
import { UserStore } from './user-store.js';

const users = new UserStore();
const links = new EmailLinkStore();

/**
 * Mails a link to the address the account holds. Nothing happens when it is verified already.
 *
 * @throws AppError `not_found`
 */
export async function requestEmailVerification(
  context: PeopleContext,
  input: { readonly userId: string },
  acting: Acting,
): Promise<User> {
  return change(context, input.userId, async (trx, user, now) => {
    if (user.emailVerifiedAt !== undefined || !isActive(user)) return user;
    const expiresIn = context.config.users.emailLinkFor;
    await links.end(trx, user.id, ['verify_email'], now);
    const payload = { email: user.email };
    const link = { kind: 'verify_email', userId: user.id, payload, expiresIn, now } as const;
    const url = linkUrl(context.config.issuer, await makeLink(trx, context, link));
    await mailToUser(context, trx, user, 'verify-email', { url, minutes: minutesOf(expiresIn) }, now);
    const detail = { email_verification: 'requested' };
    await tellOfUser(context, trx, now, user.id, [userEvent('user.updated', user.id, acting, detail)]);
    return user;
  });
}

/** @throws FieldsRefused `link.expired` */
export async function verifyEmail(
  context: PeopleContext,
  input: { readonly token: string },
  acting: Acting,
): Promise<User> {
  const link = await peekLink(context, input.token, 'verify_email');
  return changeByLink(context, link?.userId, async (trx, before, now) => {
    const used = await useLink(trx, context, input.token, 'verify_email', now);
    // Of the address that it was sent to, and no later one.
    if (used?.userId !== before.id || emailKey(used.payload.email) !== before.emailKey) throw deadLink();
    if (before.emailVerifiedAt !== undefined) return before;
    const user: User = { ...before, emailVerifiedAt: now, updatedAt: now };
    await users.update(trx, user);
    await tellOfUser(context, trx, now, user.id, [userEvent('user.email_verified', user.id, acting)]);
    return user;
  });
}

/**
 * Mails a link to the new address. Whether somebody has it already is told to its owner only, in that mail.
 * That the person has proved again who they are is the caller's matter.
 *
 * @throws FieldsRefused, AppError `not_found`
 */
export async function requestEmailChange(
  context: PeopleContext,
  input: { readonly userId: string; readonly email: string },
  acting: Acting,
): Promise<void> {
  const fault = emailFault(input.email);
  refuseFields('address', fault === undefined ? [] : [fault]);
  const newEmail = normalizedEmail(input.email);
  const { issuer, users: settings } = context.config;
  await change(context, input.userId, async (trx, user, now) => {
    await assertActingSession(trx, acting);
    if (emailKey(newEmail) === user.emailKey) {
      const problem = 'It is the address of this account already.';
      throw new FieldsRefused('address', [{ field: 'email', message: 'email.unchanged', problem }]);
    }
    await links.end(trx, user.id, ['change_email'], now);
    const expiresIn = settings.emailLinkFor;
    const payload = { email: user.email, newEmail };
    const link = { kind: 'change_email', userId: user.id, payload, expiresIn, now } as const;
    const url = linkUrl(issuer, await makeLink(trx, context, link));
    const holder = await users.findByEmailKey(trx, emailKey(newEmail));
    if (holder === undefined) {
      const values = { url, minutes: minutesOf(expiresIn) };
      await mailToUser(context, trx, user, 'change-email', values, now, newEmail);
    } else await mailToUser(context, trx, holder, 'already-registered', { url: `${issuer}/account` }, now);
    const detail = { email_change: 'requested' };
    await tellOfUser(context, trx, now, user.id, [userEvent('user.updated', user.id, acting, detail)]);
    return user;
  });
}

/**
 * Whoever opened the link holds the new mailbox. The old one is told, and links sent there open nothing any more.
 *
 * @throws FieldsRefused `link.expired`, also when somebody else has taken the address meanwhile
 */
export async function confirmEmailChange(
  context: PeopleContext,
  input: { readonly token: string },
  acting: Acting,
): Promise<User> {
  const link = await peekLink(context, input.token, 'change_email');
  return changeByLink(context, link?.userId, async (trx, before, now) => {
    const used = await useLink(trx, context, input.token, 'change_email', now);
    if (used?.userId !== before.id || emailKey(used.payload.email) !== before.emailKey) throw deadLink();
    const { newEmail } = used.payload;
    const key = emailKey(newEmail);
    if ((await users.findByEmailKey(trx, key)) !== undefined) throw deadLink();
    const user: User = { ...before, email: newEmail, emailKey: key, emailVerifiedAt: now, updatedAt: now };
    await users.update(trx, user);
    await links.end(trx, user.id, ['verify_email', 'reset_password', 'change_email', 'link_identity'], now);
    await mailToUser(context, trx, user, 'email-changed', { newEmail }, now, before.email);
    await tellOfUser(context, trx, now, user.id, [userEvent('user.email_changed', user.id, acting)]);
    return user;
  });
}

/** A link of an account that is gone or out of service is as dead as one that is used. */
async function changeByLink(
  context: PeopleContext,
  userId: string | undefined,
  work: Parameters<typeof change>[2],
): Promise<User> {
  const owner = userId === undefined ? undefined : await context.database.read(on => users.find(on, userId));
  if (owner === undefined) throw deadLink();
  return change(context, owner.id, async (trx, before, now) => {
    if (!isActive(before)) throw deadLink();
    return work(trx, before, now);
  });
}
