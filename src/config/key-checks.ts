import type { Fault } from '../errors.js';
import { type Config, DEVELOPMENT } from './config.js';
import {
  jwksCachedFor,
  jwksServableLimit,
  retainFor,
  SERVING_MARGIN_FOR,
  SHORTEST_SERVABLE_FOR,
} from './derived.js';
import { DAY, HOUR, MINUTE, showDuration } from './duration.js';

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

function algorithmFaults({ keys }: Config): Fault[] {
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
  return faults;
}

export function checkKeys(config: Config): Findings {
  const isDevelopment = config.environment === DEVELOPMENT;
  const { announceFor, rotateEvery } = config.keys;
  const faults: Fault[] = algorithmFaults(config);
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
