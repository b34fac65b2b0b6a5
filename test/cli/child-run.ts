import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

export interface Child {
  readonly child: ChildProcessWithoutNullStreams;
  /** On stdout, so far. */
  said(): string;
  /** On stderr, so far. */
  complaints(): string;
}

/** The command line as an operator has it: a program of its own, without a terminal. */
export function spawnCli(
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly env?: Readonly<Record<string, string>>;
    /** Below a shell that hands on no signals, as npm starts it. */
    readonly isBelowShell?: boolean;
  },
): Child {
  const { PATH = '' } = process.env;
  const direct = [process.execPath, '--import', TSX, MAIN, ...args];
  const [program = '', ...rest] =
    options.isBelowShell === true ? ['sh', '-c', '"$@"; true', 'sh', ...direct] : direct;
  const child = spawn(program, rest, {
    cwd: options.cwd,
    env: { PATH, ...options.env },
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  return { child, said: () => out, complaints: () => err };
}
