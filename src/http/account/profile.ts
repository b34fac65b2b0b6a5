import { network } from '../../rate-limits/network.js';
import { emailKey } from '../../users/account-input.js';
import { requestEmailChange, requestEmailVerification } from '../../users/change-email.js';
import { updateUser } from '../../users/change-user.js';
import { exportUser } from '../../users/export-user.js';
import { minutesOf } from '../../users/set-password.js';
import { frameOf, good, NOTHING_CHANGED, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Show, Visitor } from './doorway.js';
import { addressFields, profileFields, readProfileForm } from './profile-form.js';

export function showProfile({ renderer }: AccountParts): Show {
  return async (ctx, visitor, shown) => {
    const { user } = visitor;
    renderer.render(ctx, 'account/profile', {
      ...frameOf(visitor, PATHS.profile, shown),
      isEmailVerified: user.emailVerifiedAt !== undefined,
      profile: profileFields(user.profile, shown.typed),
      address: addressFields(user.profile.address, shown.typed),
    });
  };
}

export function saveProfile({ context }: AccountParts): Act {
  return async (_ctx, { user, acting }, form) => {
    const { typed, profile, faults } = readProfileForm(user.profile, name => form.get(name));
    if (faults.length > 0) return { faults, typed };
    const after = await updateUser(context, { userId: user.id, profile }, acting);
    return { notice: after.updatedAt === user.updatedAt ? NOTHING_CHANGED : good('profile_saved') };
  };
}

/** Nothing changes until the new address has answered; the old one is told then. */
export function changeEmail({ context, limiter }: AccountParts): Act {
  return async (_ctx, { user, acting }, form) => {
    const email = form.text('email');
    const minutes = await minutesUntilMail(limiter, acting, email);
    if (minutes > 0) return { faults: [{ field: 'email', message: 'mail.throttled', values: { minutes } }] };
    await requestEmailChange(context, { userId: user.id, email }, acting);
    return { notice: good('email_change_sent', { email: email.trim() }) };
  };
}

/** Once more, for whom the first mail did not reach. */
export function sendVerification({ context, limiter }: AccountParts): Act {
  return async (_ctx, { user, acting }) => {
    if (user.emailVerifiedAt !== undefined) return { notice: NOTHING_CHANGED };
    const minutes = await minutesUntilMail(limiter, acting, user.email);
    if (minutes > 0) return { faults: [{ field: '', message: 'mail.throttled', values: { minutes } }] };
    await requestEmailVerification(context, { userId: user.id }, acting);
    return { notice: good('verification_sent', { email: user.email }) };
  };
}

/** Everything that is stored about the person, as a file (GDPR Art. 15 and 20). What opens a door is not in it. */
export function exportProfile({ context }: AccountParts): Act {
  return async (_ctx, { user, acting }) => {
    const exported = await exportUser(context, { userId: user.id }, acting);
    return {
      page: ctx => {
        ctx.attachment(`${user.id}.json`);
        ctx.type = 'application/json';
        ctx.body = JSON.stringify(exported, undefined, 2);
      },
    };
  };
}

/** Otherwise an account would be a way to fill somebody's mailbox. 0: it may be sent. */
async function minutesUntilMail(
  limiter: AccountParts['limiter'],
  { facts }: Visitor['acting'],
  email: string,
): Promise<number> {
  const reserved = await limiter.reserveAll([
    ['reset_mail_network', network(facts?.ip)],
    ['reset_mail', emailKey(email)],
  ]);
  return reserved.allowed ? 0 : minutesOf(reserved.retryAfter);
}
