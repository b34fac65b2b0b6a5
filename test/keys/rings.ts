import type { NodeLease } from '../../src/database/node-leases.js';
import { deriveKeyPolicy, type KeyPolicy } from '../../src/keys/key-policy.js';
import { nextTransition } from '../../src/keys/key-schedule.js';
import { applyTransition, keysNeededBy, type Transition } from '../../src/keys/key-state.js';
import type { NewSigningKey, Ring } from '../../src/keys/signing-key.js';
import type { SigningAlgorithm } from '../../src/protocol.js';

export const T0 = 1_800_000_000_000;
export const EMPTY: Ring = { version: 0, keys: [] };

export const policy: KeyPolicy = deriveKeyPolicy({
  keys: {
    announceFor: 1500,
    rotateEvery: 7200,
    algorithms: ['ES256', 'RS256'],
    signing: [],
    transitMount: 'transit',
    jwksMaxAgeFor: 300,
    clockSkewFor: 60,
    accessTokenAlgorithm: 'ES256',
    idTokenAlgorithm: 'RS256',
    promotion: 'warn',
    verifierNetworks: [],
    verifierSeenWithin: 7 * 86_400,
  },
  environment: 'test',
  tokens: { accessTokenFor: 600, longestTokenFor: 3600 },
});

/** A ring that a test drives; its keys are named k1, k2, … and hold no real key, which the ring never looks at. */
export class DrivenRing {
  ring: Ring = EMPTY;
  policy: KeyPolicy;
  readonly history: Transition[] = [];
  #made = 0;

  constructor(keyPolicy: KeyPolicy = policy) {
    this.policy = keyPolicy;
  }

  newKey(alg: SigningAlgorithm): NewSigningKey {
    this.#made += 1;
    const kid = `k${this.#made}`;
    return {
      kid,
      alg,
      publicJwk: { kty: alg === 'ES256' ? 'EC' : 'RSA', kid },
      sealedPrivate: `sealed ${kid}`,
    };
  }

  apply(transition: Transition, now: number): Ring {
    const newKeys = keysNeededBy(transition).map(alg => this.newKey(alg));
    this.ring = applyTransition(this.ring, transition, now, newKeys);
    this.history.push(transition);
    return this.ring;
  }

  /** What the rotation job does: everything that is due. Returns the transitions it applied. */
  settle(now: number, leases: readonly NodeLease[] = []): Transition[] {
    const applied: Transition[] = [];
    for (;;) {
      const transition = nextTransition(this.ring, this.policy, leases, now);
      if (transition === undefined) return applied;
      if (applied.length > 100) throw new Error('the schedule does not come to rest');
      this.apply(transition, now);
      applied.push(transition);
    }
  }
}

export function seconds(count: number): number {
  return count * 1000;
}
