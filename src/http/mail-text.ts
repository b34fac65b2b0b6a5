import type { Locale } from '../config/config.js';
import type { MailName, Mails } from '../delivery/mails.js';
import { isLocale } from './locale.js';
import type { Messages, MessageValues } from './messages.js';

export interface MailText {
  readonly subject: string;
  readonly text: string;
}

export interface MailSender {
  readonly brandingName: string;
  readonly issuer: string;
  /** When no catalogue has the person's language. */
  readonly fallback: Locale;
}

/** Mails of the first kind carry a link that was asked for; the others tell a fact and what to do if it is unknown. */
const WITH_LINK: ReadonlySet<MailName> = new Set<MailName>([
  'verify-email',
  'reset-password',
  'invitation',
  'change-email',
  'already-registered',
  'backchannel-request',
]);

/** Who has lost the account, or the address, cannot look there any more. */
const GONE: ReadonlySet<MailName> = new Set<MailName>(['account-deleted', 'email-changed']);

function closingOf(name: MailName): string {
  if (name === 'alert') return 'mail.closing_alert';
  if (WITH_LINK.has(name)) return 'mail.closing_link';
  return GONE.has(name) ? 'mail.closing_gone' : 'mail.closing_security';
}

function whenIn(locale: Locale, at: number): string {
  const format = new Intl.DateTimeFormat(locale === 'en' ? 'en-GB' : 'de-DE', {
    dateStyle: 'long',
    timeStyle: 'short',
    timeZone: 'UTC',
  });
  return `${format.format(at)} UTC`;
}

/**
 * The subject is the fact. A security mail has no link: who got it by mistake or by fraud learns to open the page by
 * hand, so a forged copy of it has nothing to lure with.
 *
 * @param at when it happened, epoch milliseconds.
 */
export function renderMail<Name extends MailName>(
  messages: Messages,
  sender: MailSender,
  mail: { readonly name: Name; readonly values: Mails[Name]; readonly locale: string; readonly at: number },
): MailText {
  const locale = isLocale(mail.locale) ? mail.locale : sender.fallback;
  const { host } = new URL(sender.issuer);
  const values: MessageValues = {
    ...(mail.values as MessageValues),
    brand: sender.brandingName,
    host,
    when: whenIn(locale, mail.at),
  };
  const say = (key: string): string => messages.say(locale, key, values);
  const text = [say(`mail.${mail.name}.text`), say(closingOf(mail.name)), say('mail.signature')].join('\n\n');
  // A line break would end the header and begin another one.
  return { subject: say(`mail.${mail.name}.subject`).replace(/\s+/g, ' '), text: `${text}\n` };
}
