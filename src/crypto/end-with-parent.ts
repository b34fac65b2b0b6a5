import { Worker } from 'node:worker_threads';

/** Milliseconds. */
const LOOK_EVERY = 500;

/** In a thread of its own: the main one may stand in a call of somebody's library that never returns. */
const WATCH = `
const { workerData } = require('node:worker_threads');
setInterval(() => {
  if (process.ppid !== workerData.parent) process.kill(process.pid, 'SIGKILL');
}, workerData.every);
`;

/**
 * Ends this process soon after the one that started it, whatever its main thread does. Without it a library that hangs
 * while the program is killed leaves a process behind for good, with a session that is logged in.
 */
export function endWithParent(parent: number): void {
  const worker = new Worker(WATCH, {
    eval: true,
    workerData: { parent, every: LOOK_EVERY },
    execArgv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 16 },
  });
  worker.unref();
}
