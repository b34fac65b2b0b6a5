import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'chai';
import { generateRootKey, localRootKey } from '../../src/crypto/root-key.js';
import { type RewrapStep, rewrap } from '../../src/root-keys/rewrap.js';
import { forEachDatabase } from '../support/databases.js';
import { isLongRun, rounds } from '../support/rounds.js';
import { auditRows } from '../support/tables.js';
import { fingerprintOf, type Installed, install, refusalOf } from './installations.js';
import type { RewrappingAssignment } from './rewrapping-node.js';

const FAILPOINTS: readonly (readonly [step: RewrapStep, done: number])[] = [
  ['opened', 0],
  ['added', 0],
  ['wrapped', 1],
  ['wrapped', 4],
  ['wrapped', 7],
  ['verified', 7],
  ['switched', 7],
];

describe('a change of root key that is killed (requirement 68)', function () {
  this.timeout(300_000);

  forEachDatabase((name, fresh) => {
    const opened: Installed[] = [];
    after(() => Promise.all(opened.splice(0).map(each => each.close())));

    async function killedAt(
      [step, done]: (typeof FAILPOINTS)[number],
      isCareless = false,
    ): Promise<{ installed: Installed; to: string }> {
      const installed = await install((await fresh()).url);
      opened.push(installed);
      const to = generateRootKey();
      const { url, secret } = installed;
      const assignment: RewrappingAssignment = { url, from: secret, to, kill: { step, done }, isCareless };
      const child = fork(join(import.meta.dirname, 'rewrapping-node.ts'), [JSON.stringify(assignment)], {
        execArgv: ['--import', 'tsx'],
      });
      const [, signal] = await once(child, 'exit');
      expect(signal, `${step} ${done}`).to.equal('SIGKILL');
      return { installed, to };
    }

    async function comesBack(failpoint: (typeof FAILPOINTS)[number]): Promise<void> {
      const { installed, to } = await killedAt(failpoint);
      const target = localRootKey(to);
      const at = failpoint.join(' ');
      // A node that starts now, before anybody has looked: the data keys are what they were.
      expect(fingerprintOf((await installed.open()).keys), at).to.equal(installed.fingerprint);
      const result = await rewrap(installed.context, installed.rootKey, target, 'root_key.rotated');
      expect(result.wrapped, at).to.equal(7 - failpoint[1]);
      for (const rootKey of [installed.rootKey, target]) {
        expect(fingerprintOf((await installed.open(rootKey)).keys), at).to.equal(installed.fingerprint);
      }
      const told = (await auditRows(installed.database)).map(({ event }) => event);
      for (const [event, times] of [
        ['root_key.added', 1],
        ['data_key.wrapped', 7],
        ['root_key.rotated', 1],
      ] as const) {
        expect(told.filter(each => each === event).length, `${at}: ${event}`).to.equal(times);
      }
    }

    it('opens with the root key from before, and is finished by the same command, wherever it died', async () => {
      // Both databases keep the same promises by the same statements; the short run asks one of them everything.
      const failpoints = name === 'SQLite' || isLongRun() ? FAILPOINTS : FAILPOINTS.slice(3, 4);
      for (let round = 0; round < rounds(1, 20); round += 1) await Promise.all(failpoints.map(comesBack));
    });

    if (name !== 'SQLite' && !isLongRun()) return;
    it('would be lost if each old wrap were given up on the way (control)', async () => {
      const { installed, to } = await killedAt(['wrapped', 4], true);
      for (const rootKey of [installed.rootKey, localRootKey(to)]) {
        expect((await refusalOf(installed.open(rootKey))).code).to.equal('root_key_wrong');
      }
    });
  });
});
