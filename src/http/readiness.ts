import type { Database } from '../database/connect.js';
import { schemaStatus } from '../database/schema.js';
import type { KeyPolicy } from '../keys/key-policy.js';
import type { KeyRing } from '../keys/key-ring.js';
import { overdueFor } from '../keys/key-schedule.js';
import type { Check, Checks } from './health.js';

export interface ReadinessParts {
  readonly database: Database;
  readonly ring: KeyRing;
  readonly keyPolicy: KeyPolicy;
  /** The node is being stopped: traffic should go elsewhere. */
  readonly isDraining: () => boolean;
}

const OK: Check = { isOk: true };

function failed(problem: string): Check {
  return { isOk: false, problem };
}

export async function readiness({ database, ring, keyPolicy, isDraining }: ReadinessParts): Promise<Checks> {
  if (isDraining()) return { stopping: failed('this node is being stopped') };
  return {
    database: await databaseCheck(database),
    keys: ring.canSign ? OK : failed('the key ring could not be confirmed lately; this node signs nothing'),
    signing: signingCheck(ring, keyPolicy),
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

function signingCheck(ring: KeyRing, { algorithms }: KeyPolicy): Check {
  const { ring: keys, signing } = ring.served;
  // An algorithm that is still being announced has no active key yet, and needs none.
  const damaged = algorithms.filter(
    alg => keys.keys.some(key => key.alg === alg && key.state === 'active') && !signing.has(alg),
  );
  return damaged.length === 0
    ? OK
    : failed(`the active key of ${damaged.join(', ')} cannot be opened; see the log`);
}
