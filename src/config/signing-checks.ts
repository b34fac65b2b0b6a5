import type { Fault } from '../errors.js';
import type { Config } from './config.js';
import type { Findings } from './key-checks.js';
import { namesRootKeyBackend, readRootKeyReference } from './root-key-reference.js';

/** Of whom a place is needed, or undefined: the setting that names it. */
function whoNeeds(place: 'pkcs11' | 'transit', { keys, rootKey }: Pick<Config, 'keys' | 'rootKey'>) {
  if (keys.signing.some(entry => entry.endsWith(`:${place}`))) return 'keys.signing';
  if (rootKey === undefined || !namesRootKeyBackend(rootKey.reveal())) return undefined;
  const reading = readRootKeyReference(rootKey.reveal());
  return 'reference' in reading && reading.reference.backend === place ? 'rootKey' : undefined;
}

export function checkSigningPlaces(config: Pick<Config, 'keys' | 'rootKey' | 'pkcs11' | 'vault'>): Findings {
  const faults: Fault[] = [];
  const algorithms = config.keys.signing.map(entry => entry.split(':')[0]);
  const twice = algorithms.find((alg, index) => algorithms.indexOf(alg) !== index);
  if (twice !== undefined) {
    faults.push({ at: 'keys.signing', problem: `names ${twice} twice; one place holds its next keys.` });
  }
  const { pkcs11 } = config;
  const given = { 'pkcs11.module': pkcs11.module, 'pkcs11.token': pkcs11.token, 'pkcs11.pin': pkcs11.pin };
  const missing = Object.entries(given).filter(([, value]) => value === '' || value === undefined);
  const needed = whoNeeds('pkcs11', config);
  // One alone is a slip even while nothing needs the token: a key made earlier may still be there.
  if (missing.length > 0 && (needed !== undefined || missing.length < 3)) {
    const reason =
      needed === undefined ? 'the others of pkcs11 are given' : `${needed} names a PKCS#11 token`;
    for (const [at] of missing) faults.push({ at, problem: `is missing, but ${reason}.` });
  }
  const needsVault = whoNeeds('transit', config);
  if (needsVault !== undefined && config.vault.address === '') {
    faults.push({ at: 'vault.address', problem: `is missing, but ${needsVault} names Transit.` });
  }
  return { faults, warnings: [] };
}
