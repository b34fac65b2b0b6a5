import { DAY, HOUR, MINUTE } from './duration.js';
import { carriesMailPassword, shownMailUrl } from './mail-url.js';
import { setting } from './setting.js';
import { boolean, duration, list, sensitiveText, text } from './value-kinds.js';

/** Sessions, accounts, mail, and other providers people sign in with. */
export const PEOPLE_SETTINGS = {
  'refreshTokens.idleAfter': setting<number>({
    kind: duration(MINUTE, 365 * DAY),
    fallback: 30 * DAY,
    says: 'A refresh token that is not used for this long is dead.',
  }),
  'refreshTokens.endAfter': setting<number>({
    kind: duration(MINUTE, 365 * DAY),
    fallback: 90 * DAY,
    says: 'However often it is used, a refresh token and its successors end this long after the sign-in.',
  }),
  'sessions.idleAfter': setting<number>({
    kind: duration(MINUTE, 30 * DAY),
    fallback: HOUR,
    says: 'A session that is not used for this long ends.',
  }),
  'sessions.endAfter': setting<number>({
    kind: duration(MINUTE, 30 * DAY),
    fallback: 24 * HOUR,
    says: 'However often it is used, a session ends this long after the sign-in.',
  }),
  'users.signUp': setting<boolean>({
    kind: boolean,
    fallback: false,
    says: 'Whether people may create accounts by themselves; otherwise they are invited or created.',
  }),
  'users.requireSecondFactor': setting<boolean>({
    kind: boolean,
    fallback: false,
    says: 'Whether everybody must set up a second factor at the next sign-in.',
  }),
  'users.claimScopes': setting<readonly string[]>({
    kind: list(text(/^[\x21\x23-\x39\x3B-\x5B\x5D-\x7E]{1,64}:[A-Za-z0-9_./-]{1,64}$/, 'SCOPE:CLAIM')),
    fallback: [],
    says: 'Which custom claim of users which scope brings, each as SCOPE:CLAIM.',
  }),
  'users.trustDeviceFor': setting<number>({
    kind: duration(0, 90 * DAY),
    fallback: 30 * DAY,
    says: 'How long a device that its owner trusts is not asked for a second factor; 0 always asks.',
  }),
  'users.emailLinkFor': setting<number>({
    kind: duration(MINUTE, 15 * MINUTE),
    fallback: 15 * MINUTE,
    says: 'Life of a link in a mail that resets a password or confirms an address.',
  }),
  'users.invitationFor': setting<number>({
    kind: duration(HOUR, 30 * DAY),
    fallback: 7 * DAY,
    says: 'Life of an invitation.',
  }),
  'mail.url': setting<string>({
    kind: sensitiveText(
      'mail server',
      /^smtps?:\/\/\S{1,500}$/,
      'smtp://USER:PASSWORD@HOST:PORT or smtps://…',
      shownMailUrl,
    ),
    fallback: '',
    fallbackSays: 'none: in development mails are logged and shown at /development/mail',
    says: 'SMTP server for mails to people.',
    isSecret: carriesMailPassword,
  }),
  'mail.from': setting<string>({
    kind: text(/^[^\r\n]{3,254}$/, 'an address, or NAME <ADDRESS>'),
    fallback: 'Claviger <no-reply@localhost>',
    says: 'Sender of mails.',
  }),
  'alerts.mailTo': setting<readonly string[]>({
    kind: list(text(/^[^\s<>()[\]\\,;:"@]{1,64}@[^\s<>()[\]\\,;:"@]{1,189}$/, 'an e-mail address')),
    fallback: [],
    fallbackSays: 'nobody',
    says: 'Addresses that get a mail for each alert, such as a revoked or damaged signing key.',
  }),
  'federation.providersFile': setting<string>({
    kind: text(/^[^\0\r\n]{1,4096}$/, 'a path'),
    fallback: '',
    fallbackSays: 'none',
    says: 'YAML file that lists the OpenID Connect providers people may sign in with.',
  }),
} as const;
