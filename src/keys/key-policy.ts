import type { Config } from '../config/config.js';
import {
  jwksServableFor,
  RETAINED_SIGNING_FOR,
  retainFor,
  STALE_WHILE_REVALIDATE_FOR,
  staleIfErrorFor,
} from '../config/derived.js';
import type { SigningAlgorithm } from '../protocol.js';

const SECOND = 1000;

/**
 * A token signed just before its key was retained may still be released for this long, because signing and
 * committing are two moments. Tokens of a longer retained key are dropped and signed again.
 */
export const RELEASE_GRACE_FOR = RETAINED_SIGNING_FOR;

/** How long the public half of a retired key still verifies an id_token_hint at logout: 400 days. */
export const ID_TOKEN_HINT_FOR = 400 * 86_400;

/** All in seconds. Derive it with {@link deriveKeyPolicy}, so that the parts fit each other. */
export interface KeyPolicy {
  readonly announceFor: number;
  readonly rotateEvery: number;
  /** From the moment a key stops signing until no token of it can be alive anywhere. */
  readonly retainFor: number;
  /** Those that have keys and rotate. A configured policy lists its own; `policyFor` adds what else must be kept. */
  readonly algorithms: readonly SigningAlgorithm[];
  /** Those whose keys are to go. Nothing goes unless `policyFor` has found that nobody wants it. */
  readonly withdraws?: readonly SigningAlgorithm[];
  readonly jwksMaxAgeFor: number;
  readonly staleWhileRevalidateFor: number;
  readonly staleIfErrorFor: number;
  /** A node serves the JWKS only while its last reading of the ring is younger than this. */
  readonly serveJwksFor: number;
}

/** The settings, and what follows from them. */
export function deriveKeyPolicy(settings: Pick<Config, 'environment' | 'keys' | 'tokens'>): KeyPolicy {
  const { announceFor, rotateEvery, algorithms, jwksMaxAgeFor } = settings.keys;
  return {
    announceFor,
    rotateEvery,
    retainFor: retainFor(settings),
    algorithms,
    jwksMaxAgeFor,
    staleWhileRevalidateFor: STALE_WHILE_REVALIDATE_FOR,
    staleIfErrorFor: staleIfErrorFor(settings.keys),
    serveJwksFor: jwksServableFor(settings),
  };
}

/** `instant` (milliseconds) moved by `seconds`: the one place where the two units meet. */
export function after(instant: number, seconds: number): number {
  return instant + seconds * SECOND;
}
