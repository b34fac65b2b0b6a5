import { composed } from './composed-text.js';
import type { RefusedField } from './refused-fields.js';
import type { Profile } from './user.js';

interface Rule {
  readonly most: number;
  readonly form?: RegExp;
  /** What the form asks for. */
  readonly says?: string;
}

// Control characters forge lines in mails and terminals, direction marks make one name look like another on a consent
// page, and angle brackets in a name are a lure in mail programs that guess at HTML.
const FORBIDDEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}<>\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/u;
/** Only these schemes: a `javascript:` address of a profile runs in whatever page links it. */
const WEB = { most: 512, form: /^https?:\/\/[^\s<>"]+$/, says: 'an address that begins with https://' };

/** OpenID Connect Core §5.1 */
const TEXTS: Readonly<Record<string, Rule>> = {
  name: { most: 120 },
  given_name: { most: 120 },
  family_name: { most: 120 },
  middle_name: { most: 120 },
  nickname: { most: 120 },
  preferred_username: { most: 120 },
  profile: WEB,
  picture: WEB,
  website: WEB,
  gender: { most: 60 },
  birthdate: { most: 10, form: /^\d{4}(?:-\d\d-\d\d)?$/, says: 'a date as 1815-12-10 or a year' },
  zoneinfo: { most: 60, form: /^[A-Za-z][A-Za-z0-9_+/-]*$/, says: 'a time zone such as Europe/Berlin' },
  locale: { most: 35, form: /^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*$/, says: 'a language tag such as de-CH' },
  phone_number: { most: 40, form: /^\+?[0-9 ().;=ext-]+$/, says: 'a number such as +49 30 1234567' },
};
const ADDRESS_MEMBERS: ReadonlySet<string> = new Set([
  ...['formatted', 'street_address', 'locality', 'region', 'postal_code', 'country'],
]);
const LONGEST_ADDRESS = 500;

/** Names of the claims a profile may hold. */
export const PROFILE_CLAIMS: readonly string[] = [...Object.keys(TEXTS), 'phone_number_verified', 'address'];

/** What is blank is left out: absent is unknown. */
export function readProfile(given: unknown): { profile: Profile; faults: RefusedField[] } {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    const problem = 'Give an object of claims.';
    return { profile: {}, faults: [{ field: 'profile', message: 'profile.invalid', problem }] };
  }
  const profile: Record<string, unknown> = {};
  const faults: RefusedField[] = [];
  for (const [claim, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    const rule = Object.hasOwn(TEXTS, claim) ? TEXTS[claim] : undefined;
    if (rule !== undefined) {
      const text = typeof value === 'string' ? composed(value.trim(), rule.most) : value;
      if (text === '') continue;
      const fault = textFault(claim, text, rule);
      if (fault === undefined) profile[claim] = text;
      else faults.push(fault);
    } else if (claim === 'phone_number_verified' && typeof value === 'boolean') profile[claim] = value;
    else if (claim === 'address') {
      const address = addressOf(value);
      if (address === undefined) {
        faults.push(invalid(claim, `Give an object of ${[...ADDRESS_MEMBERS].join(', ')}.`));
      } else if (Object.keys(address).length > 0) profile[claim] = address;
    } else faults.push(invalid(claim, 'A profile has no such claim, or not of this type.'));
  }
  return { profile, faults };
}

function textFault(claim: string, text: unknown, { most, form, says }: Rule): RefusedField | undefined {
  if (typeof text !== 'string') return invalid(claim, 'Give a text.');
  if (text.length > most) {
    const message = claim === 'name' ? 'name.too_long' : 'profile.too_long';
    return { field: claim, message, values: { max: most }, problem: `Shorten it to ${most} characters.` };
  }
  if (FORBIDDEN.test(text)) {
    return invalid(claim, 'Remove the control characters, line breaks, angle brackets and direction marks.');
  }
  return form === undefined || form.test(text) ? undefined : invalid(claim, `Give ${says}.`);
}

function addressOf(given: unknown): Record<string, string> | undefined {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return undefined;
  const address: Record<string, string> = {};
  for (const [member, value] of Object.entries(given)) {
    if (!ADDRESS_MEMBERS.has(member) || typeof value !== 'string' || value.length > LONGEST_ADDRESS) {
      return undefined;
    }
    // OpenID Connect Core §5.1.1: formatted and street_address may have several lines.
    if (FORBIDDEN.test(value.replaceAll(/\r?\n/g, ' '))) return undefined;
    if (value.trim() !== '') address[member] = composed(value.trim(), LONGEST_ADDRESS);
  }
  return address;
}

function invalid(claim: string, problem: string): RefusedField {
  return { field: claim, message: claim === 'name' ? 'name.invalid' : 'profile.invalid', problem };
}
