import { UNAVAILABLE_ALGORITHMS } from '../config/available-algorithms.js';
import type { ChangeFeed } from '../database/change-feed.js';
import { takeJobLease } from '../database/job-leases.js';
import type { KeyRing } from '../keys/key-ring.js';
import { advanceRing, type RotationContext } from '../keys/rotate.js';

/** Long enough to generate RSA keys, short enough that another node takes over a dead one's turn soon. */
const LEASE_FOR = 30;

/** Nodes whose Node.js can make every kind of key do not wait for one that cannot, and leaves steps undone. */
const LEASE = UNAVAILABLE_ALGORITHMS.length === 0 ? 'rotate-keys:all' : 'rotate-keys';

/** Takes the ring's steps that are due, on one node at a time, and makes this node serve the result at once. */
export async function rotateKeys(parts: {
  readonly rotation: RotationContext;
  readonly feed: ChangeFeed;
  readonly ring: KeyRing;
}): Promise<void> {
  const { rotation, feed, ring } = parts;
  const { database, nodeId } = rotation;
  // By its own clock it could misjudge nothing here; but a machine in that state is not to change keys.
  if (ring.isClockTrusted && (await takeJobLease(database, LEASE, nodeId, LEASE_FOR))) {
    const taken = await advanceRing(rotation);
    if (taken.length > 0) await feed.catchUp();
  }
}
