import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { NodeAssignment, NodeReport } from './failpoint-node.js';

/** `undefined`: it died of SIGKILL before it answered. */
type Report = NodeReport | undefined;

export interface ChildNode {
  readonly first: Report;
  /** Moves this node's time, then lets it do what timers would do. */
  moveBy(seconds: number): Promise<Report>;
  /** Ends it by SIGKILL, if it still runs. */
  kill(): Promise<void>;
}

function answer(child: ChildProcess, told: () => string): Promise<Report> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: unknown) => {
      child.off('exit', onExit);
      resolve(message as NodeReport);
    };
    const onExit = (code: number | null, signal: string | null) => {
      child.off('message', onMessage);
      if (signal === 'SIGKILL') resolve(undefined);
      else reject(new Error(`the node ended by itself with ${code ?? signal}: ${told()}`));
    };
    child.once('message', onMessage);
    child.once('exit', onExit);
  });
}

/** A node as a process of its own, ready or dead when this returns. */
export async function startChildNode(assignment: NodeAssignment): Promise<ChildNode> {
  const child = fork(join(import.meta.dirname, 'failpoint-node.ts'), [JSON.stringify(assignment)], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let output = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    output = `${output}${bytes}`.slice(-4000);
  });
  const first = await answer(child, () => output);
  return {
    first,
    async moveBy(seconds) {
      const told = answer(child, () => output);
      child.send(seconds);
      return told;
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = new Promise(done => child.once('exit', done));
      child.kill('SIGKILL');
      await exit;
    },
  };
}
