import { network } from '../../rate-limits/network.js';
import { emailKey } from '../../users/account-input.js';
import { requestEmailChange } from '../../users/change-email.js';
import { updateUser } from '../../users/change-user.js';
import { minutesOf } from '../../users/set-password.js';
import { frameOf, good, NOTHING_CHANGED, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Show } from './doorway.js';
import { profileFields, readProfileForm } from './profile-form.js';

export function showProfile({ renderer }: AccountParts): Show {
  return async (ctx, visitor, shown) => {
    const { user } = visitor;
    renderer.render(ctx, 'account/profile', {
      ...frameOf(visitor, PATHS.profile, shown),
      isEmailVerified: user.emailVerifiedAt !== undefined,
      profile: profileFields(user.profile, shown.typed),
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
    // Otherwise an account would be a way to fill somebody's mailbox.
    const reserved = await limiter.reserveAll([
      ['reset_mail_network', network(acting.facts?.ip)],
      ['reset_mail', emailKey(email)],
    ]);
    if (!reserved.allowed) {
      const minutes = minutesOf(reserved.retryAfter);
      return { faults: [{ field: 'email', message: 'mail.throttled', values: { minutes } }] };
    }
    await requestEmailChange(context, { userId: user.id, email }, acting);
    return { notice: good('email_change_sent', { email: email.trim() }) };
  };
}
