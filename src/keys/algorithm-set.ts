import { AVAILABLE_ALGORITHMS } from '../config/available-algorithms.js';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../protocol.js';
import type { KeyPolicy } from './key-policy.js';
import { maySign } from './key-state.js';
import type { Ring } from './signing-key.js';

/** What else, beside a node's own configuration, decides which algorithms have keys. */
export interface AlgorithmDemand {
  /**
   * Configured on nodes that live, or did a while ago. Undefined: one of them does not say, so it may want any. During a
   * rolling deploy nodes have different configurations, and the one with the shorter list must not decide.
   */
  readonly configured: readonly SigningAlgorithm[] | undefined;
  /** Registered for a client or a resource server. Undefined: not known, so any may be. */
  readonly inUse: readonly SigningAlgorithm[] | undefined;
}

/** Algorithms that could be given up: they have keys, and no configuration that is known names them. */
export function unwantedAlgorithms(
  ring: Ring,
  policy: KeyPolicy,
  configured: AlgorithmDemand['configured'],
): readonly SigningAlgorithm[] {
  if (configured === undefined) return [];
  const wanted = new Set([...policy.algorithms, ...configured]);
  return SIGNING_ALGORITHMS.filter(alg => !wanted.has(alg) && ring.keys.some(key => maySign(key, alg)));
}

/**
 * The policy that holds for the whole ring, whoever applies it: every algorithm that some node configures or something
 * is registered with keeps its keys and rotates; the rest is given up. Where something is not known, all stays.
 *
 * A node makes keys only of kinds that it can use itself; the others are left to nodes that can.
 */
export function policyFor(
  ring: Ring,
  policy: KeyPolicy,
  { configured, inUse }: AlgorithmDemand,
  available: readonly SigningAlgorithm[] = AVAILABLE_ALGORITHMS,
): KeyPolicy {
  const unwanted = unwantedAlgorithms(ring, policy, configured);
  const withdraws = inUse === undefined ? [] : unwanted.filter(alg => !inUse.includes(alg));
  const kept = new Set([
    ...policy.algorithms,
    ...(configured ?? []),
    ...(inUse ?? []),
    ...ring.keys.filter(key => maySign(key, key.alg) && !withdraws.includes(key.alg)).map(({ alg }) => alg),
  ]);
  return {
    ...policy,
    algorithms: [
      ...policy.algorithms,
      ...SIGNING_ALGORITHMS.filter(
        alg => kept.has(alg) && available.includes(alg) && !policy.algorithms.includes(alg),
      ),
    ],
    withdraws,
  };
}
