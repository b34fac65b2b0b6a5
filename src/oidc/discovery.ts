import { type Config, LOCALES } from '../config/config.js';
import type { ServedRing } from '../keys/key-ring.js';
import {
  ACR_ONE_FACTOR,
  ACR_TWO_FACTORS,
  CLIENT_AUTH_METHODS,
  GRANT_TYPES,
  REQUEST_OBJECT_ALGORITHMS,
} from '../protocol.js';
import { identityScopes, supportedClaims } from './accounts.js';
import { DPOP_ALGORITHMS } from './provider.js';
import { ROUTES } from './routes.js';
import { signingAlgorithms } from './signing-keys.js';

/** Paths below the issuer's own at which the same document stands (RFC 8414 §3, OpenID Connect Discovery 1.0 §4). */
export const DISCOVERY_PATHS = [
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
] as const;

/** Those by which a caller proves who it is. */
const CONFIDENTIAL_AUTH_METHODS = CLIENT_AUTH_METHODS.filter(method => method !== 'none');

const RESPONSE_MODES = ['query', 'form_post', 'jwt', 'query.jwt', 'form_post.jwt'] as const;

/**
 * The metadata of what this server does. Built from a list and not taken from the core, which prints some members
 * that no registry knows and endpoints that are not offered.
 */
export function discoveryDocument(config: Config, served: ServedRing): Record<string, unknown> {
  const at = (path: string): string => `${config.issuer}${path}`;
  const algorithms = signingAlgorithms(served);
  return {
    issuer: config.issuer,
    authorization_endpoint: at(ROUTES.authorization),
    token_endpoint: at(ROUTES.token),
    userinfo_endpoint: at(ROUTES.userinfo),
    jwks_uri: at(ROUTES.jwks),
    introspection_endpoint: at(ROUTES.introspection),
    revocation_endpoint: at(ROUTES.revocation),
    pushed_authorization_request_endpoint: at(ROUTES.pushed_authorization_request),
    device_authorization_endpoint: at(ROUTES.device_authorization),
    backchannel_authentication_endpoint: at(ROUTES.backchannel_authentication),
    end_session_endpoint: at(ROUTES.end_session),
    scopes_supported: identityScopes(config),
    claims_supported: supportedClaims(config),
    response_types_supported: ['code'],
    response_modes_supported: RESPONSE_MODES,
    grant_types_supported: GRANT_TYPES,
    subject_types_supported: ['public', 'pairwise'],
    acr_values_supported: [ACR_ONE_FACTOR, ACR_TWO_FACTORS],
    prompt_values_supported: ['none', 'login', 'consent', 'create'],
    display_values_supported: ['page'],
    ui_locales_supported: LOCALES,
    claim_types_supported: ['normal'],
    claims_parameter_supported: true,
    request_parameter_supported: true,
    request_uri_parameter_supported: false,
    // Only what has an active key: the core would also promise what it can merely verify.
    id_token_signing_alg_values_supported: algorithms,
    userinfo_signing_alg_values_supported: algorithms,
    authorization_signing_alg_values_supported: algorithms,
    request_object_signing_alg_values_supported: REQUEST_OBJECT_ALGORITHMS,
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: CLIENT_AUTH_METHODS,
    introspection_endpoint_auth_methods_supported: CONFIDENTIAL_AUTH_METHODS,
    revocation_endpoint_auth_methods_supported: CLIENT_AUTH_METHODS,
    dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
    authorization_response_iss_parameter_supported: true,
    require_pushed_authorization_requests: false,
    backchannel_token_delivery_modes_supported: ['poll'],
    backchannel_user_code_parameter_supported: false,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    ...(config.branding.privacyUrl === '' ? {} : { op_policy_uri: config.branding.privacyUrl }),
  };
}
