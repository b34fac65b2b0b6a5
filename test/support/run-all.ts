import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import Mocha from 'mocha';
import { mochaGlobalTeardown } from './fixtures.js';

/**
 * What `npm test` runs: every check in order, each also after another one failed, and as the very last line
 * `N passed, M failed, K skipped`, where a check counts as one. The test files are then shared out among workers, as
 * many as there are cores, up to two: each starts a PostgreSQL and a browser of its own. With paths or `--grep` only
 * those tests run, in this process.
 */
interface Step {
  readonly title: string;
  readonly command: readonly [string, ...string[]];
}

interface Outcome {
  passed: string[];
  failed: string[];
  skipped: string[];
}

interface Selection {
  readonly grep: string | undefined;
  readonly paths: readonly string[];
}

const ROOT = resolve(import.meta.dirname, '..', '..');

const MOST_WORKERS = 2;

const STEPS: readonly Step[] = [
  { title: 'types', command: ['tsc', '-p', 'tsconfig.json'] },
  { title: 'lint and format', command: ['biome', 'check', '.'] },
  { title: 'build', command: ['tsc', '-p', 'tsconfig.build.json'] },
  { title: 'dead code', command: ['knip', '--no-progress'] },
];

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

function readSelection(args: readonly string[]): Selection {
  let grep: string | undefined;
  const paths: string[] = [];
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === '--grep' || arg === '-g') grep = rest.shift();
    else if (arg.startsWith('--grep=')) grep = arg.slice('--grep='.length);
    else if (arg.startsWith('-')) throw new TypeError(`unknown option ${arg}; known: --grep PATTERN, paths`);
    else paths.push(arg);
  }
  return { grep, paths };
}

/** A failed check prints its own reasons; it never stops the checks after it. */
function runStep(step: Step): Promise<boolean> {
  const [program, ...args] = step.command;
  return new Promise(done => {
    const child = spawn(join(ROOT, 'node_modules', '.bin', program), args, { cwd: ROOT, stdio: 'inherit' });
    child.once('error', error => {
      print(String(error));
      done(false);
    });
    child.once('exit', code => done(code === 0));
  });
}

function testFiles(paths: readonly string[]): string[] {
  const chosen = paths.length === 0 ? [join(ROOT, 'test')] : paths.map(path => resolve(path));
  const files = chosen.flatMap(path =>
    statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true, encoding: 'utf8' })
          .filter(name => name.endsWith('.test.ts'))
          .map(name => join(path, name))
      : [path],
  );
  return [...new Set(files)].sort();
}

async function runTests({ grep, paths }: Selection, outcome: Outcome): Promise<void> {
  try {
    await runFiles(testFiles(paths), grep, outcome);
  } finally {
    await mochaGlobalTeardown();
  }
}

async function runFiles(files: readonly string[], grep: string | undefined, outcome: Outcome): Promise<void> {
  const settings: { timeout: number } = JSON.parse(readFileSync(join(ROOT, '.mocharc.json'), 'utf8'));
  const mocha = new Mocha({
    reporter: 'spec',
    timeout: settings.timeout,
    forbidOnly: true,
    ...(grep === undefined ? {} : { grep }),
  });
  for (const file of files) mocha.addFile(file);
  await mocha.loadFilesAsync();
  await new Promise<void>(done => {
    const interrupt = (): void => {
      outcome.failed.push('interrupted');
      runner.abort();
    };
    const runner = mocha.run(() => {
      process.off('SIGINT', interrupt);
      done();
    });
    runner.on('pass', test => outcome.passed.push(test.fullTitle()));
    runner.on('fail', test => outcome.failed.push(test.fullTitle()));
    runner.on('pending', test =>
      outcome.skipped.push(`${test.fullTitle()} (${relative(ROOT, test.file ?? '')})`),
    );
    // First interrupt: end after the running test, so that databases are cleaned up; second: at once.
    process.once('SIGINT', interrupt);
  });
}

/** The longest first, or one worker would end long after the other. */
const LONGEST = ['test/flows/', 'test/browser/', 'test/attacks/', 'test/examples/', 'test/docs/'];

function byLength(files: readonly string[]): string[] {
  const rank = (file: string): number => {
    const at = LONGEST.findIndex(folder => relative(ROOT, file).startsWith(folder));
    return at === -1 ? LONGEST.length : at;
  };
  return [...files].sort((one, other) => rank(one) - rank(other));
}

interface Share {
  readonly outcome: Outcome;
  readonly code: number | null;
}

/** One of the workers: takes file after file from the queue, which is a folder of claims. */
async function work(queue: string, report: string): Promise<void> {
  const outcome: Outcome = { passed: [], failed: [], skipped: [] };
  const files = byLength(testFiles([]));
  try {
    for (const [index, file] of files.entries()) {
      try {
        mkdirSync(join(queue, String(index)));
      } catch {
        continue;
      }
      await runFiles([file], undefined, outcome).catch((error: unknown) => {
        print(error instanceof Error ? (error.stack ?? error.message) : String(error));
        outcome.failed.push(`loading ${relative(ROOT, file)}`);
      });
    }
  } finally {
    await mochaGlobalTeardown();
  }
  writeFileSync(report, JSON.stringify(outcome));
}

/** The first worker prints as it goes; what the others say follows in one piece. */
async function runShared(workers: number, outcome: Outcome): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-tests-'));
  const queue = join(folder, 'queue');
  mkdirSync(queue);
  const shares = Array.from({ length: workers }, (_, index) => runWorker(folder, queue, index));
  for (const [index, share] of (await Promise.all(shares)).entries()) {
    if (index > 0) process.stdout.write(readFileSync(join(folder, `${index}.out`), 'utf8'));
    outcome.passed.push(...share.outcome.passed);
    outcome.failed.push(...share.outcome.failed);
    outcome.skipped.push(...share.outcome.skipped);
    if (share.code !== 0) outcome.failed.push(`worker ${index + 1} ended with ${share.code}`);
  }
  rmSync(folder, { recursive: true, force: true });
}

async function runWorker(folder: string, queue: string, index: number): Promise<Share> {
  const report = join(folder, `${index}.json`);
  const output = index === 0 ? 'inherit' : openSync(join(folder, `${index}.out`), 'w');
  const child = spawn(
    process.execPath,
    [...process.execArgv, import.meta.filename, '--work', queue, report],
    {
      cwd: ROOT,
      stdio: ['ignore', output, output],
      // Built just now; built again under the other worker's feet it would be half a program for a moment.
      env: { ...process.env, IS_BUILT: '1' },
    },
  );
  const code = await new Promise<number | null>(done => child.once('exit', done));
  const empty: Outcome = { passed: [], failed: [], skipped: [] };
  return { outcome: existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : empty, code };
}

async function runAll(args: readonly string[]): Promise<Outcome> {
  const outcome: Outcome = { passed: [], failed: [], skipped: [] };
  const selection = readSelection(args);
  const isWhole = selection.grep === undefined && selection.paths.length === 0;
  const times: string[] = [];
  if (isWhole) {
    for (const step of STEPS) {
      print(`\n=== ${step.title}: ${step.command.join(' ')}`);
      const started = performance.now();
      const isGood = await runStep(step);
      (isGood ? outcome.passed : outcome.failed).push(`check: ${step.title}`);
      times.push(`${step.title} ${seconds(started)}`);
      print(`=== ${step.title}: ${isGood ? 'passed' : 'FAILED'} in ${seconds(started)}`);
    }
  } else {
    print('A selection: only the named tests run, none of the checks.');
  }
  print('\n=== tests');
  const started = performance.now();
  try {
    const workers = Math.min(MOST_WORKERS, availableParallelism());
    if (isWhole && workers > 1) await runShared(workers, outcome);
    else await runTests(selection, outcome);
  } catch (error) {
    // A test file that cannot be loaded: nothing ran, and that is a failure.
    print(error instanceof Error ? (error.stack ?? error.message) : String(error));
    outcome.failed.push('loading and running the tests');
  }
  times.push(`tests ${seconds(started)}`);
  print(`=== times: ${times.join(', ')}`);
  return outcome;
}

function report(outcome: Outcome): number {
  const { passed, failed, skipped } = outcome;
  if (skipped.length > 0)
    print(`\n!!! SKIPPED (${skipped.length}):\n${skipped.map(one => `  - ${one}`).join('\n')}`);
  if (failed.length > 0)
    print(`\n!!! FAILED (${failed.length}):\n${failed.map(one => `  - ${one}`).join('\n')}`);
  if (passed.length + failed.length === 0) {
    print('\nNothing ran: no test matches.');
    failed.push('no test matches');
  }
  print(`\n${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`);
  return failed.length === 0 ? 0 : 1;
}

/** Guards against being loaded by a test: only the command line runs it. */
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const args = process.argv.slice(2);
  try {
    const [mode, queue = '', file = ''] = args;
    if (mode === '--work') await work(queue, file);
    const code = mode === '--work' ? 0 : report(await runAll(args));
    // A test that leaves a server or a timer behind must not keep the result from being seen.
    process.stdout.write('', () => process.exit(code));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}
