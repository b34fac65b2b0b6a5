import { isAppError } from '../../errors.js';
import { frameOf, good, NOTHING_CHANGED, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Show } from './doorway.js';
import type { Summaries } from './summaries.js';

export function showAccess({ renderer }: AccountParts, summaries: Summaries): Show {
  return async (ctx, visitor, shown) => {
    renderer.render(ctx, 'account/access', {
      ...frameOf(visitor, PATHS.access, shown),
      consents: await summaries.consents(ctx, visitor),
    });
  };
}

/**
 * One click: it can be given again, and whoever withdraws in a hurry has a reason to. How much ends with it stands
 * beside the button.
 */
export function withdrawAccess({ consents, clients }: AccountParts): Act {
  return async (_ctx, { user, acting }, form) => {
    const clientId = form.text('client_id');
    try {
      await consents.revoke(user.id, clientId, acting);
    } catch (error) {
      if (!isAppError(error, 'not_found')) throw error;
      return { notice: NOTHING_CHANGED };
    }
    const client = (await clients.find(clientId))?.name ?? clientId;
    return { notice: good('access_withdrawn', { client }) };
  };
}
