/**
 * - `unreachable`: nothing answered, or not in time, or the certificate is not trusted; trying later may help.
 * - `sealed`, `rate_limited`, `failed`: it answered that it cannot now.
 * - `denied`: the token may not do this, or is none any more.
 * - `not_found`: no such secret, key or mount.
 * - `refused`: it understood and declines (wrong ciphertext, wrong role, a name it does not take).
 */
export type VaultReason =
  | 'unreachable'
  | 'sealed'
  | 'rate_limited'
  | 'failed'
  | 'denied'
  | 'not_found'
  | 'refused';

/** Says what to do; for operators and logs. Carries no token, no secret id and nothing that was read. */
export class VaultError extends Error {
  override readonly name = 'VaultError';
  readonly reason: VaultReason;

  constructor(reason: VaultReason, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}

export function isVaultError(error: unknown, reason?: VaultReason): error is VaultError {
  return error instanceof VaultError && (reason === undefined || error.reason === reason);
}

/** Tokens of Vault and OpenBao (`hvs.…`, `s.…`), compact JWTs, and UUIDs (AppRole secret ids). */
const CREDENTIALS =
  /\b(?:hv[sbr]|[sbr])\.[\w.-]{8,}|\beyJ[\w-]{5,}(?:\.[\w-]*){1,4}|\b[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}\b/gi;
const LONGEST_QUOTE = 200;

/** What the other side says about itself, made fit for a message: short, on one line, without credentials. */
export function quotedReasons(errors: readonly string[], known: readonly string[] = []): string {
  let text = errors
    .join('; ')
    // Long before the quote ends, so that nothing is cut in the middle of a credential; and patterns stay cheap.
    .slice(0, 10 * LONGEST_QUOTE)
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim();
  for (const credential of known) if (credential !== '') text = text.replaceAll(credential, '[redacted]');
  text = text.replace(CREDENTIALS, '[redacted]').slice(0, LONGEST_QUOTE);
  return text === '' ? '' : ` (it says: ${text})`;
}
