import type { Fault } from '../errors.js';
import { type Config, DEVELOPMENT } from './config.js';
import { isLoopbackHost } from './issuer-checks.js';
import type { Findings } from './key-checks.js';

/** The four ways to show Vault who this is, and what belongs to each. */
function waysGiven({ vault }: Pick<Config, 'vault'>): string[] {
  const { token, agentTokenFile, secretId, jwtFile } = vault;
  return [
    ...(token === undefined ? [] : ['vault.token']),
    ...(agentTokenFile === '' ? [] : ['vault.agentTokenFile']),
    ...(secretId === undefined ? [] : ['vault.secretId']),
    ...(jwtFile === '' ? [] : ['vault.jwtFile']),
  ];
}

function addressProblem(address: string, environment: string): string | undefined {
  if (!URL.canParse(address)) return 'is no URL; write https://HOST:8200.';
  const { protocol, hostname } = new URL(address);
  if (protocol === 'https:' || environment === DEVELOPMENT || isLoopbackHost(hostname)) return undefined;
  return 'would send the token and every secret readable over the network; use https (http only to this machine).';
}

export function checkVault(config: Pick<Config, 'vault' | 'environment'>): Findings {
  const { vault, environment } = config;
  const faults: Fault[] = [];
  const ways = waysGiven(config);
  const [first = '', ...others] = ways;
  const unused = [...ways, ...(vault.role === '' ? [] : ['vault.role'])];
  if (vault.address === '') {
    if (unused.length > 0)
      faults.push({ at: 'vault.address', problem: `is missing, but ${unused.join(' and ')} is given.` });
    return { faults, warnings: [] };
  }
  const problem = addressProblem(vault.address, environment);
  if (problem !== undefined) faults.push({ at: 'vault.address', problem });
  if (others.length > 0) {
    faults.push({
      at: first,
      problem: `is given together with ${others.join(' and ')}; keep one way to log in.`,
    });
  } else if (first === '') {
    const remedy =
      'give vault.agentTokenFile, vault.token, or vault.role with vault.secretId or vault.jwtFile';
    faults.push({ at: 'vault.address', problem: `is given, but no way to log in; ${remedy}.` });
  }
  if (others.length > 0) return { faults, warnings: [] };
  const logsIn = first === 'vault.secretId' || first === 'vault.jwtFile';
  if (logsIn && vault.role === '')
    faults.push({ at: 'vault.role', problem: `is missing; ${first} belongs to a role.` });
  if (!logsIn && first !== '' && vault.role !== '')
    faults.push({ at: 'vault.role', problem: `logs nobody in together with ${first}; remove one.` });
  return { faults, warnings: [] };
}
