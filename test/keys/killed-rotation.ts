/**
 * A process that takes the ring's due steps, or revokes a key as the command line does, and kills itself by SIGKILL
 * at one step (crash.test.ts). No server around it: a failpoint costs a third of a second instead of a whole start.
 */

import { localRootKey } from '../../src/crypto/root-key.js';
import { openDatabase } from '../../src/database/connect.js';
import { openInstallation } from '../../src/database/installation.js';
import type { KeyPolicy } from '../../src/keys/key-policy.js';
import type { Transition } from '../../src/keys/key-state.js';
import {
  advanceRing,
  type RotationContext,
  type RotationStep,
  revokeSigningKey,
} from '../../src/keys/rotate.js';

export interface KilledRotation {
  readonly url: string;
  readonly issuer: string;
  readonly environment: string;
  readonly rootKey: string;
  readonly policy: KeyPolicy;
  /** Milliseconds by which the database's clock is moved. */
  readonly offset: number;
  readonly kill: { readonly kind: Transition['kind']; readonly step: RotationStep };
  /** The key to revoke; without one, whatever is due is done. */
  readonly revokes?: string | undefined;
}

const assignment = JSON.parse(process.argv[2] ?? '') as KilledRotation;
const { url, rootKey, policy, offset, kill, revokes, ...expected } = assignment;
const database = openDatabase({ url, clockOffset: () => offset });
const { keys } = await openInstallation(database, localRootKey(rootKey), expected);
const context: RotationContext = {
  database,
  policy,
  envelope: keys.signingKeyEnvelope,
  nodeId: 'killed',
  actor: 'node:killed',
  async onStep(step, { kind }) {
    if (step !== kill.step || kind !== kill.kind) return;
    process.kill(process.pid, 'SIGKILL');
    // The signal is on its way; not one more instruction may run before it arrives.
    await new Promise(() => undefined);
  },
};
if (revokes === undefined) await advanceRing(context);
else await revokeSigningKey(context, revokes);
// Never reached by whoever was to be killed: the parent looks at the signal.
process.exit(3);
