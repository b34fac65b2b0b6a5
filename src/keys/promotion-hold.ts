import { JwksFetchStore } from './jwks-fetch-store.js';
import { after } from './key-policy.js';
import type { PromotionHold } from './rotate.js';
import { holding, type VerifierPolicy, verifierName, verifiersOf } from './verifiers.js';

/** Asks the table of fetches whom a promotion waits for; undefined where it waits for nobody. */
export function promotionHold(policy: VerifierPolicy): PromotionHold | undefined {
  if (policy.promotion !== 'wait-for-verifiers') return undefined;
  const store = new JwksFetchStore();
  return async (on, announced, now) => {
    const since = after(now, -policy.verifierSeenWithin);
    const fetches = await store.list(on, since, { isAnonymousWanted: false });
    const waits = announced.map(key => {
      const names = holding(verifiersOf(key, fetches, now, policy)).map(verifierName);
      return [key.kid, names] as const;
    });
    return new Map(waits.filter(([, names]) => names.length > 0));
  };
}
