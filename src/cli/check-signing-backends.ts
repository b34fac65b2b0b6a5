import type { Config } from '../config/config.js';
import type { Database } from '../database/connect.js';
import { maySign } from '../keys/key-state.js';
import { readRing } from '../keys/key-store.js';
import { openSigningBackends } from '../keys/signing-backends/open-signing-backends.js';
import { type Finding, found, ok } from './finding.js';

/** Has each key that is not in the database sign something, from this machine. Silent when there is none. */
export async function checkSigningBackends(
  database: Database,
  config: Config,
  monotonic: () => number,
): Promise<readonly Finding[]> {
  const { keys } = await database.read(readRing);
  const external = keys.filter(key => key.external !== undefined && maySign(key, key.alg));
  if (external.length === 0) return [];
  const backends = openSigningBackends(config, monotonic);
  try {
    const problems = await backends.probe(external);
    if (problems.length === 0) {
      return [ok('signing_backends', `${external.length} signing keys elsewhere sign when asked.`)];
    }
    return problems.map(({ kid, alg, place, problem }) =>
      found(
        'signing_backends',
        'error',
        `the ${alg} key ${kid} cannot sign in ${place}: ${problem}`,
        'Mend it, or see docs/signing-backends.md for a token that is lost.',
      ),
    );
  } finally {
    backends.close();
  }
}
