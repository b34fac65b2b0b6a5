import { activeOf, assertInvariants, isPublished, successorOf } from './key-state.js';
import type { Ring, SigningKey } from './signing-key.js';

/**
 * A ring only grows. One that is older, that lacks a key verifiers were shown, or that trusts a key which is known to be
 * revoked, comes from another past: the version alone would not tell once somebody has changed a restored ring up to it.
 */
export function isAnotherHistory(found: Ring, known: Ring): boolean {
  if (found.version < known.version) return true;
  const states = new Map(found.keys.map(({ kid, state }) => [kid, state] as const));
  return known.keys.some(key => {
    const state = states.get(key.kid);
    if (state === undefined) return isPublished(key);
    if (found.version === known.version) return state !== key.state;
    return key.state === 'revoked' && state !== 'revoked';
  });
}

/**
 * One ring of several pasts, after the restore of a backup. The newest past that a running node remembers decides,
 * because its keys are what verifiers hold: its active key goes on signing. What only another past publishes (made
 * since the restore, say) may have signed: it stays published until no token of it can be alive, and signs no more.
 * What is revoked in any past is revoked.
 *
 * @param remembered the newest past first; at least one
 * @param now database clock, milliseconds
 */
export function mergeRings(stored: Ring, remembered: readonly Ring[], now: number): Ring {
  const [newest, ...older] = remembered;
  if (newest === undefined) throw new TypeError('nobody remembers another ring');
  const version = Math.max(stored.version, ...remembered.map(ring => ring.version)) + 1;
  const keys = new Map(newest.keys.map(key => [key.kid, key] as const));
  for (const key of [stored, ...older].flatMap(ring => ring.keys)) {
    const known = keys.get(key.kid);
    if (known === undefined) keys.set(key.kid, setAside(key, version, now));
    else if (known.state === 'retired' && isPublished(key)) keys.set(key.kid, setAside(key, version, now));
    else if (key.state === 'revoked' && known.state !== 'revoked')
      keys.set(key.kid, revoked(known, key, now));
  }
  const merged = withSuccessors({ version, keys: [...keys.values()] }, newest, now);
  assertInvariants(merged);
  return merged;
}

function setAside(key: SigningKey, version: number, now: number): SigningKey {
  if (!isPublished(key)) return key;
  return { ...key, announcedVersion: version, state: 'retained', retainedAt: now, sealedPrivate: undefined };
}

function revoked(known: SigningKey, elsewhere: SigningKey, now: number): SigningKey {
  return { ...known, state: 'revoked', revokedAt: elsewhere.revokedAt ?? now, sealedPrivate: undefined };
}

/** An algorithm whose active key is revoked in another past goes on with the successor that verifiers hold. */
function withSuccessors(ring: Ring, newest: Ring, now: number): Ring {
  const promoted = new Set<string>();
  for (const { alg, state } of newest.keys) {
    if (state !== 'active' || activeOf(ring, alg) !== undefined) continue;
    const successor = successorOf(ring, alg);
    if (successor !== undefined) promoted.add(successor.kid);
  }
  const keys = ring.keys.map((key): SigningKey => {
    return promoted.has(key.kid) ? { ...key, state: 'active', activatedAt: now } : key;
  });
  return { version: ring.version, keys };
}
