import { liveNodeLeases, type NodeLease } from '../database/node-leases.js';
import type { JwksFetch } from '../keys/jwks-fetch.js';
import { JwksFetchStore } from '../keys/jwks-fetch-store.js';
import { after, type KeyPolicy } from '../keys/key-policy.js';
import { type HeldPromotions, holdable } from '../keys/key-schedule.js';
import { readRing } from '../keys/key-store.js';
import { promotionHold } from '../keys/promotion-hold.js';
import { readPolicy } from '../keys/rotate.js';
import type { Ring } from '../keys/signing-key.js';
import { type AlgorithmFinding, algorithmFindings } from '../oidc/algorithm-findings.js';
import { algorithmsInUse } from '../oidc/algorithm-users.js';
import type { Opened } from './context.js';

export interface SeenRing {
  readonly ring: Ring;
  /** As the whole ring has it: with the algorithms that other nodes and what is registered keep alive. */
  readonly policy: KeyPolicy;
  /** Where the ring and the configured algorithms differ. */
  readonly algorithms: readonly AlgorithmFinding[];
  readonly leases: readonly NodeLease[];
  readonly now: number;
  /** Whom announced keys wait for. */
  readonly held: HeldPromotions;
  /** Of those seen lately, known verifiers first. */
  readonly fetches: readonly JwksFetch[];
}

export async function seeRing({ database, config, policy: own }: Opened): Promise<SeenRing> {
  const now = await database.now();
  return database.read(async on => {
    const ring = await readRing(on);
    const hold = promotionHold(config.keys);
    const policy = await readPolicy({ policy: own, algorithmsInUse }, on, ring, now);
    return {
      ring,
      policy,
      algorithms: await algorithmFindings(on, ring, config.keys, now),
      leases: await liveNodeLeases(on, now),
      now,
      held: (await hold?.(on, holdable(ring, policy, now), now)) ?? new Map(),
      fetches: await new JwksFetchStore().list(on, after(now, -config.keys.verifierSeenWithin)),
    };
  });
}
