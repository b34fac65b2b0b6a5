#!/usr/bin/env node
import { createInterface } from 'node:readline/promises';
import { systemClock } from '../clock.js';
import { readEnvironment } from '../config/environment.js';
import type { Surroundings } from './command.js';
import { runCli } from './run-cli.js';

const env = readEnvironment();

/** For what a command may have left open; nothing of ours needs longer. */
const LINGERS_FOR_MS = 2_000;

const ORPHANED_CHECK_EVERY_MS = 500;

/**
 * npm runs a script in a shell, and a SIGTERM for npm ends npm and the shell but reaches nobody below: the server
 * would go on alone and keep its port.
 */
function whenOrphaned(listener: () => void): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    listener();
  }, ORPHANED_CHECK_EVERY_MS);
  watch.unref();
}

const surroundings: Surroundings = {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env,
  cwd: process.cwd(),
  isTty: process.stdin.isTTY === true && process.stderr.isTTY === true,
  // https://no-color.org
  isColored: process.stdout.isTTY === true && (env.NO_COLOR ?? '') === '',
  clock: systemClock,
  async ask(question) {
    const prompt = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return await new Promise<string>((resolve, reject) => {
        // Ctrl-C or the end of the input: no answer, which is a no.
        prompt.once('close', () => resolve(''));
        prompt.question(question).then(resolve, reject);
      });
    } finally {
      prompt.close();
    }
  },
  onStop(listener) {
    process.on('SIGTERM', listener);
    process.on('SIGINT', listener);
    if (env.npm_lifecycle_event !== undefined) whenOrphaned(listener);
  },
  abandon: exitCode => process.exit(exitCode),
};

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', error => {
  if ('code' in error && error.code === 'EPIPE') process.exit(0);
  throw error;
});

const exitCode = await runCli(process.argv.slice(2), surroundings);
process.exitCode = exitCode;
setTimeout(() => process.exit(exitCode), LINGERS_FOR_MS).unref();
