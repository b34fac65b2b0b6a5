import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

function write(path: string, content: string, flags: 'wx' | 'w', mode: number): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const descriptor = openSync(path, flags, mode);
  try {
    writeSync(descriptor, content);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** @returns false, with nothing written, when the file exists. */
export function createFile(path: string, content: string, mode: number): boolean {
  try {
    write(path, content, 'wx', mode);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** For its owner only. Whoever reads finds the old content or the new one, never half. */
export function replacePrivateFile(path: string, content: string): void {
  const next = `${path}.${process.pid}.new`;
  write(next, content, 'w', 0o600);
  renameSync(next, path);
}
