import type { Fault } from '../errors.js';
import type { SigningAlgorithm } from '../protocol.js';
import { checkBranding } from './branding-checks.js';
import { type Config, DEVELOPMENT } from './config.js';
import { crossesNetworkUnverified, isMemoryDatabase } from './database-url.js';
import { isLoopbackHost, issuerProblem } from './issuer-checks.js';
import { checkKeys, type Findings } from './key-checks.js';
import { mailUrlProblem } from './mail-url.js';
import { checkRootKey } from './root-key-checks.js';
import type { SettingName } from './settings.js';
import { checkSigningPlaces } from './signing-checks.js';
import { networkProblem, proxyProblem } from './trusted-proxies.js';
import { checkVault } from './vault-checks.js';

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
  /** What this Node.js cannot sign with. */
  readonly unavailableAlgorithms?: readonly SigningAlgorithm[] | undefined;
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
function checkReach({ environment, mail, alerts, outbound }: Config): Findings {
  const faults: Fault[] = [];
  const warnings: Fault[] = [];
  if (alerts.mailTo.length > 0 && mail.url === '' && environment !== DEVELOPMENT) {
    warnings.push({ at: 'alerts.mailTo', problem: 'gets no mail while there is no mail.url; give one.' });
  }
  const mailProblem = mailUrlProblem(mail.url);
  if (mailProblem !== undefined) faults.push({ at: 'mail.url', problem: mailProblem });
  for (const entry of outbound.allowedNetworks) {
    const problem = networkProblem(entry);
    if (problem !== undefined) faults.push({ at: 'outbound.allowedNetworks', problem });
  }
  return { faults, warnings };
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
    checkKeys(config, surroundings),
    checkTokens(config),
    checkReach(config),
    checkVault(config),
    checkSigningPlaces(config),
    checkTransport(config, surroundings),
    checkBranding(config, surroundings.logoProblem),
  ];
  return {
    faults: findings.flatMap(({ faults }) => faults),
    warnings: findings.flatMap(({ warnings }) => warnings),
  };
}
