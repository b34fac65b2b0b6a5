import { VerificationError } from './errors.js';

/** What a resource server learns from an accepted token. Times are seconds since the epoch (RFC 7519 §2). */
export interface AccessTokenClaims {
  readonly iss: string;
  readonly aud: string | readonly string[];
  readonly sub: string;
  readonly client_id: string;
  readonly exp: number;
  readonly iat: number;
  readonly jti: string;
  readonly nbf?: number;
  /** Separated by spaces; `scopesOf` splits it. */
  readonly scope?: string;
  /** Where its bit stands in a status list (draft-ietf-oauth-status-list §6); `verify` has looked at it. */
  readonly status?: unknown;
  readonly [claim: string]: unknown;
}

/** Whatever can turn a token into claims: the JWT verifier, the introspector. */
export interface AccessTokenVerifier<Claims extends VerifiedClaims = VerifiedClaims> {
  /** @throws VerificationError, and nothing else, whatever the token is. */
  verify(token: string): Promise<Claims>;
}

/** The part every kind of accepted token has. */
export interface VerifiedClaims {
  readonly aud: string | readonly string[];
  readonly sub?: string;
  readonly client_id?: string;
  readonly exp?: number;
  readonly scope?: string;
  readonly [claim: string]: unknown;
}

/** RFC 9068 §2.2 */
export const REQUIRED_CLAIMS = ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'] as const;

/** Far above any real token (RFC 7519 sets no limit); what is longer costs us and proves nothing. */
export const LONGEST_TOKEN = 16 * 1024;

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** `null`, `0` or a list is not an identifier: code that trusts the type would take it for one. */
export function checkClaimTypes(claims: Readonly<Record<string, unknown>>): void {
  for (const name of ['sub', 'client_id', 'jti'] as const) {
    if (claims[name] !== undefined && !isText(claims[name])) throw invalid(name);
  }
  for (const name of ['exp', 'iat', 'nbf'] as const) {
    if (claims[name] !== undefined && !Number.isFinite(claims[name])) throw invalid(name);
  }
  if (claims.scope !== undefined && typeof claims.scope !== 'string') throw invalid('scope');
}

/**
 * A token bound to a key or certificate proves nothing when it arrives as a bare Bearer token: whoever presents it
 * may have stolen it. The binding cannot be checked here, so the token is refused (RFC 9449 §7.2, RFC 8705 §3).
 */
export function refuseSenderConstrained(claims: Readonly<Record<string, unknown>>): void {
  if (claims.cnf !== undefined)
    throw new VerificationError('sender_constrained', 'the token is bound to a key and is no Bearer token');
}

/** RFC 9068 §4: one of the audiences must be this resource server, compared exactly. */
export function isForAudience(aud: unknown, audience: string): boolean {
  return typeof aud === 'string' ? aud === audience : Array.isArray(aud) && aud.includes(audience);
}

function invalid(name: string): VerificationError {
  return new VerificationError('claim_invalid', `claim "${name}" has a value of the wrong kind`);
}
