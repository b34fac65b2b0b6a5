import { takeJobLease } from '../database/job-leases.js';
import { destroyExternalKeys } from '../keys/external-keys.js';
import type { RotationContext } from '../keys/rotate.js';
import type { Logger } from '../log.js';

const LEASE_FOR = 120;

/** Private halves in a token or in Transit that no key needs any more. One node at a time; any may go on with it. */
export async function destroySpentKeys(parts: {
  readonly rotation: RotationContext;
  readonly log: Logger;
}): Promise<void> {
  const { rotation, log } = parts;
  const { database, nodeId, backends } = rotation;
  if (backends === undefined) return;
  if (!(await takeJobLease(database, 'destroy-external-keys', nodeId, LEASE_FOR))) return;
  const { destroyed, failure } = await destroyExternalKeys({ ...rotation, backends });
  if (destroyed > 0) log.info({ event: 'signing_key.destroyed', count: destroyed }, 'spent keys destroyed');
  if (failure !== undefined) {
    log.warn({ event: 'signing_key.not_destroyed', err: failure }, 'a spent key could not be destroyed yet');
  }
}
