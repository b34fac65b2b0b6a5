import type { ChangeFeed } from '../database/change-feed.js';
import { takeJobLease } from '../database/job-leases.js';
import type { KeyRing } from '../keys/key-ring.js';
import { overdueFor } from '../keys/key-schedule.js';
import { isPublished } from '../keys/key-state.js';
import { advanceRing, type RotationContext } from '../keys/rotate.js';
import type { Metrics } from '../metrics.js';

/** Long enough to generate RSA keys, short enough that another node takes over a dead one's turn soon. */
const LEASE_FOR = 30;

/** Takes the ring's steps that are due, on one node at a time, and makes this node serve the result at once. */
export async function rotateKeys(parts: {
  readonly rotation: RotationContext;
  readonly feed: ChangeFeed;
  readonly ring: KeyRing;
  readonly metrics: Metrics;
}): Promise<void> {
  const { rotation, feed, ring, metrics } = parts;
  const { database, nodeId } = rotation;
  // By its own clock it could misjudge nothing here; but a machine in that state is not to change keys.
  if (ring.isClockTrusted && (await takeJobLease(database, 'rotate-keys', nodeId, LEASE_FOR))) {
    const taken = await advanceRing(rotation);
    if (taken.length > 0) await feed.catchUp();
  }
  const { ring: served } = ring.served;
  const now = ring.databaseNow;
  for (const alg of rotation.policy.algorithms) {
    metrics.setRotationOverdue(alg, overdueFor(served, rotation.policy, alg, now));
  }
  metrics.setSigningKeys(
    served.version,
    served.keys
      .filter(isPublished)
      .map(({ kid, alg, state, createdAt }) => ({ kid, alg, state, ageFor: (now - createdAt) / 1000 })),
  );
}
