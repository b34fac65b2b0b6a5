import { emailKey } from '../../users/account-input.js';
import { deleteUser } from '../../users/change-user.js';
import { frameOf, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Show } from './doorway.js';

export const DELETE_PATH = `${PATHS.profile}/delete`;

/** What goes with it, in numbers. */
export function showDeletion({ renderer, sessions, consents }: AccountParts): Show {
  return async (ctx, visitor, shown) => {
    const { user } = visitor;
    const [open, allowed] = await Promise.all([
      sessions.list.list(user.id),
      consents.list({ userId: user.id }),
    ]);
    renderer.render(ctx, 'account/confirm', {
      ...frameOf(visitor, DELETE_PATH, shown),
      act: 'delete_account',
      values: { sessions: open.length, consents: allowed.length },
      hidden: { confirmed: 'yes' },
      typed: user.email,
      cancelUrl: PATHS.profile,
    });
  };
}

/** The first form only leads to the page that says what happens. */
export function deleteAccount({ context, renderer, sessions }: AccountParts): Act {
  return async (ctx, { user, acting }, form) => {
    if (form.get('confirmed') !== 'yes') return { to: DELETE_PATH };
    if (emailKey(form.text('typed')) !== user.emailKey) {
      return { faults: [{ field: 'typed', message: 'confirm.mismatch' }] };
    }
    await deleteUser(context, { userId: user.id }, acting);
    // Nothing is left to be signed in to; the cookie goes, too.
    await sessions.signOut(ctx);
    return {
      page: answered =>
        renderer.render(answered, 'message', {
          title: 'message.account_deleted.title',
          text: 'message.account_deleted.text',
          isGood: true,
        }),
    };
  };
}
