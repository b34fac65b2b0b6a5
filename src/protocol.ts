/** Names fixed by specifications, written once. Imports nothing. */

/** Signature algorithms that a ring can be made for (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9964). */
export const SIGNING_ALGORITHMS = [
  'ES256',
  'ES384',
  'PS256',
  'RS256',
  'EdDSA',
  'ML-DSA-44',
  'ML-DSA-65',
] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** Those that every installation has unless its operator chooses others. */
export const STANDARD_ALGORITHMS = ['ES256', 'RS256'] as const satisfies readonly SigningAlgorithm[];

export const GRANT_TYPES = [
  'authorization_code',
  'refresh_token',
  'client_credentials',
  'urn:ietf:params:oauth:grant-type:device_code',
  'urn:openid:params:grant-type:ciba',
] as const;
export type GrantType = (typeof GRANT_TYPES)[number];

/** Client authentication methods (OpenID Connect Core 9) that a client may register. */
export const CLIENT_AUTH_METHODS = ['client_secret_basic', 'client_secret_post', 'none'] as const;
export type ClientAuthMethod = (typeof CLIENT_AUTH_METHODS)[number];

export const ACCESS_TOKEN_FORMATS = ['jwt', 'opaque'] as const;
export type AccessTokenFormat = (typeof ACCESS_TOKEN_FORMATS)[number];

/** How a resource server that checks JWTs by itself learns that one is revoked (draft-ietf-oauth-status-list). */
export const REVOCATION_WAYS = ['none', 'status-list'] as const;
export type RevocationWay = (typeof REVOCATION_WAYS)[number];

/** Scopes that belong to OpenID Connect itself and never to a resource server. */
export const OIDC_SCOPES = ['openid', 'offline_access', 'profile', 'email', 'address', 'phone'] as const;

/** What a client may ask for about a person: the above, and the groups of the account. */
export const IDENTITY_SCOPES = [...OIDC_SCOPES, 'groups'] as const;

/** Ways back to the client (OAuth 2.0 Multiple Response Type Encoding Practices §2.1, form_post, JARM §2.3). */
export const AUTHORIZATION_RESPONSE_MODES = [
  'query',
  'form_post',
  'jwt',
  'query.jwt',
  'form_post.jwt',
] as const;
export type AuthorizationResponseMode = (typeof AUTHORIZATION_RESPONSE_MODES)[number];

/** Signatures of request objects (RFC 9101): asymmetric ones only. */
export const REQUEST_OBJECT_ALGORITHMS = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const;

/** RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ) */
export const SCOPE_TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]{1,128}$/;

/** Authentication context classes (OpenID Connect Core §2): one factor, and two (or a passkey that verified its user). */
export const ACR_ONE_FACTOR = 'urn:claviger:acr:1';
export const ACR_TWO_FACTORS = 'urn:claviger:acr:2';

/** The built-in client of the account pages. */
export const ACCOUNT_CLIENT_ID = 'claviger-account';
