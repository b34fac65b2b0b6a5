import type { Fault } from '../errors.js';
import { checkBranding } from './branding-checks.js';
import { type Config, DEVELOPMENT } from './config.js';
import { crossesNetworkUnverified, isMemoryDatabase } from './database-url.js';
import { isLoopbackHost, issuerProblem } from './issuer-checks.js';
import { checkKeys, type Findings } from './key-checks.js';
import { mailUrlProblem } from './mail-url.js';
import type { SettingName } from './settings.js';
import { networkProblem, proxyProblem } from './trusted-proxies.js';

/** What else decides whether a configuration is safe, looked up by the loader so that the checks stay pure. */
export interface Surroundings {
  /** Settings that nobody gave. */
  readonly defaulted: ReadonlySet<SettingName>;
  /** NODE_TLS_REJECT_UNAUTHORIZED=0 */
  readonly ignoresCertificates: boolean;
  /** NODE_EXTRA_CA_CERTS holds a certificate made for development. */
  readonly trustsDevelopmentCertificate: boolean;
  /** What is wrong with the logo's file, if anything. */
  readonly logoProblem?: string | undefined;
}

const ROOT_KEY_REMEDY =
  'Make one with `node -p "crypto.randomBytes(32).toString(\'base64url\')"` and give it as CLAVIGER_ROOT_KEY_FILE';

/** Why these characters are no root key, without repeating any of them. */
export function rootKeyProblem(rootKey: string): string | undefined {
  if (
    !/^[A-Za-z0-9_-]{43}$/.test(rootKey) ||
    Buffer.from(rootKey, 'base64url').toString('base64url') !== rootKey
  ) {
    return `must be 32 bytes in base64url (43 characters). ${ROOT_KEY_REMEDY}.`;
  }
  return undefined;
}

/** A typed or patterned key: 32 random bytes have fewer than 16 different ones, or are all printable, never. */
function isWeakRootKey(rootKey: string): boolean {
  const bytes = Buffer.from(rootKey, 'base64url');
  return new Set(bytes).size < 16 || bytes.every(byte => byte >= 0x20 && byte < 0x7f);
}

function checkRootKey({ rootKey, environment }: Config): Findings {
  const at = 'rootKey';
  const isDevelopment = environment === DEVELOPMENT;
  if (rootKey === undefined) {
    const problem = `must be given in any environment but development. ${ROOT_KEY_REMEDY}.`;
    return { faults: isDevelopment ? [] : [{ at, problem }], warnings: [] };
  }
  const malformed = rootKeyProblem(rootKey.reveal());
  if (malformed !== undefined) return { faults: [{ at, problem: malformed }], warnings: [] };
  if (!isWeakRootKey(rootKey.reveal())) return { faults: [], warnings: [] };
  const weak = [{ at, problem: `can be guessed: it is not random. ${ROOT_KEY_REMEDY}.` }];
  return isDevelopment ? { faults: [], warnings: weak } : { faults: weak, warnings: [] };
}

function checkHttp({ http, environment }: Config): Findings {
  const faults: Fault[] = [];
  const warnings: Fault[] = [];
  if (http.operationsPort > 65_535) {
    faults.push({ at: 'http.operationsPort', problem: 'would be 65536 (http.port + 1); give a port.' });
  }
  if (http.operationsPort !== 0 && http.operationsPort === http.port) {
    const problem =
      'is the same as http.port; metrics must not be reachable where the world is. Give another port.';
    faults.push({ at: 'http.operationsPort', problem });
  }
  for (const entry of http.trustedProxies) {
    const problem = proxyProblem(entry);
    if (problem !== undefined) faults.push({ at: 'http.trustedProxies', problem });
  }
  if (environment === DEVELOPMENT && !isLoopbackHost(http.host)) {
    const problem = `is ${http.host}: other machines reach this development server. Set environment for anything but trying out.`;
    warnings.push({ at: 'http.host', problem });
  }
  return { faults, warnings };
}

function checkDatabase({ database, environment }: Config, { defaulted }: Surroundings): Findings {
  const faults: Fault[] = [];
  const warnings: Fault[] = [];
  if (environment === DEVELOPMENT) return { faults, warnings };
  if (database.clockOffsetFor !== 0) {
    const problem = 'moves the clock that decides on key changes and expiry; set it to 0 or remove it.';
    faults.push({ at: 'database.clockOffsetFor', problem });
  }
  if (defaulted.has('database.url')) {
    // Relative to the working directory: started elsewhere, the server would begin anew with an empty database.
    const problem =
      'must be given in any environment but development, for example sqlite:/var/lib/claviger/claviger.sqlite.';
    faults.push({ at: 'database.url', problem });
  } else if (isMemoryDatabase(database.url)) {
    faults.push({
      at: 'database.url',
      problem: 'is in memory, so a restart loses every key; give a file or PostgreSQL.',
    });
  } else if (crossesNetworkUnverified(database.url)) {
    const problem = 'reaches another machine without a verified connection; add ?sslmode=verify-full.';
    warnings.push({ at: 'database.url', problem });
  }
  return { faults, warnings };
}

function checkTokens({ tokens }: Config): Findings {
  if (tokens.accessTokenFor <= tokens.longestTokenFor) return { faults: [], warnings: [] };
  const problem = 'is longer than tokens.longestTokenFor; lower it or raise that (at most 1h).';
  return { faults: [{ at: 'tokens.accessTokenFor', problem }], warnings: [] };
}

/** Found when it is needed otherwise: at the first mail, at the first call to another server. */
function checkReach({ mail, outbound }: Config): Findings {
  const faults: Fault[] = [];
  const mailProblem = mailUrlProblem(mail.url);
  if (mailProblem !== undefined) faults.push({ at: 'mail.url', problem: mailProblem });
  for (const entry of outbound.allowedNetworks) {
    const problem = networkProblem(entry);
    if (problem !== undefined) faults.push({ at: 'outbound.allowedNetworks', problem });
  }
  return { faults, warnings: [] };
}

function checkTransport({ environment }: Config, surroundings: Surroundings): Findings {
  const found: Fault[] = [];
  if (surroundings.ignoresCertificates) {
    const problem = 'is 0, which accepts any certificate, also from someone in between; unset it.';
    found.push({ at: 'NODE_TLS_REJECT_UNAUTHORIZED', problem });
  }
  if (surroundings.trustsDevelopmentCertificate) {
    const problem =
      'trusts a development certificate, whose key lies about on developers’ machines; remove it.';
    found.push({ at: 'NODE_EXTRA_CA_CERTS', problem });
  }
  return environment === DEVELOPMENT ? { faults: [], warnings: found } : { faults: found, warnings: [] };
}

/** Everything that no setting can be judged on alone. Pure; finds all faults at once. */
export function checkConfig(config: Config, surroundings: Surroundings): Findings {
  const issuer = issuerProblem(config.issuer, config.environment);
  const findings = [
    { faults: issuer === undefined ? [] : [{ at: 'issuer', problem: issuer }], warnings: [] },
    checkRootKey(config),
    checkHttp(config),
    checkDatabase(config, surroundings),
    checkKeys(config),
    checkTokens(config),
    checkReach(config),
    checkTransport(config, surroundings),
    checkBranding(config, surroundings.logoProblem),
  ];
  return {
    faults: findings.flatMap(({ faults }) => faults),
    warnings: findings.flatMap(({ warnings }) => warnings),
  };
}
