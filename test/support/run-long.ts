import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { FIGURE, SEED } from './scale.js';

/**
 * `npm run test:long`: the tests whose counts differ between the short and the long version, at their full counts, and
 * the figures once more at the end. CI=true runs a quarter; SEED=n repeats its choices. Paths narrow the selection.
 */
const ROOT = resolve(import.meta.dirname, '..', '..');
const FILES = [
  'test/flows/rotation*.test.ts',
  'test/keys/rotate-*.test.ts',
  'test/keys/crash*.test.ts',
  'test/flows/lifecycle/refresh-races.test.ts',
  'test/flows/lifecycle/logout-notices.test.ts',
  'test/attacks/authorization/code-race.test.ts',
  'test/attacks/authorization/pushed-requests.test.ts',
  'test/status-lists/status-indices.test.ts',
  'test/flows/lifecycle/status-list-races.test.ts',
  'test/flows/signing-backends.test.ts',
  'test/root-keys/rewrap*.test.ts',
];

const chosen = process.argv.slice(2);
const figures: string[] = [];
const print = (text: string) => process.stdout.write(`${text}\n`);

print(`seed ${SEED}${process.env.CI === 'true' ? ', a quarter of the full counts' : ''}`);
const started = performance.now();
const child = spawn(join(ROOT, 'node_modules', '.bin', 'mocha'), chosen.length === 0 ? FILES : chosen, {
  cwd: ROOT,
  env: { ...process.env, LONG: '1', SEED: String(SEED) },
  stdio: ['inherit', 'pipe', 'inherit'],
});
for await (const line of createInterface({ input: child.stdout })) {
  print(line);
  const at = line.indexOf(FIGURE);
  if (at >= 0) figures.push(line.slice(at + FIGURE.length).trim());
}
const code = await new Promise<number>(done => {
  if (child.exitCode !== null || child.signalCode !== null) done(child.exitCode ?? 1);
  else child.once('exit', status => done(status ?? 1));
});
print(`\n=== figures (seed ${SEED}, ${Math.round((performance.now() - started) / 1000)} s)`);
for (const one of figures) print(`  ${one}`);
process.exitCode = code;
