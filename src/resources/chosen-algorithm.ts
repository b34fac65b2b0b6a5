import { toRfc3339 } from '../clock.js';
import type { Config } from '../config/config.js';
import type { AlgorithmStates } from '../database/signing-algorithms.js';
import type { SigningAlgorithm } from '../protocol.js';

/** What the operator has configured; absent where nobody says, and then only the ring itself decides. */
export type AlgorithmSettings =
  | Pick<Config['keys'], 'algorithms' | 'announceFor' | 'accessTokenAlgorithm' | 'idTokenAlgorithm'>
  | undefined;

/**
 * Why nobody may be signed for by this algorithm now: a token would be refused, or the algorithm is about to go. Asked
 * of what is newly chosen only; whoever has it keeps it, because the ring keeps the keys of what is in use.
 */
export function chosenAlgorithmProblem(
  alg: SigningAlgorithm,
  states: AlgorithmStates,
  settings: AlgorithmSettings,
): string | undefined {
  const isConfigured = settings === undefined || settings.algorithms.includes(alg);
  const choices = [...states.active].filter(other => settings?.algorithms.includes(other) ?? true).sort();
  const choose = choices.length === 0 ? '' : ` Until then choose ${choices.join(' or ')}.`;
  if (states.isFresh) {
    return isConfigured ? undefined : `${alg} will have no signing key: add it to keys.algorithms.`;
  }
  if (states.active.has(alg)) {
    if (isConfigured) return undefined;
    return `${alg} is being given up: it is no longer in keys.algorithms. Choose ${choices.join(' or ')}.`;
  }
  const announcedAt = states.announcedAt.get(alg);
  if (announcedAt !== undefined) {
    const when =
      settings === undefined
        ? 'once its announcement is over'
        : `from ${toRfc3339(announcedAt + settings.announceFor * 1000)} on`;
    return `${alg} is being announced to verifiers and can be chosen ${when} (claviger key status).${choose}`;
  }
  if (isConfigured) {
    return `${alg} has no signing key yet: a running server announces one, and it can be chosen when the announcement is over (claviger key status).${choose}`;
  }
  return `${alg} has no signing key: add it to keys.algorithms, and it can be chosen when its announcement is over.${choose}`;
}

/**
 * What is written when nobody names an algorithm. A default that was just configured holds from the moment at which it
 * has an active key; until then the standard one does.
 */
export function defaultAlgorithm(
  use: 'accessTokenAlgorithm' | 'idTokenAlgorithm',
  states: AlgorithmStates,
  settings: AlgorithmSettings,
): SigningAlgorithm {
  const standard = use === 'accessTokenAlgorithm' ? 'ES256' : 'RS256';
  const wanted = [settings?.[use] ?? standard, standard, 'RS256'] as const;
  return wanted.find(alg => chosenAlgorithmProblem(alg, states, settings) === undefined) ?? standard;
}
