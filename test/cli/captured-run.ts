import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DONE, type Surroundings } from '../../src/cli/command.js';
import { runCli } from '../../src/cli/run-cli.js';
import { systemClock } from '../../src/clock.js';

export interface Run {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What stdout says as JSON. */
  json(): Record<string, unknown>;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** What the person at the terminal answers; without it there is no terminal. */
  readonly answer?: string;
}

class Sink {
  text = '';
  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

async function* textOf(text: string): AsyncGenerator<string> {
  yield text;
}

/** The command line in this process, with its own surroundings. */
export async function run(args: readonly string[], options: RunOptions): Promise<Run> {
  const started = start(args, options);
  return started.ended;
}

export interface Started {
  readonly ended: Promise<Run>;
  readonly log: { readonly text: string };
  /** What SIGTERM does. */
  stop(): void;
  /** When `words` have been written to the log or to stdout. */
  saying(words: string): Promise<void>;
  /** What the expression finds in what was told to the person, on stderr. */
  telling(words: RegExp): Promise<RegExpExecArray>;
  /** Exit codes with which it ended at once. */
  readonly abandoned: readonly number[];
}

export function start(
  args: readonly string[],
  options: RunOptions & { clock?: Surroundings['clock'] },
): Started {
  const [stdout, stderr, log] = [new Sink(), new Sink(), new Sink()];
  const listeners: (() => void)[] = [];
  const abandoned: number[] = [];
  const surroundings: Surroundings = {
    stdout,
    stderr,
    stdin: textOf(options.stdin ?? ''),
    env: options.env ?? {},
    cwd: options.cwd,
    isTty: options.answer !== undefined,
    isColored: false,
    clock: options.clock ?? systemClock,
    log,
    ask: async question => {
      stderr.write(question);
      if (options.answer === undefined) throw new Error('asked without a terminal');
      return options.answer;
    },
    onStop: listener => listeners.push(listener),
    abandon: code => abandoned.push(code),
  };
  let isOver = false;
  const ended = runCli(args, surroundings)
    .then(exitCode => ({
      exitCode,
      stdout: stdout.text,
      stderr: stderr.text,
      json: () => JSON.parse(stdout.text) as Record<string, unknown>,
    }))
    .finally(() => {
      isOver = true;
    });
  return {
    ended,
    log,
    abandoned,
    stop: () => {
      for (const listener of listeners) listener();
    },
    async telling(words) {
      for (;;) {
        const found = words.exec(stderr.text);
        if (found !== null) return found;
        if (isOver) throw new Error(`it ended without telling ${words}:\n${stderr.text}\n${log.text}`);
        await new Promise(resolve => setTimeout(resolve, 10));
      }
    },
    async saying(words) {
      while (!log.text.includes(words) && !stdout.text.includes(words)) {
        if (isOver) throw new Error(`it ended without saying "${words}":\n${stderr.text}\n${log.text}`);
        await new Promise(resolve => setTimeout(resolve, 10));
      }
    },
  };
}

/** The JSON of a command that must succeed. */
export async function resultOf(
  args: readonly string[],
  options: RunOptions,
): Promise<Record<string, unknown>> {
  const done = await run([...args, '--json'], options);
  if (done.exitCode !== DONE) throw new Error(`claviger ${args.join(' ')}: ${done.exitCode}\n${done.stderr}`);
  return done.json();
}

/** The JSON array of a `list` that must succeed. */
export async function listOf(
  args: readonly string[],
  options: RunOptions,
): Promise<Record<string, unknown>[]> {
  return (await resultOf(args, options)) as unknown as Record<string, unknown>[];
}

export function freshFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'claviger-cli-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A port that is free, with the next one free too. */
export async function freePorts(): Promise<number> {
  for (;;) {
    const port = await listenOnce(0);
    if (port < 65_535 && (await listenOnce(port + 1).catch(() => 0)) !== 0) return port;
  }
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
