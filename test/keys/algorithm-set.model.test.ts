import { expect } from 'chai';
import fc from 'fast-check';
import { REMEMBERED_FOR } from '../../src/database/node-leases.js';
import { policyFor } from '../../src/keys/algorithm-set.js';
import { after } from '../../src/keys/key-policy.js';
import { activeOf, assertInvariants, isPublished } from '../../src/keys/key-state.js';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../src/protocol.js';
import { chosenAlgorithmProblem } from '../../src/resources/chosen-algorithm.js';
import { DrivenRing, policy, T0 } from './rings.js';

const STANDARD = ['ES256', 'RS256'] as const;
const OPTIONAL = SIGNING_ALGORITHMS.filter(alg => alg !== 'ES256' && alg !== 'RS256').slice(0, 3);
const LEASE_FOR = 30;

interface Node {
  algorithms: readonly SigningAlgorithm[];
  /** What it last told the database, and until when that counts. */
  told: readonly SigningAlgorithm[];
  rememberedUntil: number;
}

interface Eyes {
  readonly seesNodes: boolean;
  readonly seesUsers: boolean;
}

/** Three nodes whose configurations differ during a deploy, and people who register what they like, or leave. */
class World {
  readonly driven = new DrivenRing();
  readonly nodes: Node[] = [0, 1, 2].map(() => ({
    algorithms: STANDARD,
    told: STANDARD,
    rememberedUntil: 0,
  }));
  readonly users: SigningAlgorithm[] = [];
  now = T0;
  tokens: { readonly kid: string; readonly expiresAt: number }[] = [];
  /** How often an optional algorithm got its first active key, and was given up. */
  readonly seen = { activated: 0, withdrawn: 0, registered: 0 };
  readonly #eyes: Eyes;

  constructor(eyes: Eyes) {
    this.#eyes = eyes;
    this.nodes.forEach((_, index) => {
      this.beat(index);
    });
    this.tick(0);
  }

  pass(elapsed: number): void {
    this.now = after(this.now, elapsed);
    this.tokens = this.tokens.filter(({ expiresAt }) => expiresAt > this.now);
  }

  beat(index: number): void {
    const node = this.nodes[index];
    if (node === undefined) return;
    node.told = node.algorithms;
    node.rememberedUntil = after(this.now, LEASE_FOR + REMEMBERED_FOR);
  }

  /** As a deploy does it: the old process says goodbye, the new one has another list. */
  restart(index: number, algorithms: readonly SigningAlgorithm[]): void {
    const node = this.nodes[index];
    if (node === undefined) return;
    node.algorithms = [...STANDARD, ...algorithms];
    node.rememberedUntil = 0;
    this.beat(index);
  }

  tick(index: number): void {
    const node = this.nodes[index];
    if (node === undefined) return;
    const configured = [...new Set(this.#remembered().flatMap(({ told }) => told))];
    const before = new Set(this.#active());
    for (;;) {
      this.driven.policy = policyFor(
        this.driven.ring,
        { ...policy, algorithms: node.algorithms },
        {
          configured: this.#eyes.seesNodes ? configured : [],
          inUse: this.#eyes.seesUsers ? this.users : [],
        },
        SIGNING_ALGORITHMS,
      );
      const steps = this.driven.settle(this.now);
      for (const step of steps) {
        if (step.kind === 'withdraw') this.seen.withdrawn += 1;
        if (step.kind === 'activate' && !before.has(step.alg)) this.seen.activated += 1;
      }
      if (steps.length === 0) break;
    }
    for (const alg of before) {
      const isWanted = configured.includes(alg) || node.algorithms.includes(alg);
      if (isWanted) expect(this.#active(), 'what a node is configured for').to.include(alg);
    }
    this.assertSound();
  }

  register(alg: SigningAlgorithm): void {
    const { keys } = this.driven.ring;
    const states = { isFresh: keys.length === 0, active: new Set(this.#active()), announcedAt: new Map() };
    if (chosenAlgorithmProblem(alg, states, undefined) !== undefined) return;
    this.seen.registered += 1;
    this.users.push(alg);
  }

  leave(index: number): void {
    this.users.splice(index % Math.max(1, this.users.length), 1);
  }

  signForAll(): void {
    for (const alg of this.users) {
      const kid = activeOf(this.driven.ring, alg)?.kid ?? '';
      this.tokens.push({ kid, expiresAt: after(this.now, 3600) });
    }
    this.assertSound();
  }

  assertSound(): void {
    const { ring } = this.driven;
    assertInvariants(ring, this.driven.policy.algorithms);
    for (const alg of this.users) expect(this.#active(), 'what is registered').to.include(alg);
    const published = ring.keys.filter(isPublished).map(({ kid }) => kid);
    for (const { kid } of this.tokens) expect(published, 'the key of a live token').to.include(kid);
  }

  #remembered(): Node[] {
    return this.nodes.filter(({ rememberedUntil }) => rememberedUntil > this.now);
  }

  #active(): SigningAlgorithm[] {
    return this.driven.ring.keys.filter(({ state }) => state === 'active').map(({ alg }) => alg);
  }
}

const node = fc.nat({ max: 2 });
const optional = fc.subarray(OPTIONAL);
const any = fc.constantFrom(...STANDARD, ...OPTIONAL);
const act: fc.Arbitrary<(world: World) => void> = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 4000 }).map(time => (world: World) => world.pass(time)) },
  { weight: 6, arbitrary: node.map(index => (world: World) => world.tick(index)) },
  { weight: 4, arbitrary: node.map(index => (world: World) => world.beat(index)) },
  {
    weight: 3,
    arbitrary: fc.tuple(node, optional).map(
      ([index, list]) =>
        (world: World) =>
          world.restart(index, list),
    ),
  },
  { weight: 4, arbitrary: any.map(alg => (world: World) => world.register(alg)) },
  { weight: 2, arbitrary: fc.nat({ max: 9 }).map(index => (world: World) => world.leave(index)) },
  { weight: 3, arbitrary: fc.constant((world: World) => world.signForAll()) },
);
const story = fc.array(act, { minLength: 30, maxLength: 150 });
const ALL = { seesNodes: true, seesUsers: true };

function broken(eyes: Eyes): string {
  const property = fc.property(story, acts => {
    const world = new World(eyes);
    for (const one of acts) one(world);
  });
  const { failed, errorInstance } = fc.check(property, { numRuns: 500, endOnFailure: true });
  return failed ? String(errorInstance) : '';
}

describe('algorithms, any interleaving of deploys, registrations, time and tokens', () => {
  it('have an active key as long as anything is registered with them or a node is configured for them', () => {
    const seen = { activated: 0, withdrawn: 0, registered: 0 };
    const property = fc.property(story, acts => {
      const world = new World(ALL);
      for (const one of acts) one(world);
      for (const name of ['activated', 'withdrawn', 'registered'] as const) seen[name] += world.seen[name];
    });
    fc.assert(property, { numRuns: 100 });
    // The stories are about something.
    expect(seen.activated).to.be.above(50);
    expect(seen.withdrawn).to.be.above(50);
    expect(seen.registered).to.be.above(50);
  });

  it('lose the key of a registered client as soon as nobody looks at what is registered (control)', () => {
    expect(broken({ ...ALL, seesUsers: false })).to.include('what is registered');
  });

  it('lose what another node is configured for as soon as nobody looks at the other nodes (control)', () => {
    expect(broken({ ...ALL, seesNodes: false })).to.include('what a node is configured for');
  });
});
