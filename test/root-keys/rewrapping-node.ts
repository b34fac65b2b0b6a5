/**
 * A process that lets another root key take over and kills itself at one of the steps (rewrap-crash.test.ts): no
 * `finally`, no goodbye to the database.
 */
import { localRootKey } from '../../src/crypto/root-key.js';
import { openDatabase } from '../../src/database/connect.js';
import { type RewrapStep, rewrap } from '../../src/root-keys/rewrap.js';

export interface RewrappingAssignment {
  readonly url: string;
  readonly from: string;
  readonly to: string;
  readonly kill: { readonly step: RewrapStep; readonly done: number };
  /** The control: each old wrap is given up as soon as there is a new one. */
  readonly isCareless?: boolean;
}

const { url, from, to, kill, isCareless } = JSON.parse(process.argv[2] ?? '') as RewrappingAssignment;
const database = openDatabase({ url });
const [opener, target] = [localRootKey(from), localRootKey(to)];
await rewrap(
  {
    database,
    nodeId: 'rewrapping',
    actor: 'node:rewrapping',
    async onStep(step, done) {
      if (isCareless === true && step === 'wrapped') {
        await database.write(on =>
          on('data_key_wraps')
            .where({ root_key_id: opener.id })
            .whereIn(
              'data_key_id',
              on('data_key_wraps').where({ root_key_id: target.id }).select('data_key_id'),
            )
            .delete(),
        );
      }
      if (step !== kill.step || done !== kill.done) return;
      process.kill(process.pid, 'SIGKILL');
      // The signal is on its way; not one more instruction may run before it arrives.
      await new Promise(() => undefined);
    },
  },
  opener,
  target,
  'root_key.rotated',
);
await database.close();
