import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100; // Linux reports /proc times in USER_HZ, which is 100 on every architecture Node runs on.

export const SERVER_CORE = 0;
export const LOAD_CORE = 1;

/** CPU seconds (user and system, all threads, ended ones too) that a process has used. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in parentheses and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export function residentMegabytesOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1024;
}

/** Every program that the benchmark starts; all end with it. */
export class Children {
  readonly #running = new Set<ChildProcess>();
  readonly isPinned: boolean;

  constructor() {
    this.isPinned = pinSelf();
  }

  /** Starts node on one core. taskset replaces itself by node, so the pid is the server's own. */
  start(core: number, args: readonly string[], options: SpawnOptions): ChildProcess & { pid: number } {
    const [command, all] = this.isPinned
      ? ['taskset', ['-c', String(core), process.execPath, ...args]]
      : [process.execPath, [...args]];
    const child = spawn(command, all, options);
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    if (child.pid === undefined) throw new Error(`${command} could not be started`);
    return Object.assign(child, { pid: child.pid });
  }

  /** Asks first, so that a server which is started again finds what an orderly end leaves behind. */
  async stop(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise(resolve => child.once('exit', resolve));
    child.kill('SIGTERM');
    const impatience = setTimeout(() => child.kill('SIGKILL'), 2000);
    await ended;
    clearTimeout(impatience);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running].map(child => this.stop(child)));
  }

  /** For an exit that cannot wait. */
  killAll(): void {
    for (const child of this.#running) child.kill('SIGKILL');
  }
}

/** The benchmark itself stays off the servers' core. Without taskset or a second core nothing is pinned. */
function pinSelf(): boolean {
  try {
    execFileSync('taskset', ['-a', '-c', '-p', String(LOAD_CORE), String(process.pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
