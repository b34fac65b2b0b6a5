import { composed } from '../../users/composed-text.js';
import { readProfile } from '../../users/profile-input.js';
import type { Profile } from '../../users/user.js';
import type { FieldFault } from '../view-models.js';

/** Standard claims (OpenID Connect Core §5.1) that people write themselves. */
const EDITABLE_CLAIMS = [
  'name',
  'given_name',
  'family_name',
  'nickname',
  'preferred_username',
  'phone_number',
  'birthdate',
  'website',
  'zoneinfo',
  'locale',
  'middle_name',
  'gender',
  'profile',
  'picture',
] as const satisfies readonly (keyof Profile)[];
type EditableClaim = (typeof EDITABLE_CLAIMS)[number];

/** Of the address claim (§5.1.1); `formatted` is made by whoever shows it. */
const ADDRESS_MEMBERS = ['street_address', 'postal_code', 'locality', 'region', 'country'] as const;

/** Of any field, characters. */
const LONGEST = 512;

/** Asked of everybody; the others are shown to whom has them. */
const USUAL: readonly EditableClaim[] = EDITABLE_CLAIMS.slice(0, 10);

/** Undefined: it is not such a value. Otherwise the form in which it is kept. */
type Reading = (text: string) => string | undefined;

/** Clients put it into links and images: nothing but the web, and encrypted. */
const webPage: Reading = text => {
  if (/\s/.test(text) || !URL.canParse(text)) return undefined;
  const { protocol, username, password } = new URL(text);
  return protocol === 'https:' && username === '' && password === '' ? text : undefined;
};

/** ISO 8601-1: YYYY-MM-DD, a year alone, or 0000-MM-DD for a day without its year (§5.1). */
const birthdate: Reading = text => {
  if (/^[12]\d{3}$/.test(text)) return text;
  const [, year = '', rest = ''] = /^(0000|[12]\d{3})(-\d\d-\d\d)$/.exec(text) ?? [];
  // A leap year stands for the one that was left out.
  const written = `${year === '0000' ? '2000' : year}${rest}`;
  const instant = Date.parse(`${written}T00:00:00Z`);
  // JavaScript takes 30 February for 1 March.
  return !Number.isNaN(instant) && new Date(instant).toISOString().startsWith(written) ? text : undefined;
};

const timeZone: Reading = text => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
};

/** BCP 47; older software writes `en_US`. */
const language: Reading = text => {
  try {
    return Intl.getCanonicalLocales(text.replaceAll('_', '-'))[0];
  } catch {
    return undefined;
  }
};

/** E.164, however it was grouped for the eye. */
const phone: Reading = text => {
  const digits = text.replace(/[\s().\-/]/g, '');
  return /^\+[1-9]\d{6,14}$/.test(digits) ? digits : undefined;
};

/** What is asked of people beyond what an account may hold: operators import what other systems took. */
const READINGS: Readonly<Partial<Record<EditableClaim, Reading>>> = {
  profile: webPage,
  picture: webPage,
  website: webPage,
  birthdate,
  zoneinfo: timeZone,
  locale: language,
  phone_number: phone,
};

export interface ProfileForm {
  /** What was written, by claim, to be shown again. */
  readonly typed: Readonly<Record<string, string>>;
  /** The whole profile after the form: what the form does not have stays, what was emptied is forgotten. */
  readonly profile: Profile;
  readonly faults: readonly FieldFault[];
}

/** @param field gives the value of a field, undefined when the form has none of that name. */
export function readProfileForm(before: Profile, field: (name: string) => string | undefined): ProfileForm {
  const typed: Record<string, string> = {};
  const after: Record<string, unknown> = { ...before };
  const faults: FieldFault[] = [];
  for (const claim of EDITABLE_CLAIMS) {
    const text = textOf(field(claim));
    if (text === undefined) continue;
    typed[claim] = text;
    if (text === '') {
      delete after[claim];
      continue;
    }
    // What somebody else put there may stay as it is.
    if (text === before[claim]) continue;
    // What is too long is told by the check of the whole; here it would only cost time.
    const reading = text.length > LONGEST ? undefined : READINGS[claim];
    const value = reading === undefined ? text : reading(text);
    if (value === undefined) {
      faults.push({ field: claim, message: 'profile.invalid' });
      delete after[claim];
    } else after[claim] = value;
  }
  // Proof of the old number says nothing about the new one.
  if (after.phone_number !== before.phone_number) delete after.phone_number_verified;
  const address = readAddress(before.address, field, typed);
  if (address.wrong !== undefined) faults.push({ field: address.wrong, message: 'profile.invalid' });
  const checked = readProfile({ ...after, address: address.value });
  faults.push(...checked.faults.map(({ field: at, message, values }) => ({ field: at, message, values })));
  return { typed, profile: checked.profile, faults };
}

/** Each member is judged alone, so that the fault is said at its field. */
function readAddress(
  before: Profile['address'],
  field: (name: string) => string | undefined,
  typed: Record<string, string>,
): { readonly value: Profile['address']; readonly wrong?: string } {
  const after: Record<string, string> = { ...before };
  let wrong: string | undefined;
  for (const member of ADDRESS_MEMBERS) {
    const text = textOf(field(member));
    if (text === undefined) continue;
    typed[member] = text;
    if (text === oneLine(before?.[member])) continue;
    // It was made of the old members.
    delete after.formatted;
    delete after[member];
    if (text === '') continue;
    if (readProfile({ address: { [member]: text } }).faults.length > 0) wrong ??= member;
    else after[member] = text;
  }
  return { value: after, ...(wrong === undefined ? {} : { wrong }) };
}

function textOf(given: string | undefined): string | undefined {
  return given === undefined ? undefined : composed(given.toWellFormed().trim(), LONGEST);
}

/** A street address may have several lines (§5.1.1), a field has one. */
function oneLine(text = ''): string {
  return text.replaceAll(/\s*\r?\n\s*/g, ', ');
}

/** The fields of the form, in their order. */
export function profileFields(
  profile: Profile,
  typed: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const shown = EDITABLE_CLAIMS.filter(claim => USUAL.includes(claim) || profile[claim] !== undefined);
  return Object.fromEntries(shown.map(claim => [claim, typed[claim] ?? profile[claim] ?? '']));
}

export function addressFields(
  address: Profile['address'] = {},
  typed: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    ADDRESS_MEMBERS.map(member => [member, typed[member] ?? oneLine(address[member])]),
  );
}
