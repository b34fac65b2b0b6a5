import type { Alerts } from '../alerts/alerts.js';
import type { RingCompanion } from '../keys/rotate.js';
import { revokeStatusesOfKey } from '../status-lists/revoke-statuses.js';
import { type UnseenPromotionParts, unseenPromotion } from './unseen-promotion.js';

export type RingCompanionParts = UnseenPromotionParts;

/**
 * What is written with a step of the key ring, in its transaction, wherever the step is taken (a node's job, the
 * command line). Whatever must die or be told with a revoked key belongs into this list.
 */
export function ringCompanions(parts: RingCompanionParts): readonly RingCompanion[] {
  return [revokedStatuses, revokedAlert(parts.alerts), unseenPromotion(parts)];
}

/** In lists that are signed by its successor, every token of a revoked key is revoked. */
export const revokedStatuses: RingCompanion = async (trx, { transition, now }) => {
  if (transition.kind === 'revoke') await revokeStatusesOfKey(trx, transition.kid, now);
};

function revokedAlert(alerts: Alerts): RingCompanion {
  return async (trx, { transition, before, after, now, actor }) => {
    if (transition.kind !== 'revoke') return;
    const evidence = {
      alg: transition.alg,
      // A restored backup need not know the key that is revoked again.
      state: before.keys.find(({ kid }) => kid === transition.kid)?.state,
      ring_version: after.version,
      by: actor,
      signs_now: transition.activates,
    };
    await alerts.raise(trx, { signal: 'signing_key.revoked', subject: transition.kid, evidence }, actor, now);
  };
}
