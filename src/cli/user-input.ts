import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Surroundings, UsageError } from './command.js';

const LARGEST = 4096;

export interface ProfileOptions {
  readonly name?: string;
  readonly givenName?: string;
  readonly familyName?: string;
  readonly locale?: string;
  readonly group?: readonly string[];
  /** JSON. */
  readonly claims?: string;
}

/**
 * From `--password-file`, else standard input; never from an argument. One line break at the end is the editor's; a
 * space may be part of a password.
 */
export async function readPassword(
  { stdin, cwd, isTty }: Surroundings,
  file: string | undefined,
): Promise<string | undefined> {
  let text = '';
  if (file !== undefined) {
    try {
      text = readFileSync(resolve(cwd, file), 'utf8');
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
      throw new UsageError(`The file ${file} cannot be read (${code}).`);
    }
  } else if (!isTty) {
    for await (const chunk of stdin) {
      text += typeof chunk === 'string' ? chunk : chunk.toString('utf8');
      if (text.length > LARGEST) throw new UsageError('Standard input is too long for a password.');
    }
  }
  const password = text.replace(/\r?\n$/, '');
  if (password !== '') return password;
  if (file !== undefined) throw new UsageError(`The file ${file} is empty.`);
  return undefined;
}

/** What was given of the profile, by its claims. */
export function profileFrom(options: ProfileOptions): Record<string, string> | undefined {
  const { name, givenName, familyName, locale } = options;
  const given = { name, given_name: givenName, family_name: familyName, locale };
  const named = Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return named.length === 0 ? undefined : Object.fromEntries(named);
}

/** A group may hold spaces, so each stands in an argument of its own; `--group ''` means none. */
export function groupsFrom({ group }: ProfileOptions): string[] | undefined {
  return group?.filter(name => name.trim() !== '');
}

export function claimsFrom({ claims }: ProfileOptions): unknown {
  if (claims === undefined) return undefined;
  try {
    return JSON.parse(claims);
  } catch {
    throw new UsageError('--claims is not JSON. Write it as {"employee_number": "42"}.');
  }
}
