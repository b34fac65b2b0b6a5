/** The request carried nothing to check, or carried it in a form RFC 6750 §2 forbids. */
export type RequestFault = 'credential_missing' | 'request_malformed';

/** The token was looked at and refused. Which of these it was is for logs, never for the caller. */
export type TokenFault =
  | 'algorithm_refused'
  | 'audience_wrong'
  | 'claim_invalid'
  | 'claim_missing'
  | 'expired'
  | 'header_refused'
  | 'inactive'
  | 'issuer_wrong'
  | 'key_unknown'
  | 'key_unsuitable'
  | 'not_yet_valid'
  | 'revoked'
  | 'sender_constrained'
  | 'signature_invalid'
  | 'token_malformed'
  | 'token_too_long'
  | 'type_wrong';

/** Nothing can be said about the token right now: ask again later. */
export type AvailabilityFault = 'introspection_unavailable' | 'keys_unavailable' | 'revocation_unavailable';

export type VerificationErrorCode = RequestFault | TokenFault | AvailabilityFault | 'scope_insufficient';

export interface VerificationErrorOptions {
  readonly cause?: unknown;
  /** The scopes that were asked for, with `scope_insufficient`. */
  readonly requiredScopes?: readonly string[];
  /** Seconds until another attempt makes sense, with the `…_unavailable` codes. */
  readonly retryAfter?: number;
}

/**
 * Every refusal of this package. `message` and `cause` are for the resource server's own log; what may leave in a
 * response is made by `challengeFor` (challenge.ts) and says less.
 */
export class VerificationError extends Error {
  override readonly name = 'VerificationError';
  readonly code: VerificationErrorCode;
  readonly requiredScopes: readonly string[];
  /** Seconds. */
  readonly retryAfter: number | undefined;

  constructor(code: VerificationErrorCode, message: string, options: VerificationErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.requiredScopes = options.requiredScopes ?? [];
    this.retryAfter = options.retryAfter;
  }
}
