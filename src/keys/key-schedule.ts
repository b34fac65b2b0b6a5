import type { NodeLease } from '../database/node-leases.js';
import type { SigningAlgorithm } from '../protocol.js';
import { after, type KeyPolicy } from './key-policy.js';
import { activeOf, maySign, requireKey, successorOf, type Transition } from './key-state.js';
import type { Ring, SigningKey } from './signing-key.js';

/** Somebody asked for a rotation before its time. Without `alg`, for every algorithm of the policy. */
export interface RotateIntent {
  readonly alg?: SigningAlgorithm | undefined;
  /** Skip the rest of announceFor. The barrier of live nodes is never skipped. */
  readonly now: boolean;
  /** Sign although some verifier may still hold a JWKS without the key. */
  readonly acceptsRisk: boolean;
}

export type RotationDecision =
  | { readonly alg: SigningAlgorithm; readonly outcome: 'rotates'; readonly transition: Transition }
  /** The announcement ends at `until`; `--now` carries no risk for caches that obey max-age from `nowFrom` on. */
  | {
      readonly alg: SigningAlgorithm;
      readonly outcome: 'waits_for_announcement';
      readonly kid: string;
      readonly until: number;
      readonly nowFrom: number;
    }
  /** These live nodes do not serve the successor yet. */
  | {
      readonly alg: SigningAlgorithm;
      readonly outcome: 'waits_for_nodes';
      readonly kid: string;
      readonly nodeIds: readonly string[];
    }
  /** Verifiers that fetched the JWKS before the announcement may refuse tokens until `safeAt`. */
  | {
      readonly alg: SigningAlgorithm;
      readonly outcome: 'needs_acceptance';
      readonly kid: string;
      readonly safeAt: number;
    }
  /** These verifiers have not fetched the successor; it is not held back for them longer than `until`. */
  | {
      readonly alg: SigningAlgorithm;
      readonly outcome: 'waits_for_verifiers';
      readonly kid: string;
      readonly verifiers: readonly string[];
      readonly until: number;
    }
  /** Its private half cannot be opened: it would sign nothing. */
  | { readonly alg: SigningAlgorithm; readonly outcome: 'successor_damaged'; readonly kid: string }
  | { readonly alg: SigningAlgorithm; readonly outcome: 'not_in_policy' }
  /** No announced key: the next scheduled transition announces one. */
  | { readonly alg: SigningAlgorithm; readonly outcome: 'no_successor' };

/** Names of the verifiers that each announced key waits for, by kid; a key that waits for nobody is not in it. */
export type HeldPromotions = ReadonlyMap<string, readonly string[]>;

const NONE_HELD: ReadonlyMap<string, readonly string[]> = new Map();

/** Something that will happen by itself, for whoever looks at the ring. */
export interface UpcomingEvent {
  readonly kind: 'create' | 'announce' | 'activate' | 'retire';
  readonly alg: SigningAlgorithm;
  readonly kid: string | undefined;
  readonly at: number;
  /** Live nodes that must acknowledge first, as far as is known now. */
  readonly waitsForNodeIds: readonly string[];
  /** Verifiers that must fetch the key first, but for no longer than `waitsUntil`. */
  readonly waitsForVerifiers?: readonly string[];
  readonly waitsUntil?: number;
}

/** The next step that is due by itself, or undefined. Apply it and ask again until there is none. */
export function nextTransition(
  ring: Ring,
  policy: KeyPolicy,
  leases: readonly NodeLease[],
  now: number,
  held: HeldPromotions = NONE_HELD,
): Transition | undefined {
  if (ring.keys.length === 0) return { kind: 'create', algorithms: policy.algorithms };
  for (const alg of policy.algorithms) {
    if (successorOf(ring, alg) === undefined) return { kind: 'announce', alg };
  }
  for (const alg of policy.algorithms) {
    const successor = successorOf(ring, alg);
    if (successor === undefined) continue;
    if (now < scheduledActivation(ring, policy, successor)) continue;
    if (nodesWithout(successor, leases, now).length > 0) continue;
    if (verifiersWithout(ring, policy, successor, held, now).length > 0) continue;
    return activation(ring, successor);
  }
  const given = policy.withdraws?.find(alg => ring.keys.some(key => maySign(key, alg)));
  if (given !== undefined) return { kind: 'withdraw', alg: given };
  const expired = ring.keys.find(key => now >= retiresAt(key, policy));
  return expired === undefined ? undefined : { kind: 'retire', kid: expired.kid, alg: expired.alg };
}

/** One decision per algorithm asked for. Refusals are values: the person who asked is told when to ask again. */
export function planRotation(
  ring: Ring,
  policy: KeyPolicy,
  leases: readonly NodeLease[],
  now: number,
  intent: RotateIntent,
  held: HeldPromotions = NONE_HELD,
): readonly RotationDecision[] {
  const algorithms = intent.alg === undefined ? policy.algorithms : [intent.alg];
  return algorithms.map(alg => decideRotation(ring, policy, leases, now, intent, alg, held));
}

function decideRotation(
  ring: Ring,
  policy: KeyPolicy,
  leases: readonly NodeLease[],
  now: number,
  intent: RotateIntent,
  alg: SigningAlgorithm,
  held: HeldPromotions,
): RotationDecision {
  if (!policy.algorithms.includes(alg)) return { alg, outcome: 'not_in_policy' };
  const successor = successorOf(ring, alg);
  if (successor === undefined) return { alg, outcome: 'no_successor' };
  const { kid } = successor;
  const until = after(successor.announcedAt, policy.announceFor);
  const nowFrom = Math.min(
    until,
    after(successor.announcedAt, policy.jwksMaxAgeFor + policy.staleWhileRevalidateFor),
  );
  if (!intent.now && now < until) return { alg, outcome: 'waits_for_announcement', kid, until, nowFrom };
  const nodeIds = nodesWithout(successor, leases, now);
  if (nodeIds.length > 0) return { alg, outcome: 'waits_for_nodes', kid, nodeIds };
  const verifiers = intent.now ? [] : verifiersWithout(ring, policy, successor, held, now);
  if (verifiers.length > 0) {
    return { alg, outcome: 'waits_for_verifiers', kid, verifiers, until: heldUntil(ring, policy, successor) };
  }
  if (now < nowFrom && !intent.acceptsRisk) return { alg, outcome: 'needs_acceptance', kid, safeAt: nowFrom };
  return { alg, outcome: 'rotates', transition: activation(ring, successor) };
}

/**
 * Emergency: from any state, without barrier or announcement, because a stolen key harms more than an unknown one.
 * Undefined when the key is already revoked.
 */
export function revokePlan(ring: Ring, policy: KeyPolicy, kid: string): Transition | undefined {
  const key = requireKey(ring, kid);
  if (key.state === 'revoked') return undefined;
  const { alg } = key;
  const activates = key.state === 'active' ? successorOf(ring, alg)?.kid : undefined;
  const remains = ring.keys.some(
    other => other.alg === alg && other.state === 'announced' && other.kid !== kid && other.kid !== activates,
  );
  return { kind: 'revoke', kid, alg, activates, announces: !remains && policy.algorithms.includes(alg) };
}

/** What comes next for each key and algorithm, soonest first, if nobody intervenes. */
export function nextEvents(
  ring: Ring,
  policy: KeyPolicy,
  leases: readonly NodeLease[],
  now: number,
  held: HeldPromotions = NONE_HELD,
): readonly UpcomingEvent[] {
  const isFresh = ring.keys.length === 0;
  const events = policy.algorithms.map((alg): UpcomingEvent => {
    const successor = successorOf(ring, alg);
    if (successor === undefined) {
      return { kind: isFresh ? 'create' : 'announce', alg, kid: undefined, at: now, waitsForNodeIds: [] };
    }
    const verifiers = verifiersWithout(ring, policy, successor, held, now);
    return {
      kind: 'activate',
      alg,
      kid: successor.kid,
      at: scheduledActivation(ring, policy, successor),
      waitsForNodeIds: nodesWithout(successor, leases, now),
      ...(verifiers.length === 0
        ? {}
        : { waitsForVerifiers: verifiers, waitsUntil: heldUntil(ring, policy, successor) }),
    };
  });
  const retirements = ring.keys
    .filter(key => key.state === 'retained')
    .map((key): UpcomingEvent => {
      return { kind: 'retire', alg: key.alg, kid: key.kid, at: retiresAt(key, policy), waitsForNodeIds: [] };
    });
  return [...events, ...retirements].sort((a, b) => a.at - b.at);
}

function activation(ring: Ring, successor: SigningKey): Transition {
  const { kid, alg } = successor;
  const isLast = !ring.keys.some(key => key.alg === alg && key.state === 'announced' && key.kid !== kid);
  return { kind: 'activate', kid, alg, demotes: activeOf(ring, alg)?.kid, announces: isLast };
}

function scheduledActivation(ring: Ring, policy: KeyPolicy, successor: SigningKey): number {
  const announcementEnds = after(successor.announcedAt, policy.announceFor);
  const activatedAt = activeOf(ring, successor.alg)?.activatedAt;
  if (activatedAt === undefined) return announcementEnds;
  return Math.max(announcementEnds, after(activatedAt, policy.rotateEvery));
}

/** Seconds that the algorithm's active key has been in use beyond its time; 0 when it is not due. */
export function overdueFor(ring: Ring, policy: KeyPolicy, alg: SigningAlgorithm, now: number): number {
  const activatedAt = activeOf(ring, alg)?.activatedAt;
  if (activatedAt === undefined) return 0;
  return Math.max(0, (now - after(activatedAt, policy.rotateEvery)) / 1000);
}

function retiresAt(key: SigningKey, policy: KeyPolicy): number {
  if (key.state !== 'retained' || key.retainedAt === undefined) return Number.POSITIVE_INFINITY;
  return after(key.retainedAt, policy.retainFor);
}

/** Announced keys that could sign by now and may still be held back for verifiers: whom they wait for is worth a look. */
export function holdable(ring: Ring, policy: KeyPolicy, now: number): readonly SigningKey[] {
  return ring.keys.filter(
    key =>
      key.state === 'announced' &&
      now >= after(key.announcedAt, policy.announceFor) &&
      now < heldUntil(ring, policy, key),
  );
}

/** However many verifiers are missing: one that has been switched off must not keep an old key signing. */
function heldUntil(ring: Ring, policy: KeyPolicy, key: SigningKey): number {
  return after(scheduledActivation(ring, policy, key), Math.floor(policy.announceFor / 2));
}

function verifiersWithout(
  ring: Ring,
  policy: KeyPolicy,
  key: SigningKey,
  held: HeldPromotions,
  now: number,
): readonly string[] {
  return now < heldUntil(ring, policy, key) ? (held.get(key.kid) ?? []) : [];
}

/** The barrier. A lapsed lease is not waited for: such a node has stopped answering by itself. */
function nodesWithout(key: SigningKey, leases: readonly NodeLease[], now: number): readonly string[] {
  return leases
    .filter(lease => lease.leaseUntil > now && lease.servedVersion < key.announcedVersion)
    .map(lease => lease.nodeId);
}
