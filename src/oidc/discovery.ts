import type { Config } from '../config/config.js';
import type { ServedRing } from '../keys/key-ring.js';
import { CLIENT_AUTH_METHODS, GRANT_TYPES } from '../protocol.js';
import { DPOP_ALGORITHMS, ROUTES } from './provider.js';
import { signingAlgorithms } from './signing-keys.js';

/** Paths below the issuer's own at which the same document stands (RFC 8414 §3, OpenID Connect Discovery 1.0 §4). */
export const DISCOVERY_PATHS = [
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
] as const;

/**
 * The metadata of what this server does. Built from a list and not taken from the core, which prints some members
 * that no registry knows and endpoints that are not offered.
 */
export function discoveryDocument(config: Config, served: ServedRing): Record<string, unknown> {
  const at = (path: string): string => `${config.issuer}${path}`;
  return {
    issuer: config.issuer,
    jwks_uri: at(ROUTES.jwks),
    token_endpoint: at(ROUTES.token),
    introspection_endpoint: at(ROUTES.introspection),
    revocation_endpoint: at(ROUTES.revocation),
    grant_types_supported: GRANT_TYPES,
    // RFC 8414 §2 requires it; there is no authorization endpoint, so there are none.
    response_types_supported: [],
    subject_types_supported: ['public'],
    // Only what has an active key: the core would also promise what it can merely verify.
    id_token_signing_alg_values_supported: signingAlgorithms(served),
    token_endpoint_auth_methods_supported: CLIENT_AUTH_METHODS,
    introspection_endpoint_auth_methods_supported: CLIENT_AUTH_METHODS,
    revocation_endpoint_auth_methods_supported: CLIENT_AUTH_METHODS,
    dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
  };
}
