import { BRANDING_SETTINGS } from './branding-settings.js';
import { DEVELOPMENT, LOG_FORMATS, LOG_LEVELS, RATE_LIMIT_PROFILES } from './config.js';
import { carriesPassword, DATABASE_URL, DATABASE_URL_FORM, shownDatabaseUrl } from './database-url.js';
import { DAY, MINUTE } from './duration.js';
import { KEY_SETTINGS } from './key-settings.js';
import { PEOPLE_SETTINGS } from './people-settings.js';
import { type Setting, setting } from './setting.js';
import { SIGNING_SETTINGS } from './signing-settings.js';
import { choice, duration, integer, list, offset, sensitiveText, size, text } from './value-kinds.js';
import { VAULT_SETTINGS } from './vault-settings.js';

const host = () => text(/^[A-Za-z0-9.:_-]{1,253}$/, 'a host name or an address without brackets');

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
  ...KEY_SETTINGS,
  ...SIGNING_SETTINGS,
  ...PEOPLE_SETTINGS,
  'outbound.allowedNetworks': setting<readonly string[]>({
    kind: list(text(/^[0-9A-Fa-f.:/]{2,43}$/, 'an IP address or CIDR range')),
    fallback: [],
    says: 'Private addresses or CIDR ranges that this server may call although they are not public.',
  }),
  ...VAULT_SETTINGS,
  rateLimits: setting<(typeof RATE_LIMIT_PROFILES)[number]>({
    kind: choice(RATE_LIMIT_PROFILES),
    fallback: ({ environment }) => (environment === DEVELOPMENT ? 'development' : 'production'),
    fallbackSays: 'development in development, else production',
    says: 'How strictly attempts are limited: production, or development (ten times as many).',
  }),
  ...BRANDING_SETTINGS,
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
