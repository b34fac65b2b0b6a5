import {
  packageOf,
  type ReadFile,
  type Rule,
  read,
  targetOf,
  typescript,
  type Violation,
} from './source-tree.js';

/**
 * The house's floors, lowest first. A file may import from any floor below its own, from its own room, and sideways
 * only where SIDEWAYS says so.
 */
const FLOORS: readonly (readonly string[])[] = [
  ['errors', 'clock', 'log', 'metrics', 'protocol', 'config', 'crypto', 'outbound'],
  ['db'],
  ['database'],
  ['delivery'],
  [
    'audit',
    'rate-limits',
    'keys',
    'resources',
    'clients',
    'api-keys',
    'users',
    'alerts',
    'usage',
    'status-lists',
    'leaks',
    'root-keys',
  ],
  ['verifier'],
  ['oidc'],
  ['http'],
  ['jobs'],
  ['server'],
  ['cli'],
];

const SUBJECTS = FLOORS[4] ?? [];
const LEAVES: readonly string[] = ['errors', 'clock', 'log', 'metrics', 'protocol'];

/**
 * On the lowest floor the rooms may use the leaves, and crypto reads the secrets that config types. `db/` (migrations) names types of the database it runs on. The command line starts the server, the
 * server starts its jobs: that is the order of the three highest floors.
 */
function isSideways(from: string, to: string): boolean {
  if (SUBJECTS.includes(from) && to === 'audit') return true;
  if ((from === 'clients' || from === 'api-keys') && to === 'resources') return true;
  if ((from === 'api-keys' || from === 'users') && to === 'rate-limits') return true;
  // What ends tokens ends their bits, in its own transaction.
  if ((from === 'clients' || from === 'resources') && to === 'status-lists') return true;
  if (from === 'crypto' && to === 'config') return true;
  return ['config', 'crypto', 'outbound'].includes(from) && LEAVES.includes(to);
}

/** `src/keys/rotate.ts` is in room `keys`, `src/clock.ts` in room `clock`, `db/migrations/…` in `db`. */
export function roomOf(path: string): string | undefined {
  if (path.startsWith('db/')) return 'db';
  return /^src\/([^/]+?)(?:\.ts$|\/)/.exec(path)?.[1];
}

function floorOf(room: string): number {
  return FLOORS.findIndex(rooms => rooms.includes(room));
}

function judge(file: ReadFile, target: string, isTypeOnly: boolean): string | undefined {
  const from = roomOf(file.path);
  const to = roomOf(target);
  if (to === undefined) return `imports ${target}, which is not part of the program`;
  if (from === undefined || from === to) return undefined;
  if (LEAVES.includes(from)) {
    if (from === 'log' && to === 'config' && isTypeOnly) return undefined;
    return `is a leaf and imports nothing of ours, but imports ${target}`;
  }
  if (from === 'verifier') return `is published alone and imports nothing of ours, but imports ${target}`;
  if (from === 'db') {
    if (to === 'database' && isTypeOnly) return undefined;
    return `may import only types of src/database, but imports ${target}`;
  }
  if (floorOf(to) === -1) return `imports ${target}, a room without a floor`;
  if (to === 'db' && from !== 'database' && !target.startsWith('db/seeds/')) {
    return `imports ${target}; only src/database runs migrations`;
  }
  if (floorOf(to) < floorOf(from) || isSideways(from, to)) return undefined;
  return `imports ${target}: ${from} may not know ${to} (arrows go down only)`;
}

export const arrowsGoDown: Rule = files =>
  typescript(files, 'src', 'db').flatMap(file =>
    file.imports.flatMap(({ specifier, isTypeOnly, line }): Violation[] => {
      const target = targetOf(file.path, specifier);
      const problem = target === undefined ? undefined : judge(file, target, isTypeOnly);
      return problem === undefined ? [] : [{ path: file.path, line, problem }];
    }),
  );

export const everyRoomIsInThePlan: Rule = files =>
  files.flatMap(({ path }) => {
    const room = roomOf(path);
    if (room === undefined || !path.endsWith('.ts') || floorOf(room) !== -1) return [];
    return [{ path, line: 1, problem: `room "${room}" has no floor: add it to the plan and to FLOORS` }];
  });

/** The graph can only be read where every import says what it loads. */
export const importsNameTheirModule: Rule = files =>
  typescript(files, 'src', 'db').flatMap(({ path, imports }) =>
    imports
      .filter(({ specifier }) => specifier === undefined)
      .map(({ line }) => ({
        path,
        line,
        problem: 'a dynamic import computes its module; name it literally',
      })),
  );

/** Type-only imports count: a cycle of types is a cycle of ideas. */
export const noImportCycles: Rule = files => {
  const sources = new Map(
    files.filter(({ path }) => path.endsWith('.ts')).map(file => [file.path, read(file)] as const),
  );
  const state = new Map<string, 'open' | 'done'>();
  const violations: Violation[] = [];

  function visit(path: string, trail: readonly string[]): void {
    state.set(path, 'open');
    const here = [...trail, path];
    for (const { specifier, line } of sources.get(path)?.imports ?? []) {
      const target = targetOf(path, specifier);
      if (target === undefined || !sources.has(target)) continue;
      if (state.get(target) === 'open') {
        const cycle = [...here.slice(here.indexOf(target)), target].join(' → ');
        violations.push({ path, line, problem: `import cycle: ${cycle}` });
      } else if (state.get(target) === undefined) visit(target, here);
    }
    state.set(path, 'done');
  }
  for (const path of sources.keys()) if (!state.has(path)) visit(path, []);
  return violations;
};

/** `isAllowed` decides by path; the package's deep paths and its types count too. */
function exclusive(
  name: RegExp,
  isAllowed: (path: string, isTypeOnly: boolean) => boolean,
  where: string,
): Rule {
  return files =>
    typescript(files, 'src', 'db').flatMap(({ path, imports }) =>
      imports
        .filter(({ specifier, isTypeOnly }) => {
          const imported = packageOf(specifier);
          return imported !== undefined && name.test(imported) && !isAllowed(path, isTypeOnly);
        })
        .map(({ specifier, line }) => ({ path, line, problem: `${specifier} belongs to ${where}` })),
    );
}

export const oidcProviderStaysInOidc = exclusive(
  /^oidc-provider$/,
  path => path.startsWith('src/oidc/'),
  'src/oidc/ only',
);

export const oneDeepImport: Rule = files =>
  typescript(files, 'src', 'db').flatMap(({ path, imports }) =>
    imports
      .filter(({ specifier }) => specifier?.startsWith('oidc-provider/') === true)
      .filter(() => path !== 'src/oidc/internals.ts')
      .map(({ specifier, line }) => ({
        path,
        line,
        problem: `${specifier}: deep imports only in src/oidc/internals.ts`,
      })),
  );

export const koaStaysInOidcAndHttp = exclusive(
  /^(?:koa(?:-.+)?|@koa\/.+)$/,
  (path, isTypeOnly) =>
    /^src\/(?:oidc|http)\//.test(path) || (path.startsWith('src/verifier/') && isTypeOnly),
  'src/oidc/ and src/http/ (types only in src/verifier/)',
);

export const knexStaysInStores = exclusive(
  /^knex$/,
  path => /^(?:db|src\/database)\//.test(path) || /-(?:store|log)\.ts$/.test(path),
  'src/database/, *-store.ts, *-log.ts and db/',
);

/** The published verifier brings one dependency into its user's house: jose. Frameworks are types only. */
export const verifierStandsAlone: Rule = files =>
  typescript(files, 'src/verifier').flatMap(({ path, imports }) =>
    imports.flatMap(({ specifier, isTypeOnly, line }) => {
      const name = packageOf(specifier);
      const target = targetOf(path, specifier);
      if (target?.startsWith('src/verifier/') || name === 'jose') return [];
      if (isTypeOnly && name !== undefined && /^(?:koa|express|fastify|node:.+)$/.test(name)) return [];
      return [
        { path, line, problem: `the verifier imports ${specifier}; only jose, and types of frameworks` },
      ];
    }),
  );
