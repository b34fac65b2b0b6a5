import { DAY, HOUR, MINUTE } from '../config/duration.js';

/**
 * How widespread verifiers, with their defaults, cache a JWKS: read in their sources, measured, or as their vendors
 * document it; those that obey Cache-Control, with the max-age sent by default. It decides how long a key must be
 * announced, and what an emergency costs.
 *
 * The exports of this file are an interface that others build on: add kinds and fields, change none.
 */
export interface VerifierKind {
  /** Stable, for programs. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** The User-Agent that it sends when it fetches; without one it cannot be told from others. */
  readonly userAgent?: RegExp;
  /** Seconds from a fetch to the next one as time passes. Infinity: it keeps what it has until something else makes it look. */
  readonly cachesFor: number;
  /** Does a token with an unknown `kid` make it fetch again? */
  readonly refetchesOnUnknownKid: boolean;
  /** Seconds after a fetch in which an unknown `kid` does not make it fetch again. */
  readonly cooldownFor: number;
  /** Seconds it remembers that a `kid` did not exist; 0 when it forgets that at once. */
  readonly remembersMissFor: number;
  /** Seconds that it goes on accepting a key which has left the JWKS. Infinity: until an unknown `kid` or a restart. */
  readonly acceptsRemovedFor: number;
}

const FOREVER = Number.POSITIVE_INFINITY;

function looksAgain(
  id: string,
  name: string,
  cachesFor: number,
  more: Partial<VerifierKind> = {},
): VerifierKind {
  const rest = {
    refetchesOnUnknownKid: true,
    cooldownFor: 0,
    remembersMissFor: 0,
    acceptsRemovedFor: cachesFor,
  };
  return { id, name, cachesFor, ...rest, ...more };
}

/** It learns a new key only when its cache ends. */
function waitsForItsCache(id: string, name: string, cachesFor: number, userAgent?: RegExp): VerifierKind {
  return looksAgain(id, name, cachesFor, {
    refetchesOnUnknownKid: false,
    ...(userAgent === undefined ? {} : { userAgent }),
  });
}

/** One entry per behaviour; what several of them send as User-Agent is an entry of its own, with the slowest behaviour. */
export const VERIFIER_KINDS: readonly VerifierKind[] = [
  looksAgain('claviger', '@claviger/verifier', 5 * MINUTE, { cooldownFor: 10 }),
  looksAgain('jose', 'jose (createRemoteJWKSet), express-oauth2-jwt-bearer', 10 * MINUTE, {
    userAgent: /^jose\/v?\d/,
    cooldownFor: 30,
  }),
  looksAgain('openid-client', 'openid-client, oauth4webapi, Auth.js', 5 * MINUTE, {
    userAgent: /^(openid-client|oauth4webapi)\/v?\d/,
    cooldownFor: MINUTE,
  }),
  looksAgain('jwks-rsa', 'jwks-rsa (express-jwt, koa-jwt, passport-jwt)', 10 * MINUTE),
  looksAgain('okta', '@okta/jwt-verifier', HOUR),
  looksAgain('aws-jwt-verify', 'aws-jwt-verify', FOREVER, { remembersMissFor: 10 }),
  looksAgain('get-jwks', 'get-jwks', MINUTE, { acceptsRemovedFor: FOREVER }),
  looksAgain('fastify-jwt-jwks', 'fastify-jwt-jwks', 7 * DAY, { remembersMissFor: 7 * DAY }),
  looksAgain('keycloak-connect', 'keycloak-connect', FOREVER, { cooldownFor: 10 }),
  looksAgain('node-fetch', 'a Node.js program (fetch)', 7 * DAY, {
    userAgent: /^(node|undici)$/,
    remembersMissFor: 7 * DAY,
    acceptsRemovedFor: FOREVER,
  }),
  looksAgain('pyjwt', 'PyJWT (PyJWKClient)', 5 * MINUTE, { userAgent: /^Python-urllib\// }),
  looksAgain('authlib', 'Authlib', FOREVER, { userAgent: /^Authlib\/|^python-(requests|httpx)\// }),
  looksAgain('mod-auth-openidc', 'mod_auth_openidc', HOUR, { userAgent: /^mod_auth_openidc\b/ }),
  looksAgain('liboauth2', 'mod_oauth2, liboauth2', DAY),
  waitsForItsCache('lemonldap', 'LemonLDAP::NG', FOREVER),
  waitsForItsCache('ruby', 'Ruby openid_connect, omniauth', FOREVER),
  looksAgain('go-oidc', 'go-oidc (oauth2-proxy, Vault, Kubernetes)', FOREVER),
  looksAgain('keyfunc', 'keyfunc (OpenFGA)', 2 * DAY, { cooldownFor: MINUTE }),
  waitsForItsCache('istio', 'Istio RequestAuthentication', 25 * MINUTE),
  looksAgain('go', 'a Go program (go-oidc, keyfunc, Istio)', 2 * DAY, {
    userAgent: /^Go-http-client\//,
    refetchesOnUnknownKid: false,
    acceptsRemovedFor: FOREVER,
  }),
  looksAgain('nimbus', 'Nimbus JWKSourceBuilder', 5 * MINUTE, { cooldownFor: 30 }),
  looksAgain('spring', 'Spring Security', 5 * MINUTE),
  waitsForItsCache('micronaut', 'Micronaut Security', MINUTE),
  looksAgain('java', 'a Java program (Spring Security, Nimbus)', 5 * MINUTE, {
    userAgent: /^Java\/|^Java-http-client\//,
    cooldownFor: 30,
  }),
  looksAgain('dotnet', '.NET (ConfigurationManager)', 12 * HOUR, {
    userAgent: /^Microsoft ASP\.NET Core /,
    cooldownFor: 5 * MINUTE,
  }),
  looksAgain('azure-apim', 'Azure API Management', HOUR, { cooldownFor: 5 * MINUTE }),
  waitsForItsCache('aws-api-gateway', 'AWS API Gateway (JWT authorizer)', 2 * HOUR),
  waitsForItsCache('envoy', 'Envoy jwt_authn', 10 * MINUTE),
  waitsForItsCache('envoy-gateway', 'Envoy Gateway', 5 * MINUTE),
  looksAgain('kong', 'Kong openid-connect', FOREVER, { cooldownFor: 30 }),
  looksAgain('lua-resty-openidc', 'lua-resty-openidc, APISIX', DAY, { userAgent: /^lua-resty-http\// }),
  waitsForItsCache('tyk', 'Tyk', 4 * MINUTE),
  waitsForItsCache('apigee', 'Apigee VerifyJWT', 5 * MINUTE),
  looksAgain('ping-gateway', 'PingGateway', 2 * MINUTE),
  waitsForItsCache('confluent', 'Confluent Cloud', 5 * MINUTE),
  looksAgain('tibco-ems', 'TIBCO EMS', 5 * MINUTE),
  waitsForItsCache('domino', 'HCL Domino', 5 * MINUTE),
  waitsForItsCache('nextcloud', 'Nextcloud user_oidc', HOUR, /^Nextcloud[- ]Server[- ]Crawler\b/),
];

/** Whoever says nothing that is known here, taken for a slow one: a day, and no second look. */
export const UNKNOWN_KIND: VerifierKind = waitsForItsCache('unknown', 'not recognised', DAY);

/** Announced at least this long, a key is known to nearly everybody who will meet it. */
export const WIDELY_KNOWN_AFTER = 25 * MINUTE;

/** By what it calls itself, which anyone can write: good for a forecast, never for a decision about trust. */
export function kindOf(userAgent: string): VerifierKind {
  return VERIFIER_KINDS.find(kind => kind.userAgent?.test(userAgent) === true) ?? UNKNOWN_KIND;
}

/** Seconds after its last fetch for which it may refuse tokens of a key that has been published since. */
export function refusesNewKeyFor(kind: VerifierKind): number {
  return kind.refetchesOnUnknownKid ? Math.min(kind.cooldownFor, kind.cachesFor) : kind.cachesFor;
}

/** Those that may refuse a key which has been published for this many seconds, quickest first. */
export function refusingKeyPublishedFor(publishedFor: number): readonly VerifierKind[] {
  return VERIFIER_KINDS.filter(kind => refusesNewKeyFor(kind) > publishedFor).sort(
    (a, b) => refusesNewKeyFor(a) - refusesNewKeyFor(b),
  );
}
