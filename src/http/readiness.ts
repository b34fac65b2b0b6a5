import type { Database } from '../database/connect.js';
import { schemaStatus } from '../database/schema.js';
import type { KeyPolicy } from '../keys/key-policy.js';
import type { KeyRing } from '../keys/key-ring.js';
import { overdueFor } from '../keys/key-schedule.js';
import type { SigningBackends } from '../keys/signing-backends/signing-backends.js';
import type { Check, Checks } from './health.js';

export interface ReadinessParts {
  readonly database: Database;
  readonly ring: KeyRing;
  readonly keyPolicy: KeyPolicy;
  readonly backends: Pick<SigningBackends, 'problems'>;
  /** The node is being stopped: traffic should go elsewhere. */
  readonly isDraining: () => boolean;
}

const OK: Check = { isOk: true };

function failed(problem: string): Check {
  return { isOk: false, problem };
}

export async function readiness({
  database,
  ring,
  keyPolicy,
  backends,
  isDraining,
}: ReadinessParts): Promise<Checks> {
  if (isDraining()) return { stopping: failed('this node is being stopped') };
  return {
    database: await databaseCheck(database),
    keys: ring.canSign ? OK : failed(whyNot(ring)),
    signing: signingCheck(ring, keyPolicy),
    signing_backends: backendCheck(backends),
    rotation: rotationCheck(ring, keyPolicy, ring.databaseNow),
    jwks: ring.canServeJwks ? OK : failed('the key set is older than verifiers can rely on'),
    clock: ring.isClockTrusted
      ? OK
      : failed(`this node's clock is ${Math.round(ring.clockDrift / 1000)} s off the database's; correct it`),
  };
}

async function databaseCheck(database: Database): Promise<Check> {
  try {
    const { pending } = await schemaStatus(database);
    return pending.length === 0
      ? OK
      : failed(`${pending.length} migrations are missing; run claviger migrate`);
  } catch {
    return failed('the database cannot be reached');
  }
}

/** An old key signs as well as a new one: reason to look, not to turn clients away. */
function rotationCheck(ring: KeyRing, keyPolicy: KeyPolicy, now: number): Check {
  const overdue = keyPolicy.algorithms.filter(
    alg => overdueFor(ring.served.ring, keyPolicy, alg, now) > keyPolicy.rotateEvery,
  );
  if (overdue.length === 0) return OK;
  const problem = `warning: ${overdue.join(', ')} should have rotated long ago; claviger key status says what it waits for`;
  return { isOk: true, problem };
}

/** Most often all nodes fail together, and what signs elsewhere still can: turning clients away would end that, too. */
function backendCheck({ problems }: Pick<SigningBackends, 'problems'>): Check {
  if (problems.length === 0) return OK;
  // Whoever asks is not asked who they are: the log says more.
  const told = problems.map(({ kid, alg, place }) => `${alg} key ${kid} cannot sign in ${place}`);
  return { isOk: true, problem: `warning: ${told.join(', ')}; see the log` };
}

function whyNot(ring: KeyRing): string {
  if (ring.regression === undefined) {
    return 'the key ring could not be confirmed lately; this node signs nothing';
  }
  const { knownVersion, found } = ring.regression;
  return `this node has served version ${knownVersion} of the key ring and the database holds another past (version ${found.version}); claviger key confirm-restore --dry-run says what to do`;
}

function signingCheck(ring: KeyRing, { algorithms }: KeyPolicy): Check {
  const { ring: keys, signing, damaged: unopened } = ring.served;
  // An algorithm that is still being announced has no active key yet, and needs none.
  const damaged = algorithms.filter(
    alg => keys.keys.some(key => key.alg === alg && key.state === 'active') && !signing.has(alg),
  );
  if (damaged.length > 0) {
    return failed(`the active key of ${damaged.join(', ')} cannot be opened; see the log`);
  }
  if (unopened.length === 0) return OK;
  // It signs nothing yet: time to revoke it, none to turn clients away.
  return { isOk: true, problem: `warning: ${unopened.join(', ')} cannot be opened; claviger key revoke` };
}
