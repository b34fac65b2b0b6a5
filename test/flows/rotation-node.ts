/**
 * A node as a process of its own, for rotation-chaos.test.ts. What time it is stands in a file that every look at a
 * clock reads, so that time goes on for a stopped process too, and has gone on before it does anything again.
 */
import { openSync, readSync } from 'node:fs';
import { Secret } from '../../src/config/config.js';
import { loadConfig } from '../../src/config/load.js';
import { createLogger } from '../../src/log.js';
import { startServer } from '../../src/server.js';
import { installShiftedClock } from '../support/shifted-clock.js';

export interface ChaosAssignment {
  readonly env: Readonly<Record<string, string>>;
  readonly rootKey: string;
  readonly timeFile: string;
  /** Which of the file's numbers says how far this machine's wall clock is off. */
  readonly slot: number;
  /** A node that serves the JWKS however long ago it read the ring (control). */
  readonly servesForever: boolean;
}

const { env, rootKey, timeFile, slot, servesForever } = JSON.parse(process.argv[2] ?? '') as ChaosAssignment;
const file = openSync(timeFile, 'r');
const numbers = new Float64Array(8);
const read = (at: number): number => {
  readSync(file, numbers, 0, numbers.byteLength, 0);
  return numbers[at] ?? 0;
};
installShiftedClock(() => read(0) + read(slot));
const { config } = loadConfig({ env: { ...env, CLAVIGER_ROOT_KEY: rootKey }, cwd: '/nonexistent' });
const node = await startServer({
  config,
  rootKey: new Secret(rootKey),
  log: createLogger(config.log, { write: line => process.stderr.write(line) }),
  clock: { now: () => Date.now(), monotonic: () => performance.now() + read(0) },
  databaseClockOffset: () => read(0),
  hasTimers: false,
});
if (servesForever) Object.defineProperty(node.ring, 'canServeJwks', { get: () => true });

let isTicking = false;
process.on('message', async () => {
  if (isTicking) return;
  isTicking = true;
  await node.tick();
  isTicking = false;
  process.send?.('ticked');
});
// The parent is gone: so are we, however it ended.
process.on('disconnect', () => process.exit(0));
process.send?.(node.port);
