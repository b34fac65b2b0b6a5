import { toRfc3339 } from '../clock.js';
import { AVAILABLE_ALGORITHMS } from '../config/available-algorithms.js';
import type { Config } from '../config/config.js';
import type { Database, Queryable } from '../database/connect.js';
import { configuredAlgorithms } from '../database/node-leases.js';
import { readAlgorithmStates } from '../database/signing-algorithms.js';
import { after } from '../keys/key-policy.js';
import type { KeyRing } from '../keys/key-ring.js';
import { activeOf, maySign, successorOf } from '../keys/key-state.js';
import type { Ring } from '../keys/signing-key.js';
import type { Logger } from '../log.js';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../protocol.js';
import { defaultAlgorithm } from '../resources/chosen-algorithm.js';
import { type AlgorithmUsers, usersOf } from './algorithm-users.js';

/** Where the ring and the configuration differ: for the log, `doctor` and `key status`. */
export interface AlgorithmFinding {
  readonly alg: SigningAlgorithm;
  /** One sentence. */
  readonly finding: string;
  /** What an operator can do about it. */
  readonly remedy: string;
  /** Who keeps the algorithm alive. */
  readonly users: AlgorithmUsers;
}

const NO_USERS = { resourceServers: [], clients: [] } as const;

/** @param now database clock, milliseconds */
export async function algorithmFindings(
  on: Queryable,
  ring: Ring,
  keys: Pick<Config['keys'], 'algorithms' | 'announceFor' | 'accessTokenAlgorithm' | 'idTokenAlgorithm'>,
  now: number,
): Promise<readonly AlgorithmFinding[]> {
  const found: AlgorithmFinding[] = [];
  const elsewhere = await configuredAlgorithms(on, now);
  for (const alg of SIGNING_ALGORITHMS) {
    if (!ring.keys.some(key => maySign(key, alg))) continue;
    if (!AVAILABLE_ALGORITHMS.includes(alg)) found.push(unavailable(alg));
    if (keys.algorithms.includes(alg)) continue;
    found.push(leaving(await usersOf(on, alg), elsewhere));
  }
  for (const name of ['accessTokenAlgorithm', 'idTokenAlgorithm'] as const) {
    const alg = keys[name];
    // One that is not configured is a default that gives way to what is.
    if (!keys.algorithms.includes(alg)) continue;
    // An empty ring gets its first keys at the first start, and they sign at once.
    if (ring.keys.length === 0 || activeOf(ring, alg) !== undefined) continue;
    const instead = defaultAlgorithm(name, await readAlgorithmStates(on), keys);
    found.push(notYet(name, alg, instead, successorOf(ring, alg)?.announcedAt, keys.announceFor));
  }
  return found;
}

/** At a start: what an operator has just configured, and what it will and will not do yet. */
export async function tellAlgorithmFindings({
  database,
  ring,
  config,
  log,
}: {
  readonly database: Database;
  readonly ring: KeyRing;
  readonly config: Pick<Config, 'keys'>;
  readonly log: Logger;
}): Promise<void> {
  const { served, databaseNow } = ring;
  const findings = await database.read(on => algorithmFindings(on, served.ring, config.keys, databaseNow));
  for (const { alg, finding, remedy } of findings) {
    log.warn(
      { event: 'signing_algorithm.finding', alg, finding, remedy },
      'a signing algorithm needs a look',
    );
  }
}

function leaving(
  users: AlgorithmUsers,
  elsewhere: readonly SigningAlgorithm[] | undefined,
): AlgorithmFinding {
  const { alg, resourceServers, clients } = users;
  const names = [
    ...(resourceServers.length === 0 ? [] : [`resource server ${resourceServers.join(', ')}`]),
    ...(clients.length === 0 ? [] : [`client ${clients.join(', ')}`]),
  ];
  if (names.length > 0) {
    return {
      alg,
      users,
      finding: `${alg} is not in keys.algorithms, but is used by ${names.join(' and ')}: it keeps its keys and rotates, and nobody else may choose it.`,
      remedy: `Give them another algorithm (claviger resource update … --alg, claviger client update … --id-token-alg), or add ${alg} to keys.algorithms again.`,
    };
  }
  if (elsewhere === undefined || elsewhere.includes(alg)) {
    const finding = `${alg} is not in keys.algorithms here, but another node is configured for it, or was within the last hour: it keeps its keys.`;
    return { alg, users, finding, remedy: 'Give all nodes the same keys.algorithms.' };
  }
  const finding = `${alg} is not in keys.algorithms and nobody uses it: its keys are about to be withdrawn.`;
  return { alg, users, finding, remedy: `To keep it, add ${alg} to keys.algorithms again.` };
}

function notYet(
  name: 'accessTokenAlgorithm' | 'idTokenAlgorithm',
  alg: SigningAlgorithm,
  instead: SigningAlgorithm,
  announcedAt: number | undefined,
  announceFor: number,
): AlgorithmFinding {
  const what = name === 'accessTokenAlgorithm' ? 'resource servers' : 'clients';
  const until =
    announcedAt === undefined
      ? 'it has been announced'
      : `its announcement ends at ${toRfc3339(after(announcedAt, announceFor))}`;
  return {
    alg,
    users: { alg, ...NO_USERS },
    finding: `keys.${name} is ${alg}, which has no active key until ${until}: new ${what} that name no algorithm get ${instead}.`,
    remedy: 'Wait, or name the algorithm of each.',
  };
}

function unavailable(alg: SigningAlgorithm): AlgorithmFinding {
  return {
    alg,
    users: { alg, ...NO_USERS },
    finding: `The ring has ${alg} keys, which this Node.js cannot use: what needs them is answered with 503 on this node.`,
    remedy: 'Run every node on Node.js 24.7 or newer with OpenSSL 3.5.',
  };
}
