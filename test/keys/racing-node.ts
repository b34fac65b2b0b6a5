/**
 * A process that takes the ring's due steps at a given instant, together with others that do the same
 * (rotate-race.test.ts).
 */
import { localRootKey } from '../../src/crypto/root-key.js';
import { openDatabase } from '../../src/database/connect.js';
import { openInstallation } from '../../src/database/installation.js';
import type { KeyPolicy } from '../../src/keys/key-policy.js';
import { advanceRing } from '../../src/keys/rotate.js';

export interface RacingAssignment {
  readonly url: string;
  readonly issuer: string;
  readonly environment: string;
  readonly rootKey: string;
  readonly policy: KeyPolicy;
  readonly nodeId: string;
}

export interface Round {
  /** Milliseconds by which the database's clock is moved. */
  readonly offset: number;
  /** The real instant of the start. */
  readonly startAt: number;
}

const { url, rootKey, policy, nodeId, ...expected } = JSON.parse(process.argv[2] ?? '') as RacingAssignment;
let offset = 0;
const database = openDatabase({ url, clockOffset: () => offset });
const { keys } = await openInstallation(database, localRootKey(rootKey), expected);

process.on('message', async (round: Round) => {
  offset = round.offset;
  // A connection that is already open, and a busy wait: all start within a fraction of a millisecond.
  await database.now();
  while (Date.now() < round.startAt);
  const taken = await advanceRing({
    database,
    policy,
    envelope: keys.signingKeyEnvelope,
    nodeId,
    actor: `node:${nodeId}`,
  });
  process.send?.(taken.map(({ kind }) => kind));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
