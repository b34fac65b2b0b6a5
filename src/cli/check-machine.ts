import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Config } from '../config/config.js';
import { DEVELOPMENT_ROOT_KEY_FILE } from '../config/development-root-key.js';
import type { LoadedConfig } from '../config/load.js';
import { sqliteFile } from './context.js';
import { type Finding, found, ok } from './finding.js';

/** Older ones get no security fixes any more. */
const OLDEST_MAINTAINED_NODE = 22;

export function checkNode(version: string): Finding {
  const major = Number(version.split('.')[0]);
  if (major >= OLDEST_MAINTAINED_NODE) return ok('node_version', `Node.js ${version}`);
  return found(
    'node_version',
    'note',
    `Node.js ${version} works, but gets no security fixes any more.`,
    `Move to Node.js ${OLDEST_MAINTAINED_NODE} or newer.`,
  );
}

export function checkConfiguration({ warnings }: LoadedConfig): Finding[] {
  if (warnings.length === 0) return [ok('configuration', 'The configuration is valid.')];
  return warnings.map(({ at, problem }) =>
    found('configuration', 'warning', `${at} ${problem}`, `Change ${at} as it says.`),
  );
}

function checkMode(id: string, what: string, path: string): Finding {
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) === 0) return ok(id, `${what} ${path} is for its owner only.`);
  const shown = mode.toString(8).padStart(4, '0');
  // Secrets in the database are hashed or sealed; the root key is what opens them.
  return found(
    id,
    id === 'root_key_file' ? 'error' : 'warning',
    `${what} ${path} can be opened by others on this machine (mode ${shown}).`,
    `chmod 600 ${path}`,
  );
}

/** Where the root key lies, if it lies in a file that this configuration names. */
function rootKeyFile(
  { sources }: LoadedConfig,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
) {
  const source = sources.find(({ name }) => name === 'rootKey');
  const named = env.CLAVIGER_ROOT_KEY_FILE;
  if (source?.from === 'CLAVIGER_ROOT_KEY_FILE' && named !== undefined) return resolve(cwd, named);
  const standard = resolve(cwd, DEVELOPMENT_ROOT_KEY_FILE);
  return existsSync(standard) ? standard : undefined;
}

/** Windows has no such mode bits. */
export function checkFiles(
  loaded: LoadedConfig,
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): Finding[] {
  if (process.platform === 'win32') return [];
  const findings: Finding[] = [];
  const key = rootKeyFile(loaded, env, cwd);
  if (key !== undefined && existsSync(key)) findings.push(checkMode('root_key_file', 'The root key', key));
  const file = sqliteFile(config);
  if (file !== undefined && existsSync(file)) {
    const folderMode = statSync(resolve(file, '..')).mode & 0o077;
    // Nobody reaches a file through a folder that is closed to them.
    findings.push(
      folderMode === 0
        ? ok('database_file', `The database ${file} lies in a folder for its owner only.`)
        : checkMode('database_file', 'The database', file),
    );
  }
  return findings;
}
