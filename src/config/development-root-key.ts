import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { AppError } from '../errors.js';
import { type Config, Secret } from './config.js';

/** Beside the development database; never read in any other environment. */
export const DEVELOPMENT_ROOT_KEY_FILE = '.claviger/root-key';

function read(file: string): Secret | undefined {
  try {
    return new Secret(readFileSync(file, 'utf8').trim());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Exclusive creation: of two processes that start at once, one writes and the other reads what it wrote. */
function create(file: string, value: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  let descriptor: number;
  try {
    descriptor = openSync(file, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  try {
    writeSync(descriptor, `${value}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The configured root key or, in development only, the one that was made at the first start.
 *
 * @param generate makes a key when there is none; left out by everything that must not create an installation.
 * @throws AppError `root_key_missing`.
 */
export function rootKeySecret(config: Config, cwd: string, generate?: () => string): Secret {
  if (config.rootKey !== undefined) return config.rootKey;
  const file = `${cwd}/${DEVELOPMENT_ROOT_KEY_FILE}`;
  if (generate !== undefined && read(file) === undefined) create(file, generate());
  const secret = read(file);
  if (secret === undefined || secret.reveal() === '') {
    throw new AppError(
      'root_key_missing',
      `There is no root key: set rootKey, or run claviger init, which makes ${DEVELOPMENT_ROOT_KEY_FILE} for development.`,
    );
  }
  return secret;
}
