import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type RemoteReferences, readRemoteReference } from './remote-references.js';
import type { SecretReading } from './secret-reading.js';

const LARGEST_SECRET_FILE = 65_536;
const MAY_BE_A_SECRET = /^[A-Za-z0-9_+=-][A-Za-z0-9_+/=-]{23,}$/;
const REFERENCE = /^(file|env|credential|literal):(.*)$/s;

/** Where a secret may come from besides standing in the open. */
export interface SecretSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Against which a relative path counts. */
  readonly folder: string;
  /** What other machines keep; without it their references are refused. */
  readonly remote?: RemoteReferences | undefined;
}

const NOT_HERE = 'is kept on another machine, and only the commands of claviger ask those.';

function openedFile(path: string): SecretReading & { readonly mode?: number } {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    return {
      problem: `names the file ${path}, which cannot be read (${code}); create it or mend its owner and mode.`,
    };
  }
  try {
    // Mode and content come from the same open file, so it cannot be exchanged in between.
    const found = fstatSync(descriptor);
    if (!found.isFile()) return { problem: `names ${path}, which is not a file.` };
    if (found.size > LARGEST_SECRET_FILE)
      return { problem: `names ${path}, which is too large for a secret.` };
    const value = readFileSync(descriptor, 'utf8').replace(/[\r\n]+$/, '');
    if (value === '') return { problem: `names the file ${path}, which is empty.` };
    return { value, isLiteral: false, mode: found.mode };
  } finally {
    closeSync(descriptor);
  }
}

export function readSecretFile(path: string, folder: string): SecretReading {
  if (path.trim() === '') return { problem: 'names no file; write file:/path.' };
  const whole = resolve(folder, path);
  // The secret itself where its file was meant: the usual message would print it.
  if (MAY_BE_A_SECRET.test(path) && !existsSync(whole)) {
    return {
      problem: 'names no existing file; give the path of a file that holds the secret, not the secret.',
    };
  }
  const reading = openedFile(whole);
  if ('problem' in reading) return reading;
  const { mode = 0, ...rest } = reading;
  // Windows has no such mode bits and reports 0666 for every file.
  if (process.platform === 'win32' || (mode & 0o077) === 0) return rest;
  const shown = (mode & 0o777).toString(8).padStart(4, '0');
  return {
    ...rest,
    warning: `comes from ${whole}, which others on this machine can open (mode ${shown}); chmod 600 it.`,
  };
}

function readCredential(name: string, { env }: SecretSurroundings): SecretReading {
  const directory = env.CREDENTIALS_DIRECTORY;
  // The name is one path segment: it may not climb out of the directory.
  if (!/^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}$/.test(name)) {
    return { problem: 'names no systemd credential; write credential:NAME.' };
  }
  if (directory === undefined || directory === '') {
    return {
      problem: `wants the systemd credential ${name}, but CREDENTIALS_DIRECTORY is not set; add LoadCredential=${name}:/path to the unit.`,
    };
  }
  // systemd guards the directory by an access list that the mode bits of the file do not show: no warning.
  return openedFile(resolve(directory, name));
}

function readVariable(name: string, { env }: SecretSurroundings): SecretReading {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) {
    return { problem: 'names no environment variable; write env:NAME.' };
  }
  const value = env[name];
  if (value === undefined || value === '') {
    return { problem: `refers to the environment variable ${name}, which is not set.` };
  }
  // Taken as it is: a reference that leads to another reference could be made to read any file.
  return { value, isLiteral: false };
}

/**
 * `file:/path`, `env:NAME`, `credential:NAME`, and what `remote-references` knows; `literal:` before a value that looks
 * like one of them and is none. Anything else is the value itself. Never throws.
 */
export function readSecret(raw: string, surroundings: SecretSurroundings): SecretReading {
  const text = raw.trim();
  const remote = readRemoteReference(text);
  if (remote !== undefined) {
    if ('problem' in remote) return remote;
    return surroundings.remote?.look(remote.reference) ?? { problem: NOT_HERE };
  }
  const match = REFERENCE.exec(text);
  if (match === null) return { value: text, isLiteral: true };
  const rest = (match[2] ?? '').trim();
  switch (match[1]) {
    case 'literal':
      return { value: rest, isLiteral: true };
    case 'file':
      return readSecretFile(rest, surroundings.folder);
    case 'env':
      return readVariable(rest, surroundings);
    default:
      return readCredential(rest, surroundings);
  }
}
