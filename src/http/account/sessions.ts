import { isAppError } from '../../errors.js';
import { frameOf, good, NOTHING_CHANGED, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Show } from './doorway.js';
import type { Summaries } from './summaries.js';

export function showSessions({ renderer }: AccountParts, summaries: Summaries): Show {
  return async (ctx, visitor, shown) => {
    renderer.render(ctx, 'account/sessions', {
      ...frameOf(visitor, PATHS.sessions, shown),
      sessions: await summaries.sessions(visitor),
    });
  };
}

/** Somebody else's session and one that does not exist are the same: nothing happens to either. */
export function endSession({ sessions }: AccountParts): Act {
  return async (_ctx, { user, acting }, form) => {
    try {
      await sessions.list.end(form.text('session_id'), acting, user.id);
    } catch (error) {
      if (!isAppError(error, 'not_found')) throw error;
      return { notice: NOTHING_CHANGED };
    }
    return { notice: good('session_ended') };
  };
}

export function endOtherSessions({ sessions }: AccountParts): Act {
  return async (_ctx, { user, session, acting }) => {
    const count = await sessions.list.endAll(user.id, acting, session.sessionId);
    return { notice: count === 0 ? NOTHING_CHANGED : good('sessions_ended', { count }) };
  };
}
