import { composed } from './composed-text.js';
import type { RefusedField } from './refused-fields.js';
import type { Profile } from './user.js';

/**
 * NIST SP 800-63B-4 §3.1.1.2: 15 characters where the password is all that is asked for, 8 beside a second factor;
 * no composition rules, no expiry; nothing that is commonly used or expected here.
 */
export const PASSWORD_LENGTHS = { alone: 15, withSecondFactor: 8, most: 256 } as const;

/** Whom a password is judged for. */
export interface PasswordOwner {
  readonly email: string;
  readonly profile: Profile;
  readonly hasSecondFactor: boolean;
  /** Name of this service, as people see it. */
  readonly serviceName: string;
}

/** Shorter ones turn up inside innocent passwords. */
const SHORTEST_WORD = 4;
/** What is added to a common password so often that it makes no difference. */
const SHORT_TAIL = 4;
const TAIL = /[^\p{L}]+$/u;
const WORD_BREAK = /[^\p{L}\p{N}]+/u;

/** The characters a person sees are hashed, however the keyboard composed them (NIST SP 800-63B-4 §3.1.1.2). */
export function normalizedPassword(password: string): string {
  return composed(password, PASSWORD_LENGTHS.most);
}

export function shortestPassword(hasSecondFactor: boolean): number {
  return hasSecondFactor ? PASSWORD_LENGTHS.withSecondFactor : PASSWORD_LENGTHS.alone;
}

/** Where a password is long enough. Kept in place of its length, which is nobody's business. */
export type PasswordReach = 'nowhere' | 'with_second_factor' | 'everywhere';

export function reachOf(password: string): PasswordReach {
  const length = [...normalizedPassword(password)].length;
  if (length < PASSWORD_LENGTHS.withSecondFactor) return 'nowhere';
  return length < PASSWORD_LENGTHS.alone ? 'with_second_factor' : 'everywhere';
}

export function isLongEnough(reach: PasswordReach, hasSecondFactor: boolean): boolean {
  return reach === 'everywhere' || (hasSecondFactor && reach === 'with_second_factor');
}

/** Why a new password is refused; empty when it is not. */
export async function passwordFaults(password: unknown, owner: PasswordOwner): Promise<RefusedField[]> {
  const field = 'password';
  if (typeof password !== 'string' || password === '') {
    return [{ field, message: 'password.required', problem: 'Give a password.' }];
  }
  const min = shortestPassword(owner.hasSecondFactor);
  const max = PASSWORD_LENGTHS.most;
  // Characters count, not the units they are stored in.
  const length = [...normalizedPassword(password)].length;
  if (length < min) {
    const problem = `Take at least ${min} characters; a few words are easy to remember.`;
    return [{ field, message: 'password.too_short', values: { min }, problem }];
  }
  if (length > max) {
    const problem = `Take at most ${max} characters.`;
    return [{ field, message: 'password.too_long', values: { max }, problem }];
  }
  const folded = normalizedPassword(password).toLowerCase();
  if (contextWords(owner).some(word => folded.includes(word))) {
    const problem = 'Leave out your name, your address and the name of this service: they are tried first.';
    return [{ field, message: 'password.contains_context', problem }];
  }
  if (isCommon(folded, await commonPasswords())) {
    const problem = 'Many people use it, so it is tried first. Take a few words that do not belong together.';
    return [{ field, message: 'password.too_common', problem }];
  }
  return [];
}

/** Loaded when the first password is chosen: 49 000 words that most commands never need. */
async function commonPasswords(): Promise<readonly string[]> {
  const { dictionary } = await import('@zxcvbn-ts/language-common');
  return dictionary['passwords-common'];
}

function contextWords({ email, profile, serviceName }: PasswordOwner): string[] {
  const localPart = email.slice(0, email.lastIndexOf('@'));
  const { name, given_name, family_name, nickname, preferred_username } = profile;
  const names = [serviceName, name, given_name, family_name, nickname, preferred_username, localPart];
  const whole = names.filter(text => text !== undefined).map(text => text.normalize('NFC').toLowerCase());
  const words = whole.flatMap(text => [text, ...text.split(WORD_BREAK), text.split(WORD_BREAK).join('')]);
  return words.filter(word => [...word].length >= SHORTEST_WORD);
}

/**
 * In the list; or, because almost everything in it is shorter than 15 characters, the ways to stretch such a word to
 * 15: repeating it, and hanging digits and signs on it that are themselves common, a row, or short.
 */
function isCommon(folded: string, common: readonly string[]): boolean {
  if (common.includes(folded) || isRow(folded)) return true;
  const unit = repeatedUnit(folded);
  if (unit.length < folded.length && (unit.length <= SHORT_TAIL || common.includes(unit))) return true;
  const tail = TAIL.exec(folded)?.[0] ?? '';
  const stem = folded.slice(0, folded.length - tail.length);
  if (tail === '' || !common.includes(stem)) return false;
  return tail.length < SHORT_TAIL || common.includes(tail) || isRow(tail) || repeatedUnit(tail) !== tail;
}

/** `abcdefgh`, `87654321`: each character the neighbour of the one before, digits going round. */
function isRow(text: string): boolean {
  return [1, -1].some(step =>
    [...text].every((character, index, all) => {
      const before = all[index - 1];
      if (before === undefined) return true;
      const next = (character.codePointAt(0) ?? 0) - (before.codePointAt(0) ?? 0);
      return next === step || (step === 1 ? before + character === '90' : before + character === '09');
    }),
  );
}

/** The shortest text whose repetition (the last one perhaps cut short) is the whole; at least twice. */
function repeatedUnit(text: string): string {
  for (let length = 1; length <= text.length / 2; length += 1) {
    if (text.slice(length) === text.slice(0, -length)) return text.slice(0, length);
  }
  return text;
}
