import { appendAuditEvents } from '../audit/audit-log.js';
import type { Actor, AuditEvent } from '../audit/events.js';
import type { Envelope } from '../crypto/envelope.js';
import { lockChanges, recordChange } from '../database/changes.js';
import type { Database, Queryable, Transaction } from '../database/connect.js';
import { configuredAlgorithms, liveNodeLeases, type NodeLease } from '../database/node-leases.js';
import { type AppError, isAppError } from '../errors.js';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../protocol.js';
import { policyFor, unwantedAlgorithms } from './algorithm-set.js';
import { claimExternalKeys, discardExternalKeys, makeExternalKey } from './external-keys.js';
import { generateSigningKey } from './generate-signing-key.js';
import { type KeyPolicy, RELEASE_GRACE_FOR } from './key-policy.js';
import {
  type HeldPromotions,
  holdable,
  nextTransition,
  planRotation,
  type RotateIntent,
  type RotationDecision,
  revokePlan,
} from './key-schedule.js';
import { applyTransition, isDone, keysNeededBy, requireKey, type Transition } from './key-state.js';
import { lockRing, readRing, swapRing } from './key-store.js';
import { isBackendFailure, type SigningBackends } from './signing-backends/signing-backends.js';
import type { KeyState, NewSigningKey, Ring, SigningKey } from './signing-key.js';

/** Where a rotation can be interrupted; tests stop a node at each of them. */
export type RotationStep =
  | 'planned'
  | 'generated'
  | 'begun'
  | 'version_swapped'
  | 'keys_written'
  | 'audited'
  | 'committed';

/** A step that is being taken. */
export interface TakenStep {
  readonly transition: Transition;
  readonly before: Ring;
  readonly after: Ring;
  /** Database clock, milliseconds. */
  readonly now: number;
  readonly actor: Actor;
}

/** What another subject writes with a step (an alert, bits of a status list): in its transaction, or not at all. */
export type RingCompanion = (trx: Transaction, taken: TakenStep) => Promise<void>;

export interface RotationContext {
  readonly database: Database;
  readonly policy: KeyPolicy;
  /** Seals private halves at rest. */
  readonly envelope: Envelope;
  readonly nodeId: string;
  readonly actor: Actor;
  /** Where private halves may be instead of the database. Absent: nowhere. */
  readonly backends?: SigningBackends;
  /** A step waits, because the next key of this algorithm cannot be made where it belongs. */
  readonly onBlocked?: (alg: SigningAlgorithm, error: AppError) => void;
  readonly onStep?: (step: RotationStep, transition: Transition) => void | Promise<void>;
  readonly companions?: readonly RingCompanion[];
  /** Of these, those that a client or resource server is registered with. Absent: any may be, and none is given up. */
  readonly algorithmsInUse?: AlgorithmsInUse;
  /** Whom announced keys wait for. Absent: for no verifier. */
  readonly hold?: PromotionHold | undefined;
  /** Told the database's clock. False: this machine's own is wrong; it makes first keys and takes no other step. */
  readonly isClockRight?: (databaseNow: number) => boolean;
}

export type PromotionHold = (
  on: Queryable,
  announced: readonly SigningKey[],
  now: number,
) => Promise<HeldPromotions>;

export type AlgorithmsInUse = (
  on: Queryable,
  among: readonly SigningAlgorithm[],
) => Promise<readonly SigningAlgorithm[]>;

interface Seen {
  readonly ring: Ring;
  /** The context's own, with what other nodes and what is registered add to it. */
  readonly policy: KeyPolicy;
  readonly leases: readonly NodeLease[];
  readonly now: number;
  readonly held: HeldPromotions | undefined;
}

/** A private half opens only as the private half of its own kid. */
export function sealContext(kid: string): string {
  return `signing_keys.sealed_private:${kid}`;
}

/**
 * Why a key's private half cannot be opened; undefined where it can, or where it is elsewhere and shows when it is asked.
 * Such a key must not take the place of one that signs.
 */
export function damageOf(
  { kid, sealedPrivate }: SigningKey,
  envelope: Pick<Envelope, 'open'>,
): AppError | undefined {
  if (sealedPrivate === undefined) return undefined;
  try {
    envelope.open(sealedPrivate, sealContext(kid));
    return undefined;
  } catch (error) {
    if (isAppError(error)) return error;
    throw error;
  }
}

async function see(context: RotationContext, on: Queryable): Promise<Seen> {
  const now = await context.database.now(on);
  const ring = await readRing(on);
  const policy = await readPolicy(context, on, ring, now);
  const announced = context.hold === undefined ? [] : holdable(ring, policy, now);
  const held = announced.length === 0 ? undefined : await context.hold?.(on, announced, now);
  return { ring, policy, leases: await liveNodeLeases(on, now), now, held };
}

/** The policy as the whole ring has it, whatever this node alone is configured for. */
export async function readPolicy(
  { policy, algorithmsInUse }: Pick<RotationContext, 'policy' | 'algorithmsInUse'>,
  on: Queryable,
  ring: Ring,
  now: number,
): Promise<KeyPolicy> {
  const configured = await configuredAlgorithms(on, now);
  // What is in use is asked only when it decides something: all registered clients are looked through.
  const asked = ring.keys.length === 0 ? SIGNING_ALGORITHMS : unwantedAlgorithms(ring, policy, configured);
  const inUse = asked.length === 0 ? [] : await algorithmsInUse?.(on, asked);
  return policyFor(ring, policy, { configured, inUse });
}

/** Takes every step that is due by itself, one transaction each. Safe on any number of nodes at once. */
export async function advanceRing(context: RotationContext): Promise<readonly Transition[]> {
  const taken: Transition[] = [];
  const blocked: SigningAlgorithm[] = [];
  for (;;) {
    const seen = await context.database.read(on => see(context, on));
    const due = ({ ring, policy, leases, now, held }: Seen) => {
      const algorithms = policy.algorithms.filter(alg => !blocked.includes(alg));
      return nextTransition(ring, { ...policy, algorithms }, leases, now, held);
    };
    const transition = due(seen);
    if (transition === undefined) return taken;
    if (transition.kind !== 'create' && context.isClockRight?.(seen.now) === false) return taken;
    if (transition.kind === 'activate') {
      const damage = damageOf(requireKey(seen.ring, transition.kid), context.envelope);
      if (damage !== undefined) {
        // The old key goes on signing, and an alert says which one to revoke.
        blocked.push(transition.alg);
        context.onBlocked?.(transition.alg, damage);
        continue;
      }
    }
    try {
      if (await take(context, transition, due)) taken.push(transition);
    } catch (error) {
      if (transition.kind === 'create' || !isBackendFailure(error)) throw error;
      // One HSM that is away must not stop the keys that are not in it. The next turn tries again.
      blocked.push(transition.alg);
      context.onBlocked?.(transition.alg, error);
    }
  }
}

/** Rotates before the time, as far as the announcement and the live nodes allow it. */
export async function rotateNow(
  context: RotationContext,
  intent: RotateIntent,
): Promise<readonly RotationDecision[]> {
  const plan = ({ ring, policy, leases, now, held }: Seen) =>
    refuseDamaged(planRotation(ring, policy, leases, now, intent, held), ring, context.envelope);
  const decisions = plan(await context.database.read(on => see(context, on)));
  return Promise.all(decisions.map(decision => carryOut(context, decision, plan)));
}

/** A plan looks at the ring alone; whether the successor could sign, only its private half tells. */
export function refuseDamaged(
  decisions: readonly RotationDecision[],
  ring: Ring,
  envelope: Pick<Envelope, 'open'>,
): readonly RotationDecision[] {
  return decisions.map(decision => {
    if (decision.outcome !== 'rotates' || decision.transition.kind !== 'activate') return decision;
    const { alg, kid } = decision.transition;
    const isDamaged = damageOf(requireKey(ring, kid), envelope) !== undefined;
    return isDamaged ? { alg, outcome: 'successor_damaged', kid } : decision;
  });
}

/** @returns what happened: another node may have done it first, or something may have come in the way. */
async function carryOut(
  context: RotationContext,
  decision: RotationDecision,
  plan: (seen: Seen) => readonly RotationDecision[],
): Promise<RotationDecision> {
  if (decision.outcome !== 'rotates') return decision;
  const { alg, transition } = decision;
  const isTaken = await take(context, transition, seen => {
    const again = plan(seen).find(other => other.alg === alg);
    return again?.outcome === 'rotates' ? again.transition : undefined;
  });
  if (isTaken) return decision;
  const seen = await context.database.read(on => see(context, on));
  if (isDone(seen.ring, transition)) return decision;
  const again = plan(seen).find(other => other.alg === alg) ?? decision;
  return carryOut(context, again, plan);
}

/**
 * Emergency: the key is trusted by nobody from the commit on, its tokens are inactive, and its successor signs.
 *
 * @returns undefined when it was revoked before.
 */
export async function revokeSigningKey(
  context: RotationContext,
  kid: string,
): Promise<Transition | undefined> {
  let mayAnnounce = true;
  const plan = ({ ring, policy }: Seen) => {
    const transition = revokePlan(ring, policy, kid);
    return transition?.kind === 'revoke' && !mayAnnounce ? { ...transition, announces: false } : transition;
  };
  for (;;) {
    const transition = plan(await context.database.read(on => see(context, on)));
    if (transition === undefined) return undefined;
    try {
      if (await take(context, transition, plan)) return transition;
    } catch (error) {
      if (!mayAnnounce || !isBackendFailure(error)) throw error;
      // The emergency does not wait for an HSM: the next successor is announced when it answers again.
      mayAnnounce = false;
    }
  }
}

/**
 * One step: keys are generated outside the transaction (RSA takes a second), then everything is looked at again
 * inside it, so that a step is only ever taken on what is true at its commit.
 *
 * @returns false when it was not this call that took it; another node's work is success.
 */
async function take(
  context: RotationContext,
  transition: Transition,
  stillDue: (seen: Seen) => Transition | undefined,
): Promise<boolean> {
  const { database, nodeId } = context;
  const step = async (name: RotationStep) => context.onStep?.(name, transition);
  await step('planned');
  const newKeys = await Promise.all(keysNeededBy(transition).map(alg => newKey(context, alg)));
  await step('generated');
  const isTaken = await database.transaction(async trx => {
    await step('begun');
    if (transition.kind === 'withdraw') {
      // Whoever registers an algorithm locks the changes first, too: it either commits before, and is seen below, or
      // comes after, and is told that the algorithm is gone. The ring comes first, as in every other step.
      await lockRing(trx);
      await lockChanges(trx);
    }
    const seen = await see(context, trx);
    if (isDone(seen.ring, transition) || !isSame(stillDue(seen), transition)) return false;
    const next = applyTransition(seen.ring, transition, seen.now, newKeys);
    if (!(await swapRing(trx, seen.ring, next, step))) return false;
    await claimExternalKeys(trx, newKeys);
    await step('keys_written');
    await appendAuditEvents(database, trx, tell(context.actor, seen.ring, next), nodeId, seen.now);
    await step('audited');
    if (transition.kind === 'revoke') await revokeTokensOf(trx, transition.kid, context.policy, seen.now);
    const taken = { transition, before: seen.ring, after: next, now: seen.now, actor: context.actor };
    for (const companion of context.companions ?? []) await companion(trx, taken);
    await recordChange(trx, 'key_ring', String(next.version), seen.now);
    return true;
  });
  if (isTaken) await step('committed');
  else if (context.backends !== undefined)
    await discardExternalKeys({ ...context, backends: context.backends }, newKeys);
  return isTaken;
}

function isSame(a: Transition | undefined, b: Transition): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

async function newKey(context: RotationContext, alg: SigningKey['alg']): Promise<NewSigningKey> {
  const { backends } = context;
  const place = backends?.placeOf(alg) ?? 'local';
  if (backends !== undefined && place !== 'local') {
    return makeExternalKey({ ...context, backends }, place, alg);
  }
  const { kid, publicJwk, privateJwk } = await generateSigningKey(alg);
  const sealedPrivate = context.envelope.seal(JSON.stringify(privateJwk), sealContext(kid));
  return { kid, alg, publicJwk, sealedPrivate };
}

/** Introspection refuses them until the last of them has expired anyway. */
export async function revokeTokensOf(
  trx: Transaction,
  kid: string,
  policy: KeyPolicy,
  now: number,
): Promise<void> {
  const expiresAt = now + (policy.retainFor + RELEASE_GRACE_FOR) * 1000;
  await trx('revoked_tokens')
    .insert({ kind: 'kid', value: kid, issued_before: null, revoked_at: now, expires_at: expiresAt })
    .onConflict(['kind', 'value'])
    .ignore();
}

const TOLD_AS = {
  announced: 'signing_key.announced',
  active: 'signing_key.activated',
  retained: 'signing_key.retained',
  retired: 'signing_key.retired',
  revoked: 'signing_key.revoked',
} as const satisfies Record<KeyState, AuditEvent['event']>;

/** An event for each key whose state differs. */
export function tell(actor: Actor, before: Ring, after: Ring): AuditEvent[] {
  const known = new Map(before.keys.map(key => [key.kid, key]));
  return after.keys
    .filter(key => known.get(key.kid)?.state !== key.state)
    .map(key => ({
      event: TOLD_AS[key.state],
      outcome: 'success' as const,
      actor,
      subject: key.kid,
      detail: { alg: key.alg, ring_version: after.version },
    }));
}
