import type { SigningAlgorithm } from '../protocol.js';
import { after, ID_TOKEN_HINT_FOR } from './key-policy.js';
import type { NewSigningKey, Ring, SigningKey } from './signing-key.js';

/**
 * One step of the ring. Each is whole: applied alone it takes a sound ring to a sound ring, so a crash between
 * two steps leaves nothing to repair. That is why `activate` and `revoke` bring the next successor with them.
 */
export type Transition =
  /** The first keys of a database that never had one: an active key and a successor per algorithm. */
  | { readonly kind: 'create'; readonly algorithms: readonly SigningAlgorithm[] }
  | { readonly kind: 'announce'; readonly alg: SigningAlgorithm }
  | {
      readonly kind: 'activate';
      readonly kid: string;
      readonly alg: SigningAlgorithm;
      /** The key that signed until now; undefined when the algorithm signs for the first time. */
      readonly demotes: string | undefined;
      readonly announces: boolean;
    }
  | { readonly kind: 'retire'; readonly kid: string; readonly alg: SigningAlgorithm }
  /**
   * The algorithm is given up: nobody configures or uses it any more. Its active key is retained like every key that
   * stops signing; what was only announced has signed nothing and goes at once.
   */
  | { readonly kind: 'withdraw'; readonly alg: SigningAlgorithm }
  | {
      readonly kind: 'revoke';
      readonly kid: string;
      readonly alg: SigningAlgorithm;
      /** The successor that signs from now on, when the revoked key was the active one. */
      readonly activates: string | undefined;
      readonly announces: boolean;
    };

/** One entry per pair to generate and seal before the transition can be applied. */
export function keysNeededBy(transition: Transition): readonly SigningAlgorithm[] {
  switch (transition.kind) {
    case 'create':
      return transition.algorithms.flatMap(alg => [alg, alg]);
    case 'announce':
      return [transition.alg];
    case 'activate':
    case 'revoke':
      return transition.announces ? [transition.alg] : [];
    case 'retire':
    case 'withdraw':
      return [];
  }
}

/**
 * True when the ring already shows what the transition was for. A writer that loses the compare-and-swap asks
 * this before it plans again: another node's work is success, not a reason to rotate twice.
 */
export function isDone(ring: Ring, transition: Transition): boolean {
  if (transition.kind === 'create') return ring.keys.length > 0;
  if (transition.kind === 'announce') return successorOf(ring, transition.alg) !== undefined;
  if (transition.kind === 'withdraw') return !ring.keys.some(key => maySign(key, transition.alg));
  const key = ring.keys.find(candidate => candidate.kid === transition.kid);
  if (transition.kind === 'activate') return key?.activatedAt !== undefined;
  if (transition.kind === 'retire') return key?.state === 'retired' || key?.state === 'revoked';
  return key?.state === 'revoked';
}

/**
 * The ring after the transition, with its version one higher. Throws a TypeError, and so changes nothing, when the
 * transition does not fit the ring or would leave it unsound.
 *
 * @param now database clock, milliseconds
 * @param newKeys one pair for each entry of {@link keysNeededBy}, in that order
 */
export function applyTransition(
  ring: Ring,
  transition: Transition,
  now: number,
  newKeys: readonly NewSigningKey[] = [],
): Ring {
  const needed = keysNeededBy(transition);
  if (needed.length !== newKeys.length || needed.some((alg, index) => newKeys[index]?.alg !== alg)) {
    throw new TypeError(
      `${transition.kind} needs new keys [${needed}], got [${newKeys.map(key => key.alg)}]`,
    );
  }
  const version = ring.version + 1;
  const announced = newKeys.map(key => announce(key, version, now));
  const next = {
    version,
    keys:
      transition.kind === 'create'
        ? firstKeys(ring, announced, now)
        : [...changedKeys(ring, transition, now), ...announced],
  };
  assertInvariants(next);
  assertStillSigns(ring, next, transition);
  return next;
}

/** Pairs per algorithm, active first. No verifier can hold an older JWKS, so the first key signs at once. */
function firstKeys(ring: Ring, announced: readonly SigningKey[], now: number): readonly SigningKey[] {
  if (ring.keys.length > 0) throw new TypeError('create needs a ring that never had a key');
  if (announced.length === 0) throw new TypeError('create needs at least one algorithm');
  return announced.map((key, index) => (index % 2 === 0 ? activate(key, now) : key));
}

function changedKeys(
  ring: Ring,
  transition: Exclude<Transition, { kind: 'create' }>,
  now: number,
): readonly SigningKey[] {
  if (transition.kind !== 'announce' && transition.kind !== 'withdraw') {
    const { alg } = requireKey(ring, transition.kid);
    if (alg !== transition.alg) throw new TypeError(`${transition.kid} is a ${alg} key`);
  }
  switch (transition.kind) {
    case 'announce':
      return ring.keys;
    case 'activate': {
      const demoted = activeOf(ring, transition.alg)?.kid;
      if (demoted !== transition.demotes) {
        throw new TypeError(`${transition.demotes} is not the active ${transition.alg} key`);
      }
      return ring.keys.map(key => {
        if (key.kid === demoted) return retain(key, now);
        return key.kid === transition.kid ? activate(requireState(key, 'announced'), now) : key;
      });
    }
    case 'retire':
      return ring.keys.map(key =>
        key.kid === transition.kid
          ? { ...requireState(key, 'retained'), state: 'retired', retiredAt: now }
          : key,
      );
    case 'withdraw':
      return ring.keys.map(key => {
        if (!maySign(key, transition.alg)) return key;
        return key.state === 'active' ? retain(key, now) : withdraw(key, now);
      });
    case 'revoke':
      return ring.keys.map(key => {
        if (key.kid === transition.kid) return revoke(key, now);
        return key.kid === transition.activates ? activate(requireState(key, 'announced'), now) : key;
      });
  }
}

function announce(key: NewSigningKey, version: number, now: number): SigningKey {
  return { ...key, state: 'announced', announcedVersion: version, createdAt: now, announcedAt: now };
}

function activate(key: SigningKey, now: number): SigningKey {
  return { ...key, state: 'active', activatedAt: now };
}

/** The private half goes here and now: a key that can never sign again cannot be stolen any more. */
function retain(key: SigningKey, now: number): SigningKey {
  return { ...key, state: 'retained', retainedAt: now, sealedPrivate: undefined };
}

/** It never signed, so there is no token to wait for. */
function withdraw(key: SigningKey, now: number): SigningKey {
  return { ...key, state: 'retired', retiredAt: now, sealedPrivate: undefined };
}

function revoke(key: SigningKey, now: number): SigningKey {
  return { ...key, state: 'revoked', revokedAt: now, sealedPrivate: undefined };
}

/**
 * @param algorithms those of the policy; with them, each must have a successor ready for an emergency. Without,
 * only what holds for every ring is asserted (an algorithm taken out of the policy runs out of successors).
 */
export function assertInvariants(ring: Ring, algorithms: readonly SigningAlgorithm[] = []): void {
  const kids = new Set<string>();
  const activeAlgorithms = new Set<SigningAlgorithm>();
  for (const key of ring.keys) {
    if (kids.has(key.kid)) throw new TypeError(`two keys with the kid ${key.kid}`);
    kids.add(key.kid);
    assertKey(key, ring.version);
    if (key.state !== 'active') continue;
    if (activeAlgorithms.has(key.alg)) throw new TypeError(`two active ${key.alg} keys`);
    activeAlgorithms.add(key.alg);
  }
  for (const alg of algorithms) {
    if (successorOf(ring, alg) === undefined) throw new TypeError(`${alg} has no announced successor`);
  }
}

function assertKey(key: SigningKey, ringVersion: number): void {
  const { kid, state } = key;
  const maySignNowOrLater = state === 'announced' || state === 'active';
  // A private half that is elsewhere is named for ever, and destroyed there after the commit.
  const hasPrivate = key.external === undefined ? key.sealedPrivate !== undefined : maySignNowOrLater;
  if (maySignNowOrLater !== hasPrivate || (key.external !== undefined && key.sealedPrivate !== undefined)) {
    throw new TypeError(`${state} key ${kid} ${maySignNowOrLater ? 'lost' : 'still has'} its private half`);
  }
  if (key.announcedVersion > ringVersion) throw new TypeError(`${kid} was announced after the ring`);
  const enteredAt = {
    announced: key.announcedAt,
    active: key.activatedAt,
    retained: key.retainedAt,
    retired: key.retiredAt,
    revoked: key.revokedAt,
  }[state];
  if (enteredAt === undefined) throw new TypeError(`${state} key ${kid} does not say since when`);
}

/** An algorithm that signs goes on signing; only giving it up, or revoking its very last key, may end it. */
function assertStillSigns(before: Ring, next: Ring, transition: Transition): void {
  for (const key of before.keys) {
    if (key.state !== 'active' || activeOf(next, key.alg) !== undefined) continue;
    if (transition.kind === 'withdraw' && transition.alg === key.alg) continue;
    const wasLast = successorOf(before, key.alg) === undefined;
    if (transition.kind !== 'revoke' || transition.kid !== key.kid || !wasLast) {
      throw new TypeError(`${transition.kind} would leave ${key.alg} without an active key`);
    }
  }
}

/** Whether the key signs for the algorithm, or is to. */
export function maySign(key: SigningKey, alg: SigningAlgorithm): boolean {
  return key.alg === alg && (key.state === 'active' || key.state === 'announced');
}

export function isPublished(key: SigningKey): boolean {
  return key.state === 'announced' || key.state === 'active' || key.state === 'retained';
}

/** Beyond the published keys, a retired one still verifies an id_token_hint at logout; a revoked one nothing. */
export function verifiesOwnTokens(key: SigningKey, now: number): boolean {
  if (key.state === 'retired') return now < after(key.retiredAt ?? 0, ID_TOKEN_HINT_FOR);
  return isPublished(key);
}

export function activeOf(ring: Ring, alg: SigningAlgorithm): SigningKey | undefined {
  return ring.keys.find(key => key.alg === alg && key.state === 'active');
}

/** The announced key that verifiers have known the longest. */
export function successorOf(ring: Ring, alg: SigningAlgorithm): SigningKey | undefined {
  return ring.keys
    .filter(key => key.alg === alg && key.state === 'announced')
    .reduce<SigningKey | undefined>(
      (oldest, key) => (oldest && oldest.announcedVersion <= key.announcedVersion ? oldest : key),
      undefined,
    );
}

export function requireKey(ring: Ring, kid: string): SigningKey {
  const key = ring.keys.find(candidate => candidate.kid === kid);
  if (key === undefined) throw new TypeError(`no key ${kid} in the ring`);
  return key;
}

function requireState(key: SigningKey, state: SigningKey['state']): SigningKey {
  if (key.state !== state) throw new TypeError(`${key.kid} is ${key.state}, not ${state}`);
  return key;
}
