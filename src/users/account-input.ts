import { composed } from './composed-text.js';
import { readProfile } from './profile-input.js';
import { type RefusedField, refuseFields } from './refused-fields.js';
import type { Profile } from './user.js';

/** RFC 5321 §4.5.3.1: 64 before the @, 254 in all. */
const LONGEST_EMAIL = 254;
/**
 * What mail servers take in practice. Quotes, brackets, commas and semicolons are left out: they make one header
 * field name several recipients.
 */
const EMAIL =
  /^[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+)*@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*$/u;
/** RFC 1123 §2.1: no label of a domain begins or ends with a hyphen. */
const MISPLACED_HYPHEN = /[@.]-|-\.|-$/;
const LONGEST_LOCAL_PART = 64;

const MOST_GROUPS = 100;
const LONGEST_GROUP = 100;
const GROUP = /^[\p{L}\p{N}_/][\p{L}\p{N} ._:/@+-]{0,99}$/u;

const MOST_CLAIMS = 50;
const LARGEST_CLAIMS = 16_384;
const CLAIM_NAME = /^[A-Za-z][A-Za-z0-9_.:/-]{0,127}$/;
/** Claims that tokens already give a meaning: an account must not be able to say who issued it or for whom. */
const RESERVED_CLAIMS: ReadonlySet<string> = new Set([
  ...[
    'iss',
    'sub',
    'aud',
    'exp',
    'nbf',
    'iat',
    'jti',
    'azp',
    'nonce',
    'auth_time',
    'acr',
    'amr',
    'sid',
    'scope',
  ],
  ...['at_hash', 'c_hash', 's_hash', 'cnf', 'client_id', 'act', 'may_act', 'events', 'status', 'token_type'],
  ...[
    'active',
    'authorization_details',
    'email',
    'email_verified',
    'groups',
    'updated_at',
    'name',
    'given_name',
  ],
  ...[
    'family_name',
    'middle_name',
    'nickname',
    'preferred_username',
    'profile',
    'picture',
    'website',
    'gender',
  ],
  ...['birthdate', 'zoneinfo', 'locale', 'phone_number', 'phone_number_verified', 'address'],
]);

export interface AccountInput {
  readonly email?: unknown;
  readonly profile?: unknown;
  readonly groups?: unknown;
  readonly customClaims?: unknown;
}

export interface CheckedAccount {
  readonly email: string;
  readonly profile: Profile;
  readonly groups: readonly string[];
  readonly customClaims: Readonly<Record<string, unknown>>;
}

/** As it is shown and written to. */
export function normalizedEmail(email: string): string {
  return composed(email.trim(), LONGEST_EMAIL);
}

/**
 * The address as it is compared. RFC 5321 §2.4 lets a server tell upper from lower case before the @; none that people
 * use does, and two accounts that differ only so would be one person's trap. Lower case can leave NFC (İ), hence twice.
 */
export function emailKey(email: string): string {
  return composed(normalizedEmail(email).toLowerCase(), LONGEST_EMAIL);
}

/** What is wrong with an address, or undefined. */
export function emailFault(email: unknown, field = 'email'): RefusedField | undefined {
  if (typeof email !== 'string' || email.trim() === '') {
    return { field, message: 'email.required', problem: 'Give an e-mail address.' };
  }
  const given = normalizedEmail(email);
  const isShort = given.length <= LONGEST_EMAIL && given.indexOf('@') <= LONGEST_LOCAL_PART;
  if (isShort && EMAIL.test(given) && !MISPLACED_HYPHEN.test(given.slice(given.indexOf('@'))))
    return undefined;
  return { field, message: 'email.invalid', problem: 'It is not an e-mail address such as ada@example.org.' };
}

export function readGroups(given: unknown): { groups: string[]; faults: RefusedField[] } {
  const fault = (problem: string) => ({
    groups: [],
    faults: [{ field: 'groups', message: 'profile.invalid', problem }],
  });
  if (!Array.isArray(given)) return fault('Give a list of names.');
  if (given.length > MOST_GROUPS) return fault(`Give at most ${MOST_GROUPS}.`);
  const groups = new Set<string>();
  for (const group of given as unknown[]) {
    const name = typeof group === 'string' ? composed(group.trim(), LONGEST_GROUP) : '';
    if (!GROUP.test(name)) {
      return fault('A group has 1 to 100 letters, digits, spaces and any of . _ : / @ + -');
    }
    groups.add(name);
  }
  return { groups: [...groups].sort(), faults: [] };
}

export function readCustomClaims(given: unknown): {
  claims: Record<string, unknown>;
  faults: RefusedField[];
} {
  const fault = (problem: string) => ({
    claims: {},
    faults: [{ field: 'custom_claims', message: 'profile.invalid', problem }],
  });
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return fault('Give an object of names and values.');
  }
  const entries = Object.entries(given);
  if (entries.length > MOST_CLAIMS) return fault(`Give at most ${MOST_CLAIMS}.`);
  const misnamed = entries.find(([name]) => !CLAIM_NAME.test(name));
  if (misnamed !== undefined) {
    return fault('A name begins with a letter and has at most 128 letters, digits and . _ : / -');
  }
  const reserved = entries.find(([name]) => RESERVED_CLAIMS.has(name));
  if (reserved !== undefined) return fault(`${reserved[0]} has a meaning of its own; choose another name.`);
  const text = JSON.stringify(given);
  if (Buffer.byteLength(text) > LARGEST_CLAIMS) return fault(`Give at most ${LARGEST_CLAIMS} bytes of JSON.`);
  // As it will be read back: no undefined, no prototypes.
  return { claims: JSON.parse(text) as Record<string, unknown>, faults: [] };
}

/** Every fault of an account's own values. */
export function readAccount(input: AccountInput): { account: CheckedAccount; faults: RefusedField[] } {
  const email = emailFault(input.email);
  const { profile, faults } = readProfile(input.profile ?? {});
  const groups = readGroups(input.groups ?? []);
  const custom = readCustomClaims(input.customClaims ?? {});
  return {
    account: {
      email: typeof input.email === 'string' ? normalizedEmail(input.email) : '',
      profile,
      groups: groups.groups,
      customClaims: custom.claims,
    },
    faults: [...(email === undefined ? [] : [email]), ...faults, ...groups.faults, ...custom.faults],
  };
}

/** @throws FieldsRefused */
export function validateAccount(input: AccountInput): CheckedAccount {
  const { account, faults } = readAccount(input);
  refuseFields('account', faults);
  return account;
}
