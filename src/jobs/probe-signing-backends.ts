import type { Alerts } from '../alerts/alerts.js';
import type { KeyRing } from '../keys/key-ring.js';
import { maySign } from '../keys/key-state.js';
import type { RotationContext } from '../keys/rotate.js';
import type { Logger } from '../log.js';

/** Seconds. A restart of an HSM is no reason to wake somebody. */
export const ALERTED_AFTER = 30;

/**
 * Has every key that is elsewhere sign something, the announced ones too: that a node cannot reach one shows before
 * it is needed, and that it is back without waiting for a client to try.
 */
export async function probeSigningBackends(parts: {
  readonly rotation: RotationContext;
  readonly ring: KeyRing;
  readonly alerts: Alerts;
  readonly log: Logger;
}): Promise<void> {
  const { rotation, ring, alerts, log } = parts;
  const { backends, actor, nodeId } = rotation;
  if (backends === undefined) return;
  const { keys } = ring.served.ring;
  const problems = await backends.probe(keys.filter(key => maySign(key, key.alg)));
  for (const { kid, alg, place, failingFor, problem } of problems) {
    log.warn({ event: 'signing_backend.unavailable', kid, alg, place, problem }, 'a key cannot sign');
    if (failingFor < ALERTED_AFTER) continue;
    const evidence = { alg, place, node: nodeId, failing_seconds: Math.floor(failingFor), problem };
    await alerts.raiseAlone({ signal: 'signing_backend.unavailable', subject: kid, evidence }, actor);
  }
}
