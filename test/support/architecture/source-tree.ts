import { posix } from 'node:path';
import { findImports, type ImportFound, readSource, type SourceText } from './source-text.js';

/** Path from the repository's root, with `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly problem: string;
}

/** A rule is a function of the files alone, so that its test can plant a violation. */
export type Rule = (files: readonly SourceFile[]) => Violation[];

export interface ReadFile extends SourceFile, SourceText {
  readonly imports: readonly ImportFound[];
}

export function read(file: SourceFile): ReadFile {
  const source = readSource(file.text);
  return { ...file, ...source, imports: findImports(file.text, source) };
}

export function typescript(files: readonly SourceFile[], ...folders: string[]): ReadFile[] {
  return files
    .filter(({ path }) => path.endsWith('.ts') && folders.some(folder => path.startsWith(`${folder}/`)))
    .map(read);
}

/** The repository path that a relative specifier names (`.js` is written, `.ts` is meant); undefined for a package. */
export function targetOf(importer: string, specifier: string | undefined): string | undefined {
  if (specifier === undefined || !specifier.startsWith('.')) return undefined;
  return posix.normalize(posix.join(posix.dirname(importer), specifier)).replace(/\.js$/, '.ts');
}

/** `@scope/name` or `name` of a package specifier, whatever deep path follows. */
export function packageOf(specifier: string | undefined): string | undefined {
  if (specifier === undefined || specifier.startsWith('.')) return undefined;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** One violation for each place where the code (not a comment, not a string) matches. */
export function matches(file: ReadFile, pattern: RegExp, problem: string): Violation[] {
  return [...file.code.matchAll(pattern)].map(match => ({
    path: file.path,
    line: file.code.slice(0, match.index).split('\n').length,
    problem,
  }));
}
