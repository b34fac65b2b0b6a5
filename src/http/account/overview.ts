import { frameOf, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Show } from './doorway.js';
import type { Summaries } from './summaries.js';

const SHOWN_ACTIVITY = 5;

export function showOverview({ renderer, signIn, backchannel }: AccountParts, summaries: Summaries): Show {
  return async (ctx, visitor, shown) => {
    const { user } = visitor;
    const [factors, sessions, consents, { activity }, waiting] = await Promise.all([
      signIn.factorsOf(user),
      summaries.sessions(visitor),
      summaries.consents(ctx, visitor),
      summaries.activity(visitor, SHOWN_ACTIVITY),
      backchannel.list(user.id),
    ]);
    renderer.render(ctx, 'account/overview', {
      ...frameOf(visitor, PATHS.overview, shown),
      waitingRequests: waiting.length,
      passwordChangedAt: user.passwordChangedAt,
      hasPassword: user.hasPassword,
      hasTotp: user.hasTotp,
      passkeys: factors.passkeys.length,
      recoveryCodesLeft: factors.recoveryCodesLeft,
      sessions,
      consents,
      activity,
    });
  };
}
