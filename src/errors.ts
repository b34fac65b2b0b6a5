/**
 * Expected refusals. A caller's programming mistake is a TypeError; a protocol refusal inside `oidc/` is one of
 * oidc-provider's classes; everything an operator can cause and mend is an AppError. Each surface (CLI, HTTP)
 * turns a code into its own answer in one place and treats every other error as a fault of ours.
 */
export type ErrorCode =
  | 'already_exists'
  | 'backend_misconfigured'
  | 'backend_unavailable'
  | 'conflict'
  | 'configuration_invalid'
  | 'database_foreign'
  | 'database_not_migrated'
  | 'database_unavailable'
  | 'invalid_request'
  | 'not_found'
  | 'not_ready'
  | 'root_key_missing'
  | 'root_key_unavailable'
  | 'root_key_wrong'
  | 'sealed_value_damaged'
  | 'stale';

export interface Fault {
  /** Where: a setting's name, a metadata field, a flag. */
  readonly at: string;
  /** What is wrong and what to do, in one sentence for the person who can mend it. */
  readonly problem: string;
}

export interface AppErrorOptions {
  /** For logs only; may name internals, never a secret. */
  readonly detail?: string;
  readonly cause?: unknown;
  /** Every fault found, when a whole input was checked at once. */
  readonly faults?: readonly Fault[];
}

export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly faults: readonly Fault[];

  /** @param publicText a sentence that may be shown to whoever asked, and says what to do next. */
  constructor(code: ErrorCode, publicText: string, options: AppErrorOptions = {}) {
    super(publicText, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = options.detail;
    this.faults = options.faults ?? [];
  }
}

/** Nothing is wrong with the request, and nothing of it was done: the same may succeed in a moment. */
export function isUnavailable(error: unknown): boolean {
  return (
    isAppError(error, 'database_unavailable') ||
    isAppError(error, 'not_ready') ||
    isAppError(error, 'backend_unavailable')
  );
}

export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code);
}
