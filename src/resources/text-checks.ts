import { AppError, type Fault } from '../errors.js';

export const LONGEST_NAME = 120;

// Control characters forge lines in logs and terminals; bidirectional overrides make one name look like another on
// a consent page; a lone surrogate is stored as a different text than the one that was checked.
const FORBIDDEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/u;

/** What is wrong with a name that people will read, or undefined. */
export function nameProblem(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.trim() === '') return 'Give a name that is not blank.';
  if (value.length > LONGEST_NAME) return `Shorten the name to at most ${LONGEST_NAME} characters.`;
  return textProblem(value);
}

/** What is wrong with a line of text that people will read, whatever its length, or undefined. */
export function textProblem(value: string): string | undefined {
  if (value.trim() === '') return 'Give a text that is not blank.';
  if (FORBIDDEN.test(value)) return 'Remove the control characters, line breaks and direction marks.';
  return undefined;
}

/** A refused value as it may be shown: bounded and without control characters. */
export function quoted(value: unknown): string {
  if (typeof value !== 'string') return `a value of type ${value === null ? 'null' : typeof value}`;
  const short = value.length > 64 ? `${value.slice(0, 64)}…` : value;
  return JSON.stringify(short).replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '�');
}

/** @throws AppError `invalid_request` with every fault at once. */
export function refuseFaults(what: string, faults: readonly Fault[]): void {
  if (faults.length === 0) return;
  const first = faults.map(({ at, problem }) => `${at}: ${problem}`).join(' ');
  throw new AppError('invalid_request', `The ${what} was not accepted. ${first}`, { faults });
}
