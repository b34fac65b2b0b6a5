import type { Alerts } from '../alerts/alerts.js';
import type { Alert } from '../alerts/signals.js';
import { liveNodeLeases } from '../database/node-leases.js';
import type { KeyPolicy } from '../keys/key-policy.js';
import type { KeyRing } from '../keys/key-ring.js';
import { nextEvents, overdueFor } from '../keys/key-schedule.js';
import { isPublished } from '../keys/key-state.js';
import { type RotationContext, readPolicy } from '../keys/rotate.js';
import type { Ring } from '../keys/signing-key.js';
import type { Metrics } from '../metrics.js';
import type { SigningAlgorithm } from '../protocol.js';

export interface WatchedKeys {
  readonly rotation: RotationContext;
  readonly ring: KeyRing;
  readonly metrics: Metrics;
  readonly alerts: Alerts;
}

/** Shows this node's ring in its metrics, and raises an alert for each thing in it that somebody has to mend. */
export async function watchKeys(parts: WatchedKeys): Promise<void> {
  const { rotation, ring, metrics, alerts } = parts;
  // Without the database too: then the age is what tells.
  measure(parts);
  for (const alert of keyAlerts(parts)) await alerts.raiseAlone(alert, rotation.actor);
  const { database } = rotation;
  const { ring: served } = ring.served;
  const { leases, now, policy } = await database.read(async on => {
    const at = await database.now(on);
    const whole = await readPolicy(rotation, on, served, at);
    return { now: at, policy: whole, leases: await liveNodeLeases(on, at) };
  });
  metrics.setKeyForecast(
    nextEvents(served, policy, leases, now).map(({ kind, alg, at, waitsForNodeIds }) => {
      return { kind, alg, inFor: (at - now) / 1000, waitsForNodes: waitsForNodeIds.length };
    }),
  );
}

function measure({ rotation, ring, metrics }: WatchedKeys): void {
  const { ring: served, damaged } = ring.served;
  const now = ring.databaseNow;
  for (const alg of watchedAlgorithms(served, rotation.policy)) {
    metrics.setRotationOverdue(alg, overdueFor(served, rotation.policy, alg, now));
  }
  metrics.setSigningKeys(
    served.version,
    served.keys.filter(isPublished).map(({ kid, alg, state, createdAt, activatedAt }) => ({
      ...{ kid, alg, state, ageFor: (now - createdAt) / 1000 },
      activeFor: state === 'active' ? (now - (activatedAt ?? now)) / 1000 : undefined,
    })),
  );
  metrics.setKeyRingHealth(ring.age, damaged.length);
}

/** Those of the settings, and those that sign although this node's settings do not name them. */
function watchedAlgorithms(ring: Ring, { algorithms }: KeyPolicy): ReadonlySet<SigningAlgorithm> {
  const signing = ring.keys.filter(({ state }) => state === 'active').map(({ alg }) => alg);
  return new Set([...algorithms, ...signing]);
}

/** All that is wrong at this moment. Whether it has been told already is not decided here. */
export function keyAlerts({ rotation, ring }: Pick<WatchedKeys, 'rotation' | 'ring'>): readonly Alert[] {
  const { ring: served, damaged } = ring.served;
  const { policy, nodeId } = rotation;
  const alerts: Alert[] = [];
  const { regression } = ring;
  if (regression !== undefined) {
    const evidence = {
      node: nodeId,
      served_version: regression.knownVersion,
      found_version: regression.found.version,
    };
    alerts.push({ signal: 'key_ring.regressed', subject: 'key_ring', evidence });
  }
  if (!ring.isClockTrusted) {
    const evidence = { ahead_seconds: Math.round(ring.clockDrift / 1000) };
    alerts.push({ signal: 'clock.drifted', subject: nodeId, evidence });
  }
  for (const kid of damaged) {
    const key = served.keys.find(each => each.kid === kid);
    const evidence = { alg: key?.alg, state: key?.state, ring_version: served.version, node: nodeId };
    alerts.push({ signal: 'signing_key.damaged', subject: kid, evidence });
  }
  for (const alg of watchedAlgorithms(served, policy)) {
    const overdue = overdueFor(served, policy, alg, ring.databaseNow);
    if (overdue <= policy.rotateEvery) continue;
    const evidence = { alg, overdue_seconds: Math.floor(overdue), rotate_every_seconds: policy.rotateEvery };
    alerts.push({ signal: 'signing_key.overdue', subject: alg, evidence });
  }
  return alerts;
}
