import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const PROGRAM = fileURLToPath(new URL('./hosting-program.ts', import.meta.url));

/** A process that has ended and that nobody has collected is no process any more. */
function isRunning(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) [ZX] /.test(readFileSync(stat, 'utf8'));
}

/** @returns the process that hangs, after its program was killed. */
async function orphan(mode: 'watched' | 'unwatched'): Promise<number> {
  const program = fork(PROGRAM, [mode], { execArgv: ['--import', 'tsx'] });
  const [pid] = (await once(program, 'message')) as [number];
  const exit = once(program, 'exit');
  program.kill('SIGKILL');
  await exit;
  return pid;
}

async function isGoneWithin(pid: number, milliseconds: number): Promise<boolean> {
  const deadline = performance.now() + milliseconds;
  while (isRunning(pid) && performance.now() < deadline) await new Promise(done => setTimeout(done, 25));
  return !isRunning(pid);
}

describe('a host of an HSM’s module that hangs while its program is killed', function () {
  this.timeout(20_000);

  it('ends soon after it', async () => {
    expect(await isGoneWithin(await orphan('watched'), 5000)).to.equal(true);
  });

  it('control: without the watch it stays behind', async () => {
    const pid = await orphan('unwatched');
    const isGone = await isGoneWithin(pid, 1000);
    if (!isGone) process.kill(pid, 'SIGKILL');
    expect(isGone).to.equal(false);
  });
});
