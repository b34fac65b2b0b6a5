import { AppError } from '../errors.js';

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

/** SQLite's write lock was held by another for as long as we are willing to wait. */
export function isLocked(error: unknown): boolean {
  return codeOf(error) === 'SQLITE_BUSY';
}

/** The database did not answer in time, and may never have been asked. */
export function isSilent(error: unknown): boolean {
  return error instanceof Error && /Query read timeout$/.test(error.message);
}

/** Another writer was in the way: nothing was written, and the same work may succeed at once. */
export function isContention(error: unknown): boolean {
  const code = codeOf(error);
  // PostgreSQL: serialization_failure, deadlock_detected.
  return code === 'SQLITE_BUSY' || code === 'SQLITE_LOCKED' || code === '40001' || code === '40P01';
}

// Node's network errors, and what SQLite says of a file it cannot use.
const UNREACHABLE: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'SQLITE_CANTOPEN',
  'SQLITE_IOERR',
  'SQLITE_FULL',
  'SQLITE_READONLY',
  'SQLITE_BUSY',
]);

function isUnavailable(error: unknown): boolean {
  const code = codeOf(error);
  if (UNREACHABLE.has(code)) return true;
  // PostgreSQL classes: 08 connection, 53 resources, 57 operator intervention, 58 system error; 25006 is a read-only standby.
  if (/^(08|53|57|58)[0-9A-Z]{3}$/.test(code) || code === '25006') return true;
  if (!(error instanceof Error)) return false;
  return (
    isSilent(error) ||
    error.name === 'KnexTimeoutError' ||
    // "timeout expired" is how pg itself says that a server took the connection and then said nothing.
    /Connection terminated|Connection ended|connection timeout|timeout expired|timeout exceeded when trying to connect/i.test(
      error.message,
    )
  );
}

/** Turns a driver's failure into the one refusal that every surface answers with 503; other errors pass. */
export function asDatabaseFailure(error: unknown): unknown {
  if (error instanceof AppError || !isUnavailable(error)) return error;
  return new AppError('database_unavailable', 'The database cannot be reached. Try again in a moment.', {
    cause: error,
    detail: codeOf(error),
  });
}

/** Not an answer of ours but the database failing underneath: the whole transaction is lost. */
export function isDatabaseFailure(error: unknown): boolean {
  return isContention(error) || isUnavailable(error);
}
