import { inspect } from 'node:util';
import type { SigningAlgorithm } from '../protocol.js';

/**
 * A value that opens something. Every accidental way of printing it (string concatenation, JSON, a logger,
 * `console.log`) shows `[redacted]`; only a deliberate `reveal()` gives it out.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): '[redacted]' {
    return '[redacted]';
  }

  toJSON(): '[redacted]' {
    return '[redacted]';
  }

  [inspect.custom](): '[redacted]' {
    return '[redacted]';
  }
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ['json', 'pretty'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export const LOCALES = ['en', 'de'] as const;
export type Locale = (typeof LOCALES)[number];

export const RATE_LIMIT_PROFILES = ['production', 'development'] as const;
export type RateLimitProfile = (typeof RATE_LIMIT_PROFILES)[number];

/** The only environment in which insecure conveniences (http issuer, generated root key) are allowed. */
export const DEVELOPMENT = 'development';

export interface HttpConfig {
  readonly host: string;
  readonly port: number;
  readonly operationsHost: string;
  readonly operationsPort: number;
  readonly trustedProxies: readonly string[];
  readonly trustedHops: number;
  /** Bytes. */
  readonly bodyLimit: number;
  readonly requestTimeoutAfter: number;
  readonly shutdownAfter: number;
}

export interface DatabaseConfig {
  /** `sqlite:PATH` or `postgres://…`; may carry a password: print it through `shownDatabaseUrl`. */
  readonly url: string;
  readonly poolSize: number;
  readonly statementTimeoutAfter: number;
  /** Seconds added to the database's clock; tests only, refused outside development. */
  readonly clockOffsetFor: number;
}

/** What a due promotion does about verifiers that have not fetched the key yet. */
export const PROMOTION_MODES = ['warn', 'wait-for-verifiers'] as const;
export type PromotionMode = (typeof PROMOTION_MODES)[number];

export interface KeysConfig {
  readonly announceFor: number;
  readonly rotateEvery: number;
  readonly algorithms: readonly SigningAlgorithm[];
  /** What is created from now on and names no algorithm. */
  readonly accessTokenAlgorithm: SigningAlgorithm;
  readonly idTokenAlgorithm: SigningAlgorithm;
  /** Each `ALG:PLACE`; read it with `signingPlaceOf`. */
  readonly signing: readonly string[];
  readonly transitMount: string;
  readonly jwksMaxAgeFor: number;
  readonly clockSkewFor: number;
  readonly promotion: PromotionMode;
  /** Addresses and CIDR ranges of verifiers that the operator answers for. */
  readonly verifierNetworks: readonly string[];
  readonly verifierSeenWithin: number;
}

export interface TokensConfig {
  readonly accessTokenFor: number;
  readonly longestTokenFor: number;
}

export interface ClientsConfig {
  /** How many built clients a node keeps in memory. */
  readonly cacheSize: number;
}

/** Of refresh tokens and of sessions alike. */
export interface LifetimeConfig {
  readonly idleAfter: number;
  readonly endAfter: number;
}

export interface UsersConfig {
  readonly signUp: boolean;
  readonly requireSecondFactor: boolean;
  /** Each `SCOPE:CLAIM`. */
  readonly claimScopes: readonly string[];
  readonly trustDeviceFor: number;
  readonly emailLinkFor: number;
  readonly invitationFor: number;
}

export interface MailConfig {
  /** Empty: none. May carry a password. */
  readonly url: string;
  readonly from: string;
}

export interface BrandingConfig {
  readonly name: string;
  readonly logoFile: string;
  /** Empty, or accent, accent-deep, accent-wash, on-accent. */
  readonly lightAccents: readonly string[];
  readonly darkAccents: readonly string[];
  readonly supportEmail: string;
  readonly privacyUrl: string;
  readonly helpUrl: string;
  readonly locale: Locale;
}

export interface LogConfig {
  readonly level: LogLevel;
  readonly format: LogFormat;
}

/** A PKCS#11 token. Module and label empty, PIN absent: none. */
export interface Pkcs11Config {
  readonly module: string;
  readonly token: string;
  readonly pin: Secret | undefined;
  readonly sessions: number;
}

/** What is not given is empty; exactly one way to log in is given when there is an address. */
export interface VaultConfig {
  readonly address: string;
  readonly namespace: string;
  readonly caFile: string;
  readonly token: Secret | undefined;
  readonly agentTokenFile: string;
  readonly role: string;
  readonly secretId: Secret | undefined;
  readonly jwtFile: string;
  readonly loginPath: string;
}

/** Everything an operator decides, checked and frozen. All durations are seconds. */
export interface Config {
  /** Absolute URL without query, fragment, user name or trailing slash. */
  readonly issuer: string;
  readonly environment: string;
  readonly http: HttpConfig;
  readonly database: DatabaseConfig;
  /** 32 bytes, base64url. Absent only in development, where the caller makes one. */
  readonly rootKey: Secret | undefined;
  readonly keys: KeysConfig;
  readonly tokens: TokensConfig;
  readonly clients: ClientsConfig;
  readonly refreshTokens: LifetimeConfig;
  readonly sessions: LifetimeConfig;
  readonly users: UsersConfig;
  readonly mail: MailConfig;
  readonly alerts: { readonly mailTo: readonly string[] };
  readonly federation: { readonly providersFile: string };
  readonly outbound: { readonly allowedNetworks: readonly string[] };
  readonly vault: VaultConfig;
  readonly pkcs11: Pkcs11Config;
  readonly rateLimits: RateLimitProfile;
  readonly branding: BrandingConfig;
  readonly log: LogConfig;
}
