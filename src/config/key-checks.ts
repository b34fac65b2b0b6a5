import type { Fault } from '../errors.js';
import type { SigningAlgorithm } from '../protocol.js';
import { type Config, DEVELOPMENT } from './config.js';
import {
  jwksCachedFor,
  jwksServableLimit,
  retainFor,
  SERVING_MARGIN_FOR,
  SHORTEST_SERVABLE_FOR,
} from './derived.js';
import { DAY, HOUR, MINUTE, showDuration } from './duration.js';
import { networkProblem } from './trusted-proxies.js';

export const SHORTEST_ANNOUNCE_FOR = 25 * MINUTE;
export const ADVISED_ANNOUNCE_FOR = 2 * HOUR + 15 * MINUTE;
export const LONGEST_ROTATE_EVERY = 365 * DAY;
export const ADVISED_ROTATE_EVERY = 90 * DAY;

export interface Findings {
  readonly faults: readonly Fault[];
  readonly warnings: readonly Fault[];
}

function announcementFaults({ keys }: Config): Fault[] {
  if (keys.announceFor < SHORTEST_ANNOUNCE_FOR) {
    const problem = `is ${showDuration(keys.announceFor)}; verifiers that cache the JWKS would meet an unknown key. Use at least ${showDuration(SHORTEST_ANNOUNCE_FOR)}.`;
    return [{ at: 'keys.announceFor', problem }];
  }
  if (jwksServableLimit(keys) < SHORTEST_SERVABLE_FOR) {
    const cached = showDuration(jwksCachedFor(keys));
    const problem = `is ${showDuration(keys.announceFor)}, but caches may hold the JWKS for ${cached} and ${showDuration(SERVING_MARGIN_FOR + SHORTEST_SERVABLE_FOR)} must remain; raise it, or lower keys.jwksMaxAgeFor.`;
    return [{ at: 'keys.announceFor', problem }];
  }
  return [];
}

/** What of the surroundings the keys depend on. */
export interface KeySurroundings {
  /** Settings that nobody gave. */
  readonly defaulted?: ReadonlySet<string>;
  /** What this Node.js cannot sign with. */
  readonly unavailableAlgorithms?: readonly SigningAlgorithm[] | undefined;
}

function algorithmFaults({ keys }: Config, surroundings: KeySurroundings): Fault[] {
  const { defaulted, unavailableAlgorithms: unavailable = [] } = surroundings;
  const at = 'keys.algorithms';
  if (keys.algorithms.length === 0) return [{ at, problem: 'is empty; name at least RS256.' }];
  const faults: Fault[] = [];
  if (new Set(keys.algorithms).size !== keys.algorithms.length) {
    faults.push({ at, problem: 'names an algorithm twice; name each once.' });
  }
  if (!keys.algorithms.includes('RS256')) {
    // OpenID Connect Core §15.1: RS256 must be supported; ID tokens use it unless a client registers otherwise.
    faults.push({
      at,
      problem: 'lacks RS256, which ID tokens use by default; add it (OpenID Connect Core §15.1).',
    });
  }
  for (const alg of keys.algorithms) {
    if (!unavailable.includes(alg)) continue;
    const problem = `names ${alg}, which this Node.js cannot sign with; run every node on Node.js 24.7 or newer with OpenSSL 3.5, or leave ${alg} out.`;
    faults.push({ at, problem });
  }
  for (const name of ['accessTokenAlgorithm', 'idTokenAlgorithm'] as const) {
    // One that nobody named gives way to RS256 where the operator has left it out.
    if (keys.algorithms.includes(keys[name]) || defaulted?.has(`keys.${name}`) === true) continue;
    const problem = `is ${keys[name]}, which is not in keys.algorithms; add it there, or choose one of ${keys.algorithms.join(', ')}.`;
    faults.push({ at: `keys.${name}`, problem });
  }
  return faults;
}

/** Each entry is compared with every new address, so there are few. */
export const MOST_VERIFIER_NETWORKS = 64;

function verifierFaults({ keys }: Config): Fault[] {
  const at = 'keys.verifierNetworks';
  const faults: Fault[] = keys.verifierNetworks.flatMap(entry => {
    const problem = networkProblem(entry);
    // Then anyone on the internet could hold a promotion back by asking for the keys once.
    if (problem === undefined && entry.endsWith('/0'))
      return [{ at, problem: `has ${entry}, which is everyone; name the networks of your verifiers.` }];
    return problem === undefined ? [] : [{ at, problem }];
  });
  if (keys.verifierNetworks.length > MOST_VERIFIER_NETWORKS) {
    const problem = `has ${keys.verifierNetworks.length} entries; at most ${MOST_VERIFIER_NETWORKS}. Write wider ranges.`;
    faults.push({ at, problem });
  }
  return faults;
}

export function checkKeys(config: Config, surroundings: KeySurroundings = {}): Findings {
  const isDevelopment = config.environment === DEVELOPMENT;
  const { announceFor, rotateEvery } = config.keys;
  const faults: Fault[] = [...algorithmFaults(config, surroundings), ...verifierFaults(config)];
  const warnings: Fault[] = [];

  if (!isDevelopment) faults.push(...announcementFaults(config));
  if (!isDevelopment && announceFor >= SHORTEST_ANNOUNCE_FOR && announceFor < ADVISED_ANNOUNCE_FOR) {
    const problem = `is ${showDuration(announceFor)}; some verifiers keep a JWKS for two hours. ${showDuration(ADVISED_ANNOUNCE_FOR)} or more is safe for them.`;
    warnings.push({ at: 'keys.announceFor', problem });
  }

  if (rotateEvery > LONGEST_ROTATE_EVERY) {
    const problem = `is ${showDuration(rotateEvery)}; a signing key may be used for at most ${showDuration(LONGEST_ROTATE_EVERY)}. Lower it; 30d is the default.`;
    faults.push({ at: 'keys.rotateEvery', problem });
  } else if (rotateEvery > ADVISED_ROTATE_EVERY) {
    const problem = `is ${showDuration(rotateEvery)}; rotate at least every ${showDuration(ADVISED_ROTATE_EVERY)}.`;
    warnings.push({ at: 'keys.rotateEvery', problem });
  }
  const retained = retainFor(config);
  if (rotateEvery <= announceFor + retained) {
    // Else keys pile up: the next successor would be due before the last key is gone.
    const problem = `is ${showDuration(rotateEvery)}; it must be longer than keys.announceFor and the time a key stays published after use, together ${showDuration(announceFor + retained)}.`;
    (isDevelopment ? warnings : faults).push({ at: 'keys.rotateEvery', problem });
  }
  return { faults, warnings };
}
