import type { Fault } from '../errors.js';
import { quoted } from '../resources/text-checks.js';

/** What is wrong with a value, in a sentence that says what to do; undefined when nothing is. */
export type ProblemOf = (value: unknown) => string | undefined;

/** As the core checks it, which would refuse the client at use otherwise. */
const EMAIL = /^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*$/;
const LONGEST_EMAIL = 254;

export function checkOptional(at: string, value: unknown, problemOf: ProblemOf, faults: Fault[]): void {
  const problem = value === undefined ? undefined : problemOf(value);
  if (problem !== undefined) faults.push({ at, problem });
}

/** Each entry once, and each of them good. */
export function checkList(
  at: string,
  list: unknown,
  most: number,
  problemOf: ProblemOf,
  faults: Fault[],
): void {
  if (!Array.isArray(list) || list.length > most) {
    faults.push({ at, problem: `Give a list of at most ${most}.` });
    return;
  }
  const seen = new Set<unknown>();
  for (const [index, value] of list.entries()) {
    const problem = seen.has(value) ? `${quoted(value)} is named twice: remove one.` : problemOf(value);
    if (problem !== undefined) faults.push({ at: `${at}[${index}]`, problem });
    seen.add(value);
  }
}

export function choiceProblem(choices: readonly string[]): ProblemOf {
  return value =>
    typeof value === 'string' && choices.includes(value)
      ? undefined
      : `${quoted(value)} is not offered: choose ${choices.join(', ')}.`;
}

export function booleanProblem(value: unknown): string | undefined {
  return typeof value === 'boolean' ? undefined : 'Give true or false.';
}

export function secondsProblem(shortest: number, longest: number): ProblemOf {
  return value =>
    Number.isSafeInteger(value) && Number(value) >= shortest && Number(value) <= longest
      ? undefined
      : `Choose from ${shortest} to ${longest} whole seconds.`;
}

export function emailProblem(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= LONGEST_EMAIL && EMAIL.test(value)
    ? undefined
    : `${quoted(value)} is no e-mail address.`;
}
