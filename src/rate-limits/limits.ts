import type { RateLimitProfile } from '../config/config.js';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export interface Limit {
  /** So many attempts in a window, which begins with the first of them. */
  readonly most: number;
  /** Seconds. */
  readonly windowFor: number;
  /**
   * What a success does. Where the key is one account, failures before it are forgotten. Where many share the key it
   * takes back only itself: whoever owns one account could otherwise wipe out what he guessed at others.
   */
  readonly onSuccess: 'forget' | 'take_back';
}

/**
 * Production. NIST SP 800-63B-4 §3.2.2: at most 100 failed attempts in a row on one account; everything shorter only
 * slows a guesser down further, and is wide enough for a person who mistypes.
 */
const PRODUCTION = {
  /** Per (account, network). Ten tries are more than a person needs before a reset, and few for a guesser. */
  account_password: { most: 10, windowFor: 15 * MINUTE, onSuccess: 'forget' },
  /** Per network. One password tried on many accounts; an office behind one address mistypes less than this. */
  account_password_network: { most: 100, windowFor: 15 * MINUTE, onSuccess: 'take_back' },
  /** Per account. SP 800-63B-4 §3.2.2: no success in between, so a year stands for "in a row". */
  account_consecutive: { most: 100, windowFor: 365 * DAY, onSuccess: 'forget' },
  /**
   * Per (account, device that has signed in to it before). Its own budget in place of the three above: a stranger
   * must not be able to use up the owner's.
   */
  device_password: { most: 10, windowFor: 15 * MINUTE, onSuccess: 'forget' },
  /** Per (account, known device). A stolen device does not guess for ever either. */
  device_consecutive: { most: 100, windowFor: 365 * DAY, onSuccess: 'forget' },
  /** Per account. Three codes of a million are right at a time: ten tries hit one in 33 000 windows. */
  second_factor: { most: 10, windowFor: 15 * MINUTE, onSuccess: 'forget' },
  /** Per account. SP 800-63B-4 §3.2.2 for one-time codes; a passkey or a recovery code still opens the account. */
  second_factor_consecutive: { most: 100, windowFor: 365 * DAY, onSuccess: 'forget' },
  /** Per account. Codes have 80 random bits; the bound is for the database's sake and for mistyping. */
  recovery_code: { most: 10, windowFor: HOUR, onSuccess: 'forget' },
  /** Per network. RFC 8628 §5.1: user codes are short, and a hit connects a foreign device. */
  user_code: { most: 30, windowFor: 15 * MINUTE, onSuccess: 'take_back' },
  /** Per session. RFC 8628 §5.1: a person types one code, perhaps wrongly. */
  user_code_session: { most: 10, windowFor: 15 * MINUTE, onSuccess: 'take_back' },
  /** Per address. Nobody's mailbox is to be filled by somebody else; every mail counts, so nothing is taken back. */
  reset_mail: { most: 3, windowFor: HOUR, onSuccess: 'take_back' },
  /** Per network. Bounds how many mailboxes one sender reaches. */
  reset_mail_network: { most: 20, windowFor: HOUR, onSuccess: 'take_back' },
  /** Per person. A client that asks again and again (CIBA) fills no mailbox; what it asks stands on the account page. */
  backchannel_mail: { most: 10, windowFor: HOUR, onSuccess: 'take_back' },
  /** Per network. Accounts and mails made by machines; a class that signs up together fits. */
  sign_up: { most: 30, windowFor: HOUR, onSuccess: 'take_back' },
  /** Per network. Links cannot be guessed; this bounds the work of trying. */
  email_link: { most: 60, windowFor: 15 * MINUTE, onSuccess: 'take_back' },
  /** Per invited address. An operator's mistake, or a stolen operator account, does not fill a mailbox. */
  invitation: { most: 5, windowFor: DAY, onSuccess: 'take_back' },
  /** Per device code or backchannel request. RFC 8628 §3.5: every 5 s, of which a second is left to the network. */
  token_poll: { most: 1, windowFor: 4, onSuccess: 'forget' },
  /** Per (limit, account, network). A flood that is refused does not fill the audit log: some of it is told. */
  throttled_event: { most: 10, windowFor: 15 * MINUTE, onSuccess: 'take_back' },
  /** Per network. Nobody guesses a signature; this bounds what refused ones write. Ones that are right do not count. */
  passkey_network: { most: 100, windowFor: 15 * MINUTE, onSuccess: 'take_back' },
  /** Per challenge, for longer than it is valid. WebAuthn §13.4.3: an answer counts once. */
  passkey_challenge: { most: 1, windowFor: DAY, onSuccess: 'forget' },
} as const satisfies Readonly<Record<string, Limit>>;

export type LimitName = keyof typeof PRODUCTION;

/** Not strictness but correctness: the same in every profile. */
const EXACT: ReadonlySet<string> = new Set<LimitName>(['passkey_challenge', 'token_poll']);

/** Whoever tries the flows by hand or in tests fails more often than people do. */
const DEVELOPMENT_FACTOR = 10;

export function limitOf(profile: RateLimitProfile, name: LimitName): Limit {
  const limit: Limit = PRODUCTION[name];
  if (profile === 'production' || EXACT.has(name)) return limit;
  return { ...limit, most: limit.most * DEVELOPMENT_FACTOR };
}
