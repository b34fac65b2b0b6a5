import type { RunningServer } from '../../src/server.js';
import type { AccessTokenClaims, AccessTokenVerifier } from '../../src/verifier/access-token-claims.js';
import { createVerifier, type VerifierOptions } from '../../src/verifier/verify-access-token.js';
import { RESOURCE, urlOf } from './nodes.js';

/** A resource server's verifier, whose every question is answered by this node. Remembers nothing of other verifiers. */
export function verifierAt(
  node: RunningServer,
  options: Partial<VerifierOptions> = {},
): AccessTokenVerifier<AccessTokenClaims> {
  return createVerifier({
    issuer: node.issuer,
    audience: RESOURCE,
    fetch: (url, init) => fetch(urlOf(node, url.slice(new URL(node.issuer).origin.length)), init),
    ...options,
  });
}
