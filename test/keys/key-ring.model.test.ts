import { expect } from 'chai';
import fc from 'fast-check';
import type { NodeLease } from '../../src/database/node-leases.js';
import { after, type KeyPolicy } from '../../src/keys/key-policy.js';
import { planRotation, revokePlan } from '../../src/keys/key-schedule.js';
import { activeOf, assertInvariants, isPublished } from '../../src/keys/key-state.js';
import type { Ring } from '../../src/keys/signing-key.js';
import type { SigningAlgorithm } from '../../src/protocol.js';
import { DrivenRing, EMPTY, policy, seconds, T0 } from './rings.js';

const LEASE_FOR = 30;

interface Node {
  ring: Ring;
  leaseUntil: number;
}

interface LiveToken {
  readonly kid: string;
  readonly expiresAt: number;
}

/** Nodes with a ring of their own age, tokens that live on, and somebody who does everything at any time. */
class World {
  readonly driven: DrivenRing;
  readonly nodes: Node[] = [0, 1, 2].map(() => ({ ring: EMPTY, leaseUntil: 0 }));
  now = T0;
  tokens: LiveToken[] = [];
  readonly #seesLeases: boolean;

  constructor(options: { keyPolicy?: KeyPolicy; seesLeases?: boolean } = {}) {
    this.driven = new DrivenRing(options.keyPolicy);
    this.#seesLeases = options.seesLeases ?? true;
    this.tick();
    this.nodes.forEach((_, index) => {
      this.beat(index, true);
    });
  }

  get leases(): NodeLease[] {
    if (!this.#seesLeases) return [];
    return this.nodes.map(({ ring, leaseUntil }, index) => ({
      nodeId: `n${index}`,
      servedVersion: ring.version,
      leaseUntil,
    }));
  }

  /** A heartbeat; `takesRing` false is a node that is alive but cannot load what it read. */
  beat(index: number, takesRing: boolean): void {
    const node = this.nodes[index];
    if (!node) return;
    if (takesRing) node.ring = this.driven.ring;
    node.leaseUntil = after(this.now, LEASE_FOR);
  }

  pass(elapsed: number): void {
    this.now = after(this.now, elapsed);
    this.tokens = this.tokens.filter(token => token.expiresAt > this.now);
  }

  tick(): void {
    for (const step of this.driven.settle(this.now, this.leases)) {
      if (step.kind === 'activate') this.assertKnownEverywhere(step.kid);
    }
    this.assertSound();
  }

  /** A node signs with the ring it has, however old, and the transaction decides whether the token leaves. */
  sign(index: number, alg: SigningAlgorithm): void {
    const kid = activeOf(this.nodes[index]?.ring ?? EMPTY, alg)?.kid;
    const row = this.driven.ring.keys.find(key => key.kid === kid);
    if (row?.state !== 'active') return;
    this.tokens.push({ kid: row.kid, expiresAt: after(this.now, 3600) });
  }

  rotate(alg: SigningAlgorithm, now: boolean): void {
    const intent = { alg, now, acceptsRisk: false };
    for (const decision of planRotation(
      this.driven.ring,
      this.driven.policy,
      this.leases,
      this.now,
      intent,
    )) {
      if (decision.outcome !== 'rotates') continue;
      const { transition } = decision;
      this.driven.apply(transition, this.now);
      if (transition.kind === 'activate') this.assertKnownEverywhere(transition.kid);
    }
    this.assertSound();
  }

  revoke(index: number): void {
    const { keys } = this.driven.ring;
    const kid = keys[index % keys.length]?.kid ?? '';
    const plan = revokePlan(this.driven.ring, this.driven.policy, kid);
    if (plan) this.driven.apply(plan, this.now);
    this.tokens = this.tokens.filter(token => token.kid !== kid);
    this.assertSound();
  }

  assertSound(): void {
    const { ring } = this.driven;
    assertInvariants(ring, this.driven.policy.algorithms);
    for (const alg of this.driven.policy.algorithms) {
      expect(ring.keys.filter(key => key.alg === alg && key.state === 'active')).to.have.length(1);
    }
    const published = ring.keys.filter(isPublished).map(key => key.kid);
    for (const token of this.tokens) expect(published, 'the key of a live token').to.include(token.kid);
  }

  assertKnownEverywhere(kid: string): void {
    const key = this.driven.ring.keys.find(candidate => candidate.kid === kid);
    const wait = this.driven.policy.jwksMaxAgeFor + this.driven.policy.staleWhileRevalidateFor;
    expect(this.now).to.be.at.least(after(key?.announcedAt ?? Number.NaN, wait));
    for (const { ring, leaseUntil } of this.nodes) {
      if (leaseUntil <= this.now) continue;
      expect(
        ring.keys.map(known => known.kid),
        'the JWKS of a live node',
      ).to.include(kid);
    }
  }
}

const index = fc.nat({ max: 2 });
const alg = fc.constantFrom<SigningAlgorithm>('ES256', 'RS256');
const act: fc.Arbitrary<(world: World) => void> = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 4000 }).map(time => (world: World) => world.pass(time)) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 25 }).map(time => (world: World) => world.pass(time)) },
  { weight: 4, arbitrary: fc.constant((world: World) => world.tick()) },
  {
    weight: 5,
    arbitrary: fc.tuple(index, fc.boolean()).map(
      ([n, takes]) =>
        (world: World) =>
          world.beat(n, takes),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(index, alg).map(
      ([n, a]) =>
        (world: World) =>
          world.sign(n, a),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(alg, fc.boolean()).map(
      ([a, n]) =>
        (world: World) =>
          world.rotate(a, n),
    ),
  },
  { weight: 1, arbitrary: fc.nat({ max: 50 }).map(n => (world: World) => world.revoke(n)) },
);
const story = fc.array(act, { minLength: 20, maxLength: 120 });

function live(acts: ((world: World) => void)[], world: World): void {
  for (const one of acts) one(world);
}

describe('key ring, any interleaving of time, nodes, rotations, tokens and revocations', () => {
  it('keeps every invariant', () => {
    fc.assert(
      fc.property(story, acts => live(acts, new World())),
      { numRuns: 500 },
    );
  });

  it('breaks invariant 2 as soon as the leases are not looked at (control)', () => {
    const { failed, errorInstance } = fc.check(
      fc.property(story, acts => live(acts, new World({ seesLeases: false }))),
      { numRuns: 500, endOnFailure: true },
    );
    expect(failed).to.equal(true);
    expect(String(errorInstance)).to.include('the JWKS of a live node');
  });

  it('breaks invariant 3 as soon as retainFor is shorter than a token (control)', () => {
    const keyPolicy = { ...policy, retainFor: 600 };
    const { failed, errorInstance } = fc.check(
      fc.property(story, acts => live(acts, new World({ keyPolicy }))),
      { numRuns: 500, endOnFailure: true },
    );
    expect(failed).to.equal(true);
    expect(String(errorInstance)).to.include('the key of a live token');
  });
});

/**
 * Verifiers that trust their cache for max-age and never ask again for an unknown kid, in front of nodes that take
 * a new ring some time after it is written.
 */
function unverifiable(keyPolicy: KeyPolicy, rotations: number): { bad: number; good: number } {
  const driven = new DrivenRing(keyPolicy);
  driven.settle(T0);
  const nodes = [0, 1, 2].map(() => ({ ring: driven.ring }));
  const caches = [0, 1, 2, 3].map(() => ({ kids: new Set<string>(), fetchedAt: Number.NEGATIVE_INFINITY }));
  const tokens: LiveToken[] = [];
  let bad = 0;
  let good = 0;
  for (let step = 0; driven.history.filter(({ kind }) => kind === 'activate').length < rotations; step += 1) {
    const now = T0 + seconds(step * 30);
    nodes.forEach((node, i) => {
      if ((step + i) % 3 === 0) node.ring = driven.ring;
    });
    driven.settle(
      now,
      nodes.map(({ ring }, i) => lease(`n${i}`, ring.version, now + 1)),
    );
    caches.forEach((cache, i) => {
      if (now - cache.fetchedAt < seconds(keyPolicy.jwksMaxAgeFor)) return;
      const { ring } = nodes[(step + i) % 3] ?? { ring: EMPTY };
      cache.kids = new Set(ring.keys.filter(isPublished).map(key => key.kid));
      cache.fetchedAt = now;
    });
    for (const { ring } of nodes) {
      for (const name of keyPolicy.algorithms) {
        const row = driven.ring.keys.find(key => key.kid === activeOf(ring, name)?.kid);
        if (row?.state === 'active') tokens.push({ kid: row.kid, expiresAt: now + seconds(3600) });
      }
    }
    while (tokens[0] && tokens[0].expiresAt <= now) tokens.shift();
    for (const kid of new Set(tokens.map(token => token.kid))) {
      for (const cache of caches) {
        if (cache.kids.has(kid)) good += 1;
        else bad += 1;
      }
    }
  }
  return { bad, good };
}

function lease(nodeId: string, servedVersion: number, leaseUntil: number): NodeLease {
  return { nodeId, servedVersion, leaseUntil };
}

describe('key ring, strict verifiers', () => {
  it('verifies every live token through 50 rotations over 3 nodes with a 5-minute cache (requirement 61)', () => {
    const { bad, good } = unverifiable(policy, 50);
    expect(good).to.be.greaterThan(10_000);
    expect(bad).to.equal(0);
  });

  it('fails verifiers when a key signs as soon as it is announced (control)', () => {
    expect(unverifiable({ ...policy, announceFor: 0, rotateEvery: 60 }, 10).bad).to.be.greaterThan(0);
  });

  it('fails verifiers when a key is withdrawn as soon as it stops signing (control)', () => {
    expect(unverifiable({ ...policy, retainFor: 0 }, 10).bad).to.be.greaterThan(0);
  });
});
