import { AppError, type Fault } from '../errors.js';
import { logoProblem } from './branding-checks.js';
import { checkConfig } from './checks.js';
import { type Config, DEVELOPMENT, Secret } from './config.js';
import { type Given, gatherGiven, type LoadInput, type Source } from './given.js';
import { readSecret, readSecretFile, type SecretReading } from './secret-reference.js';
import { SETTING_NAMES, type SettingName, type SettingValues, settingOf } from './settings.js';
import { trustsDevelopmentCertificate } from './surroundings.js';
import type { RawValue, Reading } from './value-kinds.js';

export type { LoadInput, Source } from './given.js';

export interface SettingSource {
  readonly name: SettingName;
  readonly source: Source;
  /** The flag, variable or file that gave the value. */
  readonly from: string | undefined;
  /** As shown to people: secrets redacted. */
  readonly shown: string;
  /** As shown to programs: secrets redacted, absent values null. */
  readonly value: string | number | boolean | readonly string[] | null;
}

export interface LoadedConfig {
  readonly config: Config;
  readonly sources: readonly SettingSource[];
  readonly warnings: readonly Fault[];
}

/** An environment nobody could read is judged as strictly as production. */
const UNREADABLE_ENVIRONMENT = 'unreadable';

function readOpenSecret(given: Given, raw: string, env: LoadInput['env']): SecretReading {
  return given.isPath ? readSecretFile(raw, given.folder) : readSecret(raw, { env, folder: given.folder });
}

/** Why a secret may not stand where it stands. */
function misplacedSecret({ source, from }: Given, environment: string): string | undefined {
  // Arguments are visible to every user of the machine and end up in shell histories.
  if (source === 'flag')
    return `is a secret and must not be given by ${from}; use file:/path or an environment variable.`;
  // Configuration files are committed, copied and backed up.
  if (source === 'file' && environment !== DEVELOPMENT) {
    return `stands readable in ${from}; put it in a file of its own and write file:/path (or env:NAME, credential:NAME).`;
  }
  return undefined;
}

class Loading {
  readonly faults: Fault[] = [];
  readonly warnings: Fault[] = [];
  readonly #input: LoadInput;
  readonly #given: ReadonlyMap<SettingName, Given>;

  constructor(input: LoadInput) {
    this.#input = input;
    const { given, faults } = gatherGiven(input);
    this.#given = given;
    this.faults.push(...faults);
  }

  load(): LoadedConfig {
    const environment = this.#explicit('environment', DEVELOPMENT, UNREADABLE_ENVIRONMENT);
    const port = this.#explicit('http.port', 4400, 4400);
    const values = new Map<SettingName, unknown>();
    for (const name of SETTING_NAMES) {
      const reading = this.#read(name, environment);
      const { fallback } = settingOf(name);
      const standIn = typeof fallback === 'function' ? fallback({ environment, port }) : fallback;
      if (reading !== undefined && 'problem' in reading)
        this.faults.push({ at: name, problem: reading.problem });
      values.set(name, reading !== undefined && 'value' in reading ? reading.value : standIn);
    }
    // Each value was made by its own setting's kind or default, which is what SettingValues says.
    const config = assemble(Object.fromEntries(values) as unknown as SettingValues, environment);
    this.#check(config);
    if (this.faults.length > 0) {
      const count = this.faults.length === 1 ? '1 fault' : `${this.faults.length} faults`;
      const listed = this.faults.map(({ at, problem }) => `\n  ${at}: ${problem}`).join('');
      throw new AppError('configuration_invalid', `The configuration has ${count}:${listed}`, {
        faults: this.faults,
      });
    }
    return { config: deepFreeze(config), sources: this.#sources(values), warnings: this.warnings };
  }

  /** A value that others depend on, ahead of the rest; its faults are reported in its own turn. */
  #explicit<Name extends 'environment' | 'http.port'>(
    name: Name,
    absent: SettingValues[Name],
    unreadable: SettingValues[Name],
  ): SettingValues[Name] {
    const given = this.#given.get(name);
    if (given === undefined) return absent;
    const reading = settingOf(name).kind.read(given.raw);
    return 'value' in reading ? (reading.value as SettingValues[Name]) : unreadable;
  }

  #read(name: SettingName, environment: string): Reading<unknown> | undefined {
    const given = this.#given.get(name);
    if (given === undefined) return undefined;
    const { kind, isSecret } = settingOf(name);
    let raw: RawValue = given.raw;
    if (isSecret !== undefined) {
      if (typeof raw !== 'string') return { problem: 'takes one value, not a list.' };
      const opened = readOpenSecret(given, raw, this.#input.env);
      if ('problem' in opened) return opened;
      if (opened.warning !== undefined) this.warnings.push({ at: name, problem: opened.warning });
      const misplaced =
        opened.isLiteral && isSecret(opened.value) ? misplacedSecret(given, environment) : undefined;
      if (misplaced !== undefined) return { problem: misplaced };
      raw = opened.value;
    }
    const reading = kind.read(raw);
    if (!('problem' in reading)) return reading;
    return { problem: `(from ${given.from}) ${reading.problem}` };
  }

  #check(config: Config): void {
    const { env, cwd } = this.#input;
    const findings = checkConfig(config, {
      defaulted: new Set(SETTING_NAMES.filter(name => !this.#given.has(name))),
      ignoresCertificates: env.NODE_TLS_REJECT_UNAUTHORIZED === '0',
      trustsDevelopmentCertificate: trustsDevelopmentCertificate(env.NODE_EXTRA_CA_CERTS, cwd),
      logoProblem: logoProblem(config.branding.logoFile, cwd),
    });
    // A setting that could not be read holds its default here: what the checks say about that is no news.
    const told = new Set(this.faults.map(({ at }) => at));
    this.faults.push(...findings.faults.filter(({ at }) => !told.has(at)));
    this.warnings.push(...findings.warnings);
  }

  #sources(values: ReadonlyMap<SettingName, unknown>): SettingSource[] {
    return SETTING_NAMES.map(name => {
      const given = this.#given.get(name);
      const value = values.get(name);
      const { kind } = settingOf(name);
      const shown = kind.show(value);
      return {
        name,
        source: given?.source ?? 'default',
        from: given?.from,
        shown,
        value: plain(value, shown),
      };
    });
  }
}

function plain(value: unknown, shown: string): SettingSource['value'] {
  if (value === undefined) return null;
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  return Array.isArray(value) ? value.map(String) : shown;
}

function assemble(values: SettingValues, environment: string): Config {
  return {
    issuer: values.issuer,
    environment,
    http: {
      host: values['http.host'],
      port: values['http.port'],
      operationsHost: values['http.operationsHost'],
      operationsPort: values['http.operationsPort'],
      trustedProxies: values['http.trustedProxies'],
      trustedHops: values['http.trustedHops'],
      bodyLimit: values['http.bodyLimit'],
      requestTimeoutAfter: values['http.requestTimeoutAfter'],
      shutdownAfter: values['http.shutdownAfter'],
    },
    database: {
      url: values['database.url'],
      poolSize: values['database.poolSize'],
      statementTimeoutAfter: values['database.statementTimeoutAfter'],
      clockOffsetFor: values['database.clockOffsetFor'],
    },
    rootKey: values.rootKey,
    keys: {
      announceFor: values['keys.announceFor'],
      rotateEvery: values['keys.rotateEvery'],
      algorithms: values['keys.algorithms'],
      jwksMaxAgeFor: values['keys.jwksMaxAgeFor'],
      clockSkewFor: values['keys.clockSkewFor'],
    },
    tokens: {
      accessTokenFor: values['tokens.accessTokenFor'],
      longestTokenFor: values['tokens.longestTokenFor'],
    },
    clients: { cacheSize: values['clients.cacheSize'] },
    refreshTokens: {
      idleAfter: values['refreshTokens.idleAfter'],
      endAfter: values['refreshTokens.endAfter'],
    },
    sessions: { idleAfter: values['sessions.idleAfter'], endAfter: values['sessions.endAfter'] },
    users: {
      signUp: values['users.signUp'],
      requireSecondFactor: values['users.requireSecondFactor'],
      claimScopes: values['users.claimScopes'],
      trustDeviceFor: values['users.trustDeviceFor'],
      emailLinkFor: values['users.emailLinkFor'],
      invitationFor: values['users.invitationFor'],
    },
    mail: { url: values['mail.url'], from: values['mail.from'] },
    federation: { providersFile: values['federation.providersFile'] },
    outbound: { allowedNetworks: values['outbound.allowedNetworks'] },
    rateLimits: values.rateLimits,
    branding: {
      name: values['branding.name'],
      logoFile: values['branding.logoFile'],
      lightAccents: values['branding.lightAccents'],
      darkAccents: values['branding.darkAccents'],
      supportEmail: values['branding.supportEmail'],
      privacyUrl: values['branding.privacyUrl'],
      helpUrl: values['branding.helpUrl'],
      locale: values['branding.locale'],
    },
    log: { level: values['log.level'], format: values['log.format'] },
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !(value instanceof Secret) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}

/**
 * Reads every setting from its strongest source and checks all of them together. Throws
 * AppError('configuration_invalid') that carries every fault found.
 */
export function loadConfig(input: LoadInput): LoadedConfig {
  return new Loading(input).load();
}
