import type { VerificationError, VerificationErrorCode } from './errors.js';

export interface Challenge {
  readonly status: 400 | 401 | 403 | 503;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON, or empty when the caller is told nothing. */
  readonly body: string;
}

/** One text for every fault of a token: which check failed would guide whoever is forging one. */
const INVALID_TOKEN = 'the access token is not valid here; get a new one';

/**
 * The response to a refusal (RFC 6750 §3). Says what to do next and nothing about how far the token got.
 *
 * 401 without error when nothing was presented, 400 `invalid_request`, 401 `invalid_token`, 403 `insufficient_scope` with
 * the scopes, 503 with Retry-After when nothing can be said about the token.
 */
export function challengeFor(error: VerificationError): Challenge {
  const { code, requiredScopes, retryAfter } = error;
  switch (code) {
    case 'credential_missing':
      // RFC 6750 §3.1: no error code for a request without authentication.
      return challenge(401, undefined, 'Bearer');
    case 'request_malformed':
      return challenge(400, 'invalid_request', 'Bearer error="invalid_request"');
    case 'scope_insufficient': {
      const scope = requiredScopes.length === 0 ? '' : `, scope="${requiredScopes.join(' ')}"`;
      return challenge(403, 'insufficient_scope', `Bearer error="insufficient_scope"${scope}`);
    }
    case 'introspection_unavailable':
    case 'keys_unavailable':
    case 'revocation_unavailable':
      return {
        status: 503,
        headers: { ...JSON_HEADERS, 'retry-after': String(Math.max(1, Math.ceil(retryAfter ?? 1))) },
        body: JSON.stringify({ error: 'temporarily_unavailable' }),
      };
    default:
      return invalidToken(code);
  }
}

const JSON_HEADERS = { 'cache-control': 'no-store', 'content-type': 'application/json' } as const;

type TokenFaultCode = Exclude<
  VerificationErrorCode,
  | 'credential_missing'
  | 'request_malformed'
  | 'scope_insufficient'
  | 'introspection_unavailable'
  | 'keys_unavailable'
  | 'revocation_unavailable'
>;

/** The parameter's type makes a new code that is no fault of the token a compile error here. */
function invalidToken(_code: TokenFaultCode): Challenge {
  return challenge(
    401,
    'invalid_token',
    `Bearer error="invalid_token", error_description="${INVALID_TOKEN}"`,
  );
}

function challenge(status: 400 | 401 | 403, error: string | undefined, authenticate: string): Challenge {
  if (error === undefined)
    return { status, headers: { 'cache-control': 'no-store', 'www-authenticate': authenticate }, body: '' };
  return {
    status,
    headers: { ...JSON_HEADERS, 'www-authenticate': authenticate },
    body: JSON.stringify({ error }),
  };
}
