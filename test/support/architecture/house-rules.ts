import { posix } from 'node:path';
import { matches, type ReadFile, type Rule, typescript, type Violation } from './source-tree.js';

export const environmentIsReadInConfig: Rule = files =>
  typescript(files, 'src', 'db')
    .filter(({ path }) => !path.startsWith('src/config/'))
    .flatMap(file => [
      ...matches(file, /\bprocess\s*(?:\?\.|\.)\s*env\b/g, 'process.env is read in src/config/ only'),
      ...matches(
        file,
        /\bprocess\s*\[/g,
        'process[…] hides what is read; the environment is read in src/config/ only',
      ),
      ...matches(
        file,
        /\{[^{}]*\benv\b[^{}]*\}\s*=\s*process\b(?!\s*\.)/g,
        'process.env is read in src/config/ only',
      ),
      ...file.imports
        .filter(({ specifier }) => specifier === 'node:process' || specifier === 'process')
        .filter(({ line }) => /\benv\b/.test(file.code.split('\n')[line - 1] ?? ''))
        .map(({ line }) => ({ path: file.path, line, problem: 'process.env is read in src/config/ only' })),
    ]);

/** `new Date(instant)` converts and is harmless; asking for the present is what must be injected. */
export const timeComesFromTheClock: Rule = files =>
  typescript(files, 'src', 'db')
    // The verifier is published alone and brings a clock of its own.
    .filter(({ path }) => path !== 'src/clock.ts' && path !== 'src/verifier/clock.ts')
    .flatMap(file => [
      ...matches(file, /\bDate\s*(?:\?\.|\.)\s*now\b/g, 'Date.now belongs to src/clock.ts: inject a Clock'),
      ...matches(
        file,
        /\bnew\s+Date\b(?!\s*\(\s*[^\s)])/g,
        'new Date() belongs to src/clock.ts: inject a Clock',
      ),
      ...matches(
        file,
        /(?<!\bnew\s+)(?<![.\w$])Date\s*\(/g,
        'Date() belongs to src/clock.ts: inject a Clock',
      ),
    ]);

export const noBarrels: Rule = files =>
  files
    .filter(({ path }) => /^(?:src|db|test|certs)\/(?:.*\/)?index\.[cm]?tsx?$/.test(path))
    .map(({ path }) => ({
      path,
      line: 1,
      problem: 'a barrel hides where things live: name the file by what it owns',
    }));

export const noDefaultExports: Rule = files =>
  typescript(files, 'src', 'db', 'test', 'certs').flatMap(file =>
    matches(
      file,
      /(?<![.\w$])export\s+default\b|(?<![.\w$])export\s*\{[^}]*\bas\s+default\b|(?<![.\w$])export\s*=/g,
      'a default export has no name of its own: export it by name',
    ),
  );

/** The code outside every bracket, everything else blank. */
export function topLevel(code: string): string {
  let depth = 0;
  let out = '';
  for (const char of code) {
    if ('([{'.includes(char)) {
      out += depth === 0 ? char : ' ';
      depth += 1;
    } else if (')]}'.includes(char)) {
      depth -= 1;
      out += depth === 0 ? char : ' ';
    } else out += depth === 0 || char === '\n' ? char : ' ';
  }
  return out;
}

const MUTATORS = 'push|pop|shift|unshift|splice|sort|reverse|fill|copyWithin|set|delete|clear|add';

function mutationsOf(name: string, file: ReadFile): Violation[] {
  const escaped = name.replace(/\$/g, '\\$');
  const member = `(?<![.\\w$])${escaped}(?:\\s*\\??\\.\\s*[\\w$]+|\\s*\\[[^\\]]*\\])+`;
  return [
    new RegExp(`(?<![.\\w$])${escaped}\\s*\\??\\.\\s*(?:${MUTATORS})\\s*\\(`, 'g'),
    new RegExp(`${member}\\s*(?:[-+*/%&|^]|\\*\\*|\\?\\?|&&|\\|\\||<<|>>>?)?=(?![=>])`, 'g'),
    new RegExp(`${member}\\s*(?:\\+\\+|--)|(?:\\+\\+|--|\\bdelete\\s)\\s*${member}`, 'g'),
    new RegExp(`\\bObject\\s*\\.\\s*(?:assign|define\\w+|setPrototypeOf)\\s*\\(\\s*${escaped}\\b`, 'g'),
  ].flatMap(pattern =>
    matches(file, pattern, `"${name}" is module-level and is changed: pass it in instead`),
  );
}

/** State that a module keeps is shared by every server and every test in the process. */
export const noModuleState: Rule = files =>
  typescript(files, 'src', 'db').flatMap(file => {
    const outer = { ...file, code: topLevel(file.code) };
    const constants = [...outer.code.matchAll(/(?<![.\w$])const\s+([\w$]+)\s*(?::[^=]*)?=\s*[[{]/g)];
    return [
      ...matches(
        outer,
        /(?<![.\w$])(?:let|var)\s/g,
        'a module-level variable is shared state: move it into a class',
      ),
      ...matches(
        outer,
        /(?<![.\w$])const\s+[\w$]+\s*(?!:\s*Readonly(?:Map|Set)\b)(?::[^=]*)?=\s*new\s+(?:Map|Set|WeakMap|WeakSet|WeakRef|Array|EventEmitter|LRUCache)\b/g,
        'a module-level collection is shared state: annotate it ReadonlyMap/ReadonlySet or move it into a class',
      ),
      ...matches(
        file,
        /(?<![.\w$])static\s+(?!readonly\b|async\b|get\b|override\b|\{)(?:accessor\s+)?[#\w$]+\s*(?::[^=;(){}]+)?(?:=(?!>)|;)/g,
        'a mutable static field is shared state',
      ),
      ...constants.flatMap(match => mutationsOf(match[1] ?? '', file)),
    ];
  });

export const filesAreShort: Rule = files =>
  files
    .filter(({ path }) => path.startsWith('src/') && path.endsWith('.ts'))
    .map(({ path, text }) => ({ path, lines: text.replace(/\n$/, '').split('\n').length }))
    .filter(({ lines }) => lines > 350)
    .map(({ path, lines }) => ({
      path,
      line: 351,
      problem: `${lines} lines; 350 at most: two things live here`,
    }));

const EMPTY_WORDS = /^(?:manager|helper|util|common|handler|data|info|process|blacklist|whitelist)s?$/;

/** A word that says nothing about its thing. "Data keys" are a term of key management and "handler" one of oidc-provider's. */
export const namesSayWhatThingsAre: Rule = files =>
  files
    .filter(({ path }) => /^(?:src|db|test|views|certs)\//.test(path))
    .flatMap(({ path }) => {
      const words = path.replace(/\bdata-keys?\b/g, '').split(/[/.\-_]|(?<=[a-z0-9])(?=[A-Z])/);
      return words
        .map(word => word.toLowerCase())
        .filter(word => EMPTY_WORDS.test(word))
        .filter(word => !(/^handlers?$/.test(word) && path.startsWith('src/oidc/grants/')))
        .map(word => ({ path, line: 1, problem: `"${word}" in a name says nothing: name what it is` }));
    });

export const fileNamesAreKebabCase: Rule = files =>
  files
    .filter(({ path }) => /^(?:src|db|test|certs)\/.*\.ts$/.test(path))
    .filter(
      ({ path }) =>
        !posix
          .basename(path)
          .split('.')
          .every(part => /^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(part)),
    )
    .map(({ path }) => ({ path, line: 1, problem: 'file names are kebab-case' }));

export const everyFolderIsExplained: Rule = files => {
  const folders = new Set<string>();
  for (const { path } of files) {
    if (!path.startsWith('src/')) continue;
    for (let folder = posix.dirname(path); folder !== 'src'; folder = posix.dirname(folder))
      folders.add(folder);
  }
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  return [...folders].sort().flatMap(folder => {
    const path = `${folder}/README.md`;
    const text = texts.get(path);
    if (text === undefined)
      return [{ path, line: 1, problem: 'missing: owns, does not own, invariants, decisions' }];
    const lines = text.replace(/\n$/, '').split('\n').length;
    return lines > 40 ? [{ path, line: 41, problem: `${lines} lines; 40 at most` }] : [];
  });
};

export const noAny: Rule = files =>
  typescript(files, 'src', 'db', 'test', 'certs').flatMap(file =>
    matches(
      file,
      /(?<=[:<|&,(=]\s*|=>\s*|\b(?:as|is|satisfies|extends)\s+)any(?![\w$]|\s*[(:?.])/g,
      '"any" switches the types off: use unknown and look',
    ),
  );

export const noSilencedChecks: Rule = files =>
  typescript(files, 'src', 'db', 'test', 'certs').flatMap(({ path, comments }) =>
    comments.flatMap(({ line, text }): Violation[] => {
      if (/@ts-(?:ignore|nocheck)\b/.test(text)) {
        return [{ path, line, problem: '@ts-ignore hides every fault of its line: mend the type' }];
      }
      if (
        /\bbiome-ignore/.test(text) &&
        !/\bbiome-ignore(?:-\w+)? [\w/]+(?:\([^)]*\))?: \S.{9,}/.test(text)
      ) {
        return [{ path, line, problem: 'biome-ignore without its reason on the line' }];
      }
      return [];
    }),
  );

const ROOT_ENTRIES: readonly string[] = [
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'biome.json', 'knip.json'],
  ...['src', 'views', 'db', 'test', 'certs', 'docs', 'deploy'],
  ...['LICENSE', 'README.md', 'CHANGELOG.md', 'SECURITY.md', 'CONTRIBUTING.md'],
];

/** Made by tools, ignored by git. */
const ROOT_MADE = /^(?:node_modules|dist|coverage|.*\.tgz)$/;

export function strangersInTheRoot(entries: readonly string[]): string[] {
  return entries.filter(
    name => !name.startsWith('.') && !ROOT_MADE.test(name) && !ROOT_ENTRIES.includes(name),
  );
}
