import { AppError, type Fault } from '../errors.js';
import { UNAVAILABLE_ALGORITHMS } from './available-algorithms.js';
import { logoProblem } from './branding-checks.js';
import { checkConfig } from './checks.js';
import { type Config, DEVELOPMENT, Secret, type VaultConfig } from './config.js';
import { type Given, gatherGiven, type LoadInput, type Source } from './given.js';
import { type OpenedGiven, openGiven } from './open-given.js';
import { SETTING_NAMES, type SettingName, type SettingValues, settingOf } from './settings.js';
import { trustsDevelopmentCertificate } from './surroundings.js';
import type { Reading } from './value-kinds.js';
import { checkVault } from './vault-checks.js';

export type { LoadInput, Source } from './given.js';

export interface SettingSource {
  readonly name: SettingName;
  readonly source: Source;
  /** The flag, variable or file that gave the value. */
  readonly from: string | undefined;
  /** Where the value is kept, as written there: `vault:kv/claviger#root_key`. */
  readonly reference: string | undefined;
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

const CONCEALED = '[redacted]';
/** Shorter values are numbers and switches, and would be found inside of words. */
const SHORTEST_CONCEALED = 4;

class Loading {
  readonly faults: Fault[] = [];
  readonly warnings: Fault[] = [];
  readonly #input: LoadInput;
  readonly #given: ReadonlyMap<SettingName, Given>;
  readonly #opened = new Map<SettingName, OpenedGiven | { readonly problem: string }>();

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
    const opened = this.#open(name, given, UNREADABLE_ENVIRONMENT);
    const reading = 'problem' in opened ? opened : settingOf(name).kind.read(opened.raw);
    return 'value' in reading ? (reading.value as SettingValues[Name]) : unreadable;
  }

  #open(name: SettingName, given: Given, environment: string): OpenedGiven | { readonly problem: string } {
    const opened = this.#opened.get(name) ?? openGiven(name, given, environment, this.#input);
    this.#opened.set(name, opened);
    return opened;
  }

  #read(name: SettingName, environment: string): Reading<unknown> | undefined {
    const given = this.#given.get(name);
    if (given === undefined) return undefined;
    const { kind } = settingOf(name);
    const opened = this.#open(name, given, environment);
    if ('problem' in opened) return opened;
    this.warnings.push(...opened.warnings.map(problem => ({ at: name, problem })));
    const reading = kind.read(opened.raw);
    if (!('problem' in reading)) return reading;
    const [reference] = opened.references;
    if (reference === undefined) return { problem: `(from ${given.from}) ${reading.problem}` };
    const demand = reading.demand ?? `it must be ${kind.type}.`;
    return {
      problem: `(from ${given.from}: ${opened.references.join(', ')}) has the wrong form there; ${demand}`,
    };
  }

  /** The checks name values in their sentences; not those that were kept somewhere. */
  #withoutConcealed({ at, problem }: Fault): Fault {
    let told = problem;
    for (const opened of this.#opened.values()) {
      if ('problem' in opened) continue;
      for (const value of opened.concealed)
        if (value.length >= SHORTEST_CONCEALED) told = told.replaceAll(value, CONCEALED);
    }
    return { at, problem: told };
  }

  /** How Vault is reached, ahead of the rest; undefined when that cannot be said (its faults are told later). */
  vault(): VaultConfig | undefined {
    const environment = this.#explicit('environment', DEVELOPMENT, UNREADABLE_ENVIRONMENT);
    const values = new Map<SettingName, unknown>();
    for (const name of SETTING_NAMES) {
      const reading = name.startsWith('vault.') ? this.#read(name, environment) : undefined;
      if (reading !== undefined && 'problem' in reading) return undefined;
      values.set(name, reading === undefined ? settingOf(name).fallback : reading.value);
    }
    const { vault } = assemble(Object.fromEntries(values) as unknown as SettingValues, environment);
    const isFaulty = vault.address === '' || checkVault({ vault, environment }).faults.length > 0;
    return isFaulty ? undefined : vault;
  }

  #check(config: Config): void {
    const { env, cwd } = this.#input;
    const findings = checkConfig(config, {
      defaulted: new Set(SETTING_NAMES.filter(name => !this.#given.has(name))),
      ignoresCertificates: env.NODE_TLS_REJECT_UNAUTHORIZED === '0',
      trustsDevelopmentCertificate: trustsDevelopmentCertificate(env.NODE_EXTRA_CA_CERTS, cwd),
      logoProblem: logoProblem(config.branding.logoFile, cwd),
      unavailableAlgorithms: UNAVAILABLE_ALGORITHMS,
    });
    // A setting that could not be read holds its default here: what the checks say about that is no news.
    const told = new Set(this.faults.map(({ at }) => at));
    const news = findings.faults.filter(({ at }) => !told.has(at));
    this.faults.push(...news.map(fault => this.#withoutConcealed(fault)));
    this.warnings.push(...findings.warnings.map(warning => this.#withoutConcealed(warning)));
  }

  #sources(values: ReadonlyMap<SettingName, unknown>): SettingSource[] {
    return SETTING_NAMES.map(name => {
      const given = this.#given.get(name);
      const value = values.get(name);
      const { kind } = settingOf(name);
      const opened = this.#opened.get(name);
      const references = opened === undefined || 'problem' in opened ? [] : opened.references;
      const isConcealed = references.length > 0;
      const shown = isConcealed ? CONCEALED : kind.show(value);
      return {
        name,
        source: given?.source ?? 'default',
        from: given?.from,
        reference: isConcealed ? references.join(', ') : undefined,
        shown,
        value: isConcealed ? CONCEALED : plain(value, shown),
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
      accessTokenAlgorithm: values['keys.accessTokenAlgorithm'],
      idTokenAlgorithm: values['keys.idTokenAlgorithm'],
      signing: values['keys.signing'],
      transitMount: values['keys.transitMount'],
      jwksMaxAgeFor: values['keys.jwksMaxAgeFor'],
      clockSkewFor: values['keys.clockSkewFor'],
      promotion: values['keys.promotion'],
      verifierNetworks: values['keys.verifierNetworks'],
      verifierSeenWithin: values['keys.verifierSeenWithin'],
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
    alerts: { mailTo: values['alerts.mailTo'] },
    federation: { providersFile: values['federation.providersFile'] },
    outbound: { allowedNetworks: values['outbound.allowedNetworks'] },
    vault: {
      address: values['vault.address'],
      namespace: values['vault.namespace'],
      caFile: values['vault.caFile'],
      token: values['vault.token'],
      agentTokenFile: values['vault.agentTokenFile'],
      role: values['vault.role'],
      secretId: values['vault.secretId'],
      jwtFile: values['vault.jwtFile'],
      loginPath: values['vault.loginPath'],
    },
    pkcs11: {
      module: values['pkcs11.module'],
      token: values['pkcs11.token'],
      pin: values['pkcs11.pin'],
      sessions: values['pkcs11.sessions'],
    },
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

/** How Vault is reached, read without anything that is kept there. */
export function loadVaultReach(input: LoadInput): VaultConfig | undefined {
  return new Loading(input).vault();
}
