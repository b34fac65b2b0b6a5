import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Surroundings, UsageError } from './command.js';

const LARGEST = 64 * 1024;

/** All of standard input, without the line break that `echo` adds. */
export async function readStdin({ stdin }: Surroundings): Promise<string> {
  let text = '';
  for await (const chunk of stdin) {
    text += typeof chunk === 'string' ? chunk : chunk.toString('utf8');
    if (text.length > LARGEST) throw new UsageError('Standard input is too long.');
  }
  return text.trim();
}

export function readTextFile({ cwd }: Surroundings, path: string): string {
  let text: string;
  try {
    text = readFileSync(resolve(cwd, path), 'utf8').trim();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new UsageError(`The file ${path} cannot be read (${code}).`);
  }
  if (text === '') throw new UsageError(`The file ${path} is empty.`);
  return text;
}

/**
 * A client secret from `--secret-file`, else CLIENT_SECRET, else standard input; never from an argument.
 *
 * @param isStdinFree false when standard input holds something else.
 */
export async function readClientSecret(
  surroundings: Surroundings,
  file: string | undefined,
  isStdinFree: boolean,
): Promise<string> {
  if (file !== undefined) return readTextFile(surroundings, file);
  const { CLIENT_SECRET: given } = surroundings.env;
  if (given !== undefined && given !== '') return given;
  const typed = isStdinFree && !surroundings.isTty ? await readStdin(surroundings) : '';
  if (typed !== '') return typed;
  throw new UsageError(
    `Give the client secret by --secret-file FILE${isStdinFree ? ', on standard input,' : ''} or in the environment variable CLIENT_SECRET.`,
  );
}
