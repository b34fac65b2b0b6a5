import { type Config, DEVELOPMENT } from './config.js';

/** What follows from the settings and is therefore no setting itself. All pure, all in seconds. */

/** RFC 5861 §3: how long a cache may serve the JWKS while it asks for a fresh one. */
export const STALE_WHILE_REVALIDATE_FOR = 60;

/** A node that is about to lose its claim on the ring may still sign this long with the key just retained. */
export const RETAINED_SIGNING_FOR = 60;

/** Distance kept between the last moment a node serves an old ring and the first signature of the new key. */
export const SERVING_MARGIN_FOR = 300;

const LONGEST_STALE_IF_ERROR_FOR = 86_400;
export const SHORTEST_SERVABLE_FOR = 60;
const SHORTEST_SERVABLE_IN_DEVELOPMENT_FOR = 30;

/**
 * RFC 5861 §4. A cache that cannot reach us may keep a JWKS this long; it is held to half the announcement so that
 * a cache filled just before a key was announced lets go of it before that key signs.
 */
export function staleIfErrorFor(keys: Config['keys']): number {
  return Math.min(LONGEST_STALE_IF_ERROR_FOR, Math.floor(keys.announceFor / 2));
}

/** The longest a well-behaved cache holds a JWKS answer. */
export function jwksCachedFor(keys: Config['keys']): number {
  return keys.jwksMaxAgeFor + STALE_WHILE_REVALIDATE_FOR + staleIfErrorFor(keys);
}

/** Unclamped: may be negative when announceFor is too short for the caches it allows. */
export function jwksServableLimit(keys: Config['keys']): number {
  return keys.announceFor - jwksCachedFor(keys) - SERVING_MARGIN_FOR;
}

/**
 * How old a node's knowledge of the ring may be while it still answers with a JWKS. Served no longer than this, plus
 * the longest caching, an answer is gone before a key it does not contain can sign. Development may announce for
 * seconds; there the promise is given up rather than the server.
 */
export function jwksServableFor(config: Pick<Config, 'environment' | 'keys'>): number {
  const limit = jwksServableLimit(config.keys);
  return config.environment === DEVELOPMENT ? Math.max(limit, SHORTEST_SERVABLE_IN_DEVELOPMENT_FOR) : limit;
}

/**
 * How long a key stays published after its last signature: until the longest token is dead everywhere, for verifiers
 * whose clock is slow and whose JWKS came from a cache.
 */
export function retainFor(config: Pick<Config, 'keys' | 'tokens'>): number {
  return (
    config.tokens.longestTokenFor +
    RETAINED_SIGNING_FOR +
    config.keys.clockSkewFor +
    jwksCachedFor(config.keys)
  );
}
