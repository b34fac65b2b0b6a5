import { appendAuditEvents } from '../audit/audit-log.js';
import type { Actor, AuditEvent } from '../audit/events.js';
import type { Envelope } from '../crypto/envelope.js';
import { recordChange } from '../database/changes.js';
import type { Database, Transaction } from '../database/connect.js';
import { liveNodeLeases, type NodeLease } from '../database/node-leases.js';
import { generateSigningKey } from './generate-signing-key.js';
import { type KeyPolicy, RELEASE_GRACE_FOR } from './key-policy.js';
import {
  nextTransition,
  planRotation,
  type RotateIntent,
  type RotationDecision,
  revokePlan,
} from './key-schedule.js';
import { applyTransition, isDone, keysNeededBy, type Transition } from './key-state.js';
import { readRing, swapRing } from './key-store.js';
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

export interface RotationContext {
  readonly database: Database;
  readonly policy: KeyPolicy;
  /** Seals private halves at rest. */
  readonly envelope: Envelope;
  readonly nodeId: string;
  readonly actor: Actor;
  readonly onStep?: (step: RotationStep, transition: Transition) => void | Promise<void>;
}

interface Seen {
  readonly ring: Ring;
  readonly leases: readonly NodeLease[];
  readonly now: number;
}

/** A private half opens only as the private half of its own kid. */
export function sealContext(kid: string): string {
  return `signing_keys.sealed_private:${kid}`;
}

async function see(database: Database, on: Transaction | Database['reader']): Promise<Seen> {
  const now = await database.now(on);
  return { ring: await readRing(on), leases: await liveNodeLeases(on, now), now };
}

/** Takes every step that is due by itself, one transaction each. Safe on any number of nodes at once. */
export async function advanceRing(context: RotationContext): Promise<readonly Transition[]> {
  const taken: Transition[] = [];
  for (;;) {
    const seen = await context.database.read(on => see(context.database, on));
    const due = ({ ring, leases, now }: Seen) => nextTransition(ring, context.policy, leases, now);
    const transition = due(seen);
    if (transition === undefined) return taken;
    if (await take(context, transition, due)) taken.push(transition);
  }
}

/** Rotates before the time, as far as the announcement and the live nodes allow it. */
export async function rotateNow(
  context: RotationContext,
  intent: RotateIntent,
): Promise<readonly RotationDecision[]> {
  const plan = ({ ring, leases, now }: Seen) => planRotation(ring, context.policy, leases, now, intent);
  const decisions = plan(await context.database.read(on => see(context.database, on)));
  return Promise.all(decisions.map(decision => carryOut(context, decision, plan)));
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
  const seen = await context.database.read(on => see(context.database, on));
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
  const plan = ({ ring }: Seen) => revokePlan(ring, context.policy, kid);
  for (;;) {
    const transition = plan(await context.database.read(on => see(context.database, on)));
    if (transition === undefined) return undefined;
    if (await take(context, transition, plan)) return transition;
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
    const seen = await see(database, trx);
    if (isDone(seen.ring, transition) || !isSame(stillDue(seen), transition)) return false;
    const next = applyTransition(seen.ring, transition, seen.now, newKeys);
    if (!(await swapRing(trx, seen.ring, next, step))) return false;
    await step('keys_written');
    await appendAuditEvents(database, trx, tell(context.actor, seen.ring, next), nodeId, seen.now);
    await step('audited');
    if (transition.kind === 'revoke') await revokeTokensOf(trx, transition.kid, context.policy, seen.now);
    await recordChange(trx, 'key_ring', String(next.version), seen.now);
    return true;
  });
  if (isTaken) await step('committed');
  return isTaken;
}

function isSame(a: Transition | undefined, b: Transition): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

async function newKey(context: RotationContext, alg: SigningKey['alg']): Promise<NewSigningKey> {
  const { kid, publicJwk, privateJwk } = await generateSigningKey(alg);
  const sealedPrivate = context.envelope.seal(JSON.stringify(privateJwk), sealContext(kid));
  return { kid, alg, publicJwk, sealedPrivate };
}

/** Introspection refuses them until the last of them has expired anyway. */
async function revokeTokensOf(trx: Transaction, kid: string, policy: KeyPolicy, now: number): Promise<void> {
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

function tell(actor: Actor, before: Ring, after: Ring): AuditEvent[] {
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
