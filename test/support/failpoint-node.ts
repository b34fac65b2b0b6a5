/**
 * A whole node as a process of its own, moved and ended by its parent (see child-node.ts). With a failpoint it
 * kills itself there by SIGKILL: no `finally`, no flush, no goodbye to the database.
 */
import { Secret } from '../../src/config/config.js';
import { loadConfig } from '../../src/config/load.js';
import type { RotationStep } from '../../src/keys/rotate.js';
import { createLogger } from '../../src/log.js';
import type { SigningAlgorithm } from '../../src/protocol.js';
import { startServer } from '../../src/server.js';
import { installMovedTime } from './moved-time.js';

export interface NodeAssignment {
  readonly env: Readonly<Record<string, string>>;
  readonly rootKey: string;
  /** Milliseconds by which time has been moved so far. */
  readonly offset: number;
  /** Seconds by which this node's clock is ahead of the database's. */
  readonly skewFor?: number;
  /** Instead of the configured ones. */
  readonly algorithms?: readonly SigningAlgorithm[];
  readonly kill?: { readonly kind: string; readonly step: RotationStep; readonly alg?: SigningAlgorithm };
}

export interface NodeReport {
  readonly port: number;
  readonly ringVersion: number;
}

const assignment = JSON.parse(process.argv[2] ?? '') as NodeAssignment;
const { kill } = assignment;
const time = installMovedTime(assignment);
const loaded = loadConfig({
  env: { ...assignment.env, CLAVIGER_ROOT_KEY: assignment.rootKey },
  cwd: '/nonexistent',
}).config;
const { algorithms = loaded.keys.algorithms } = assignment;
const config = { ...loaded, keys: { ...loaded.keys, algorithms } };
const node = await startServer({
  config,
  rootKey: new Secret(assignment.rootKey),
  log: createLogger(config.log, { write: () => undefined }),
  clock: time.clock,
  databaseClockOffset: time.databaseClockOffset,
  hasTimers: false,
  async onRotationStep(step, transition) {
    if (step !== kill?.step || transition.kind !== kill.kind) return;
    if (kill.alg !== undefined && 'alg' in transition && transition.alg !== kill.alg) return;
    process.kill(process.pid, 'SIGKILL');
    // The signal is on its way; not one more instruction of the rotation may run before it arrives.
    await new Promise(() => undefined);
  },
});

function report(): void {
  const told: NodeReport = { port: node.port, ringVersion: node.ring.served.ring.version };
  process.send?.(told);
}

process.on('message', async (moveBy: number) => {
  time.moveBy(moveBy);
  await node.tick();
  report();
});
// The parent is gone: so are we, however it ended.
process.on('disconnect', () => process.exit(0));
report();
