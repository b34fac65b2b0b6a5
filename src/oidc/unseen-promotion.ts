import type { Alerts } from '../alerts/alerts.js';
import { appendAuditEvents } from '../audit/audit-log.js';
import type { AuditDetail } from '../audit/events.js';
import type { Database } from '../database/connect.js';
import { JwksFetchStore } from '../keys/jwks-fetch-store.js';
import { after } from '../keys/key-policy.js';
import { requireKey } from '../keys/key-state.js';
import type { RingCompanion, TakenStep } from '../keys/rotate.js';
import {
  type MissingVerifier,
  type VerifierPolicy,
  verifierName,
  verifiersOf,
  worthTelling,
} from '../keys/verifiers.js';

/** In one finding; the numbers beside them count everybody. */
const MOST_NAMES = 20;

export interface UnseenPromotionParts {
  readonly database: Database;
  readonly nodeId: string;
  readonly config: { readonly keys: VerifierPolicy };
  readonly alerts: Alerts;
}

/** Tells of verifiers that have not fetched a key which signs from now on, in the transaction that lets it sign. */
export function unseenPromotion({ database, nodeId, config, alerts }: UnseenPromotionParts): RingCompanion {
  const policy = config.keys;
  const store = new JwksFetchStore();
  return async (trx, taken) => {
    const kid = promotedBy(taken);
    if (kid === undefined) return;
    const key = requireKey(taken.after, kid);
    const fetches = await store.list(trx, after(taken.now, -policy.verifierSeenWithin));
    const unseen = worthTelling(verifiersOf(key, fetches, taken.now, policy));
    if (unseen.length === 0) return;
    const evidence = { alg: key.alg, ring_version: taken.after.version, ...counted(unseen) };
    const { actor, now } = taken;
    const event = { event: 'signing_key.promoted_unseen', outcome: 'success', actor, subject: kid } as const;
    await appendAuditEvents(database, trx, [{ ...event, detail: evidence }], nodeId, now);
    await alerts.raise(trx, { signal: 'signing_key.promoted_unseen', subject: kid, evidence }, actor, now);
  };
}

function promotedBy({ transition }: TakenStep): string | undefined {
  if (transition.kind === 'activate') return transition.kid;
  return transition.kind === 'revoke' ? transition.activates : undefined;
}

function counted(unseen: readonly MissingVerifier[]): AuditDetail {
  const of = (standing: MissingVerifier['standing']) => unseen.filter(each => each.standing === standing);
  // Only of those that somebody answers for: the name of an anonymous one is whatever a stranger wrote.
  const named = [...of('client'), ...of('listed')].slice(0, MOST_NAMES).map(verifierName);
  return {
    clients: of('client').length,
    listed: of('listed').length,
    anonymous: of('anonymous').length,
    verifiers: named.length === 0 ? undefined : named,
  };
}
