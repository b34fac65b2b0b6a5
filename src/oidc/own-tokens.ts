import type { JSONWebKeySet } from 'jose';
import { AVAILABLE_ALGORITHMS } from '../config/available-algorithms.js';
import type { Config } from '../config/config.js';
import type { KeyRing, ServedRing } from '../keys/key-ring.js';
import { VerificationError } from '../verifier/errors.js';
import { createIssuerVerifier } from '../verifier/verify-access-token.js';
import type { OwnAccessToken } from './structured-tokens.js';

/** Nodes' clocks may differ by as much before one of them is taken out of service. */
const CLOCK_TOLERANCE_FOR = 30;

/**
 * Checks our own JWTs with the same verifier that resource servers use, on the keys this node publishes. Undefined
 * for every token that is not good: why is nobody's business.
 */
export function ownTokenVerifier(
  config: Config,
  ring: KeyRing,
): (token: string) => Promise<OwnAccessToken | undefined> {
  let read: { readonly of: ServedRing; readonly jwks: JSONWebKeySet } | undefined;
  const jwks = (): JSONWebKeySet => {
    const { served } = ring;
    if (read?.of !== served) {
      read = { of: served, jwks: JSON.parse(served.published.body.toString('utf8')) as JSONWebKeySet };
    }
    return read.jwks;
  };
  // Tokens carry the database's time, whatever this node's clock says.
  const now = (): number => ring.databaseNow;
  const verifier = createIssuerVerifier({
    issuer: config.issuer,
    jwks,
    algorithms: AVAILABLE_ALGORITHMS,
    clockToleranceFor: CLOCK_TOLERANCE_FOR,
    // What the database says of revocation is asked directly, and is newer than any list.
    statusLists: false,
    isHttpAllowed: config.issuer.startsWith('http:'),
    now,
  });
  return async token => {
    try {
      const claims = await verifier.verify(token);
      // The tolerance is for tokens of a node whose clock is ahead, not for ones that have ended.
      return claims.exp * 1000 > now() ? claims : undefined;
    } catch (error) {
      if (error instanceof VerificationError) return undefined;
      throw error;
    }
  };
}
