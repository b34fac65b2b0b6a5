import { SIGNING_ALGORITHMS } from '../protocol.js';
import { DEVELOPMENT, LOCALES, LOG_FORMATS, LOG_LEVELS, RATE_LIMIT_PROFILES, type Secret } from './config.js';
import { carriesPassword, DATABASE_URL, DATABASE_URL_FORM, shownDatabaseUrl } from './database-url.js';
import { DAY, HOUR, MINUTE } from './duration.js';
import { carriesMailPassword, shownMailUrl } from './mail-url.js';
import {
  boolean,
  choice,
  duration,
  integer,
  type Kind,
  list,
  offset,
  secret,
  sensitiveText,
  size,
  text,
} from './value-kinds.js';

/** What a default may depend on. */
export interface Earlier {
  readonly environment: string;
  readonly port: number;
}

export interface Setting<T> {
  readonly kind: Kind<T>;
  readonly fallback: T | ((earlier: Earlier) => T);
  /** How a default that depends on other settings is described in the settings table. */
  readonly fallbackSays?: string;
  /** One sentence. */
  readonly says: string;
  /**
   * Set on what is, or may be, a secret: it can be given as a reference and by `…_FILE`, and is shown redacted.
   * Tells whether this very value is one (a database URL is only when it carries a password).
   */
  readonly isSecret?: (value: string) => boolean;
}

function setting<T>(definition: Setting<T>): Setting<T> {
  return definition;
}

const host = () => text(/^[A-Za-z0-9.:_-]{1,253}$/, 'a host name or an address without brackets');
const always = () => true;

/** Every setting exactly once: the loader, `config print` and the table in the README are made from this. */
export const SETTINGS = {
  environment: setting<string>({
    kind: text(/^[a-z0-9-]{1,32}$/, '1 to 32 of a-z, 0-9 and -'),
    fallback: DEVELOPMENT,
    fallbackSays: 'development (production when NODE_ENV=production)',
    says: 'Name of this installation; every name but development refuses insecure settings.',
  }),
  issuer: setting<string>({
    kind: text(/^\S{1,512}$/, 'a URL'),
    fallback: ({ environment, port }) => (environment === DEVELOPMENT ? `http://localhost:${port}` : ''),
    fallbackSays: 'http://localhost:PORT in development, else required',
    says: 'The https URL that names this authorization server in every token and from which all its URLs are made.',
  }),
  'http.host': setting<string>({
    kind: host(),
    fallback: '127.0.0.1',
    says: 'Address to listen on; 0.0.0.0 or :: for all (in a container).',
  }),
  'http.port': setting<number>({
    kind: integer(0, 65_535),
    fallback: 4400,
    says: 'Port to listen on; 0 takes a free one.',
  }),
  'http.operationsHost': setting<string>({
    kind: host(),
    fallback: '127.0.0.1',
    says: 'Address of the operations listener (metrics), which asks for no credentials.',
  }),
  'http.operationsPort': setting<number>({
    kind: integer(0, 65_535),
    fallback: ({ port }) => (port === 0 ? 0 : port + 1),
    fallbackSays: 'http.port + 1',
    says: 'Port of the operations listener; 0 takes a free one.',
  }),
  'http.trustedProxies': setting<readonly string[]>({
    kind: list(text(/^[0-9A-Fa-f.:/]{2,43}$/, 'an IP address or CIDR range')),
    fallback: [],
    says: 'Addresses or CIDR ranges of the reverse proxies whose X-Forwarded-* headers count.',
  }),
  'http.trustedHops': setting<number>({
    kind: integer(1, 10),
    fallback: 1,
    says: 'How many proxies in a row add themselves to X-Forwarded-For.',
  }),
  'http.bodyLimit': setting<number>({
    kind: size(1_024, 1_048_576),
    fallback: 56 * 1_024,
    says: 'Largest request body that is read.',
  }),
  'http.requestTimeoutAfter': setting<number>({
    kind: duration(1, 10 * MINUTE),
    fallback: 30,
    says: 'A request that has not arrived whole by then is cut off.',
  }),
  'http.shutdownAfter': setting<number>({
    kind: duration(0, 5 * MINUTE),
    fallback: 15,
    says: 'After SIGTERM, open requests get this long to end.',
  }),
  'database.url': setting<string>({
    kind: sensitiveText('database URL', DATABASE_URL, DATABASE_URL_FORM, shownDatabaseUrl),
    fallback: 'sqlite:.claviger/claviger.sqlite',
    fallbackSays: 'sqlite:.claviger/claviger.sqlite in development, else required',
    says: 'Where everything is stored: sqlite:PATH for one machine, postgres://… for many.',
    isSecret: carriesPassword,
  }),
  'database.poolSize': setting<number>({
    kind: integer(1, 200),
    fallback: 8,
    says: 'Most database connections of one node.',
  }),
  'database.statementTimeoutAfter': setting<number>({
    kind: duration(1, 5 * MINUTE),
    fallback: 10,
    says: 'A statement that runs longer is cancelled.',
  }),
  'database.clockOffsetFor': setting<number>({
    kind: offset(10 * 365 * DAY),
    fallback: 0,
    says: "Seconds added to the database's clock; for tests, refused outside development.",
  }),
  rootKey: setting<Secret | undefined>({
    kind: secret,
    fallback: undefined,
    fallbackSays: 'made under .claviger/ in development, else required',
    says: '32 random bytes in base64url that wrap every other key; without it the database cannot be opened.',
    isSecret: always,
  }),
  'keys.announceFor': setting<number>({
    kind: duration(1, 30 * DAY),
    fallback: 24 * HOUR,
    says: 'How long a signing key is published before it signs; at least 25m outside development.',
  }),
  'keys.rotateEvery': setting<number>({
    kind: duration(1, 3_650 * DAY),
    fallback: 30 * DAY,
    says: 'Age at which the active signing key hands over to its announced successor; at most 365d.',
  }),
  'keys.algorithms': setting<readonly (typeof SIGNING_ALGORITHMS)[number][]>({
    kind: list(choice(SIGNING_ALGORITHMS)),
    fallback: SIGNING_ALGORITHMS,
    says: 'Algorithms that have signing keys; RS256 must be one (the default of ID tokens).',
  }),
  'keys.jwksMaxAgeFor': setting<number>({
    kind: duration(1, HOUR),
    fallback: 5 * MINUTE,
    says: 'How long verifiers may keep the published JWKS without asking again (max-age).',
  }),
  'keys.clockSkewFor': setting<number>({
    kind: duration(0, 5 * MINUTE),
    fallback: MINUTE,
    says: 'How far the clocks of verifiers may be off before a retained key is withdrawn too early.',
  }),
  'tokens.accessTokenFor': setting<number>({
    kind: duration(MINUTE, HOUR),
    fallback: 10 * MINUTE,
    says: 'Life of an access token unless its resource server says otherwise.',
  }),
  'tokens.longestTokenFor': setting<number>({
    kind: duration(MINUTE, HOUR),
    fallback: HOUR,
    says: 'Longest life that a resource server may ask for; retained signing keys stay published accordingly.',
  }),
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
  'federation.providersFile': setting<string>({
    kind: text(/^[^\0\r\n]{1,4096}$/, 'a path'),
    fallback: '',
    fallbackSays: 'none',
    says: 'YAML file that lists the OpenID Connect providers people may sign in with.',
  }),
  'outbound.allowedNetworks': setting<readonly string[]>({
    kind: list(text(/^[0-9A-Fa-f.:/]{2,43}$/, 'an IP address or CIDR range')),
    fallback: [],
    says: 'Private addresses or CIDR ranges that this server may call although they are not public.',
  }),
  rateLimits: setting<(typeof RATE_LIMIT_PROFILES)[number]>({
    kind: choice(RATE_LIMIT_PROFILES),
    fallback: ({ environment }) => (environment === DEVELOPMENT ? 'development' : 'production'),
    fallbackSays: 'development in development, else production',
    says: 'How strictly attempts are limited: production, or development (ten times as many).',
  }),
  'branding.name': setting<string>({
    kind: text(/^[^\r\n<>]{1,60}$/, '1 to 60 characters'),
    fallback: 'Claviger',
    says: 'Name that people see on pages and in mails.',
  }),
  'branding.logoFile': setting<string>({
    kind: text(/^[^\0\r\n]{1,4096}\.(?:svg|png)$/, 'a path that ends in .svg or .png'),
    fallback: '',
    fallbackSays: 'none: the name is shown',
    says: 'Logo shown on pages in place of the name.',
  }),
  'branding.lightAccents': setting<readonly string[]>({
    kind: list(text(/^#[0-9a-f]{6}$/, 'a colour as #rrggbb')),
    fallback: [],
    says: 'Four colours for the light scheme: accent, its deep form, its wash, and text on it.',
  }),
  'branding.darkAccents': setting<readonly string[]>({
    kind: list(text(/^#[0-9a-f]{6}$/, 'a colour as #rrggbb')),
    fallback: [],
    says: 'The same four colours for the dark scheme.',
  }),
  'branding.supportEmail': setting<string>({
    kind: text(/^[^\s@<>"]{1,64}@[^\s@<>"]{1,189}$/, 'a mail address'),
    fallback: '',
    fallbackSays: 'none',
    says: 'Where people may ask for help.',
  }),
  'branding.privacyUrl': setting<string>({
    kind: text(/^https?:\/\/\S{1,500}$/, 'a URL'),
    fallback: '',
    fallbackSays: 'none',
    says: 'Privacy notice linked on every page.',
  }),
  'branding.helpUrl': setting<string>({
    kind: text(/^https?:\/\/\S{1,500}$/, 'a URL'),
    fallback: '',
    fallbackSays: 'none',
    says: 'Help page linked on every page.',
  }),
  'branding.locale': setting<(typeof LOCALES)[number]>({
    kind: choice(LOCALES),
    fallback: 'en',
    says: 'Language of pages and mails when a person has told none.',
  }),
  'clients.cacheSize': setting<number>({
    kind: integer(1, 1_000_000),
    fallback: 10_000,
    says: 'How many clients a node keeps built in memory (about 1.2 KB each).',
  }),
  'log.level': setting<(typeof LOG_LEVELS)[number]>({
    kind: choice(LOG_LEVELS),
    fallback: 'info',
    says: 'Least severe log entry that is written.',
  }),
  'log.format': setting<(typeof LOG_FORMATS)[number]>({
    kind: choice(LOG_FORMATS),
    fallback: ({ environment }) => (environment === DEVELOPMENT ? 'pretty' : 'json'),
    fallbackSays: 'pretty in development, else json',
    says: 'Form of log entries: json for machines, pretty for people.',
  }),
} as const;

export type SettingName = keyof typeof SETTINGS;
export type SettingValues = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name] extends Setting<infer T> ? T : never;
};

export const SETTING_NAMES = Object.freeze(Object.keys(SETTINGS)) as readonly SettingName[];

/** `http.operationsPort` → `CLAVIGER_HTTP_OPERATIONS_PORT` */
export function environmentName(name: SettingName): string {
  return `CLAVIGER_${name.replaceAll('.', '_').replace(/[A-Z]/g, '_$&').toUpperCase()}`;
}

/** A look at a setting without its value's type, for code that treats all alike. */
export function settingOf(name: SettingName): Setting<unknown> {
  return SETTINGS[name] as unknown as Setting<unknown>;
}

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}
