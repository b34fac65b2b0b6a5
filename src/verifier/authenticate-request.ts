import { type AccessTokenVerifier, isObject, type VerifiedClaims } from './access-token-claims.js';
import { type Challenge, challengeFor } from './challenge.js';
import { VerificationError } from './errors.js';
import { checkedScopes, requireScopes } from './scopes.js';

/** What the frameworks' requests have in common with Node's. */
export interface IncomingRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly rawHeaders?: readonly string[] | undefined;
  readonly url?: string | undefined;
  readonly body?: unknown;
}

export interface RequireAccessTokenOptions {
  /** All of them are needed. */
  readonly scopes?: readonly string[];
}

export type Authentication<Claims> = { readonly claims: Claims } | { readonly refusal: Challenge };

export type Authenticate<Claims> = (request: IncomingRequest) => Promise<Authentication<Claims>>;

/** RFC 6750 §2.1; the scheme is case-insensitive (RFC 9110 §11.1). */
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * The part of the middleware that is the same in every framework.
 *
 * @throws TypeError when a scope could never be granted.
 */
export function authenticator<Claims extends VerifiedClaims>(
  verifier: AccessTokenVerifier<Claims>,
  options: RequireAccessTokenOptions = {},
): Authenticate<Claims> {
  const scopes = checkedScopes(options.scopes);
  return async request => {
    try {
      const claims = await verifier.verify(bearerTokenOf(request));
      requireScopes(claims, scopes);
      return { claims };
    } catch (error) {
      if (error instanceof VerificationError) return { refusal: challengeFor(error) };
      throw error;
    }
  };
}

/**
 * The token of the Authorization header: the only place that does not end up in logs, histories and referrers
 * (RFC 6750 §5.3, RFC 9700 §4.3.2).
 *
 * @throws VerificationError `credential_missing` without a Bearer header, `request_malformed` when it is misspelt or not
 * the only credential (RFC 6750 §2: no more than one method).
 */
export function bearerTokenOf(request: IncomingRequest): string {
  const [authorization, ...others] = authorizationHeadersOf(request);
  // Two headers: a proxy may have checked the other one.
  if (others.length > 0) throw malformedRequest();
  if (authorization === undefined || !/^Bearer(?:[\s,]|$)/i.test(authorization))
    throw new VerificationError('credential_missing', 'the request has no Bearer token');
  const token = BEARER.exec(authorization)?.[1];
  if (token === undefined || hasTokenInQuery(request.url) || hasTokenInForm(request))
    throw malformedRequest();
  return token;
}

/** Node keeps only the first of several Authorization headers in `headers`; the raw ones show them all. */
function authorizationHeadersOf({ headers, rawHeaders }: IncomingRequest): readonly string[] {
  const raw = (rawHeaders ?? []).filter(
    (_, index, all) => index % 2 === 1 && all[index - 1]?.toLowerCase() === 'authorization',
  );
  if (raw.length > 0) return raw;
  const { authorization } = headers;
  if (authorization === undefined) return [];
  return typeof authorization === 'string' ? [authorization] : authorization;
}

function hasTokenInQuery(url = ''): boolean {
  const start = url.indexOf('?');
  return start !== -1 && new URLSearchParams(url.slice(start + 1)).has('access_token');
}

/** Seen only where a body parser ran before. In a JSON body the name may mean anything (RFC 6750 §2.2: forms only). */
function hasTokenInForm({ headers, body }: IncomingRequest): boolean {
  const contentType = headers['content-type'];
  const isForm =
    typeof contentType === 'string' && /^application\/x-www-form-urlencoded\b/i.test(contentType);
  return isForm && isObject(body) && Object.hasOwn(body, 'access_token');
}

function malformedRequest(): VerificationError {
  return new VerificationError(
    'request_malformed',
    'the request presents its credential in a forbidden form',
  );
}
