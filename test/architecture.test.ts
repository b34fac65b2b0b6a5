// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the planted source code holds templates
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative, sep } from 'node:path';
import { expect } from 'chai';
import * as arrows from './support/architecture/arrows.js';
import * as house from './support/architecture/house-rules.js';
import { findImports, readSource } from './support/architecture/source-text.js';
import type { Rule, SourceFile, Violation } from './support/architecture/source-tree.js';

const ROOT = join(import.meta.dirname, '..');
const FOLDERS = ['src', 'db', 'test', 'certs', 'views'];

function readFolder(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && /\.(?:[cm]?tsx?|md)$/.test(entry.name))
    .map(entry => join(entry.parentPath, entry.name))
    .map(path => ({
      path: relative(ROOT, path).split(sep).join(posix.sep),
      text: readFileSync(path, 'utf8'),
    }));
}

function told(violations: readonly Violation[]): string[] {
  return violations.map(({ path, line, problem }) => `${path}:${line} ${problem}`);
}

type Planted = Readonly<Record<string, string>>;

function plant(files: Planted): SourceFile[] {
  return Object.entries(files).map(([path, text]) => ({ path, text }));
}

interface Case {
  readonly fact: string;
  readonly rule: Rule;
  /** Each one must be found, alone. */
  readonly wrong: readonly Planted[];
  /** None of these may be found: a rule that cries at good code is switched off by the first person in a hurry. */
  readonly right: readonly Planted[];
}

const importing = (from: string, specifier: string): Planted => ({
  [from]: `import { x } from '${specifier}';\n`,
});
const typeImporting = (from: string, specifier: string): Planted => ({
  [from]: `import type { X } from '${specifier}';\n`,
});

const CASES: readonly Case[] = [
  {
    fact: 'arrows between rooms go down only, sideways only where the plan says so',
    rule: arrows.arrowsGoDown,
    wrong: [
      importing('src/errors.ts', './protocol.js'),
      importing('src/log.ts', './config/config.js'),
      importing('src/config/load.ts', '../crypto/envelope.js'),
      importing('src/crypto/envelope.ts', '../database/connect.js'),
      importing('src/database/connect.ts', '../keys/key-ring.js'),
      typeImporting('src/database/connect.ts', '../keys/key-ring.js'),
      importing('src/keys/rotate.ts', '../clients/client.js'),
      importing('src/audit/audit-log.ts', '../keys/key-ring.js'),
      importing('src/resources/scope.ts', '../clients/client.js'),
      importing('src/clients/client.ts', '../rate-limits/limiter.js'),
      importing('src/users/user.ts', '../resources/scope.js'),
      importing('src/leaks/source.ts', '../alerts/signals.js'),
      importing('src/usage/counter.ts', '../status-lists/list.js'),
      importing('src/keys/rotate.ts', '../oidc/provider.js'),
      importing('src/keys/rotate.ts', '../verifier/scopes.js'),
      importing('src/oidc/provider.ts', '../http/app.js'),
      importing('src/http/app.ts', '../server.js'),
      importing('src/http/app.ts', '../jobs/runner.js'),
      importing('src/server.ts', './cli/main.js'),
      importing('src/jobs/runner.ts', '../server.js'),
      importing('src/outbound/fetcher.ts', '../database/connect.js'),
      importing('src/outbound/fetcher.ts', '../delivery/webhook.js'),
      importing('src/database/connect.ts', '../delivery/outbox.js'),
      importing('src/delivery/outbox.ts', '../users/user.js'),
      importing('src/verifier/scopes.ts', '../errors.js'),
      importing('src/keys/rotate.ts', '../../test/support/load.js'),
      importing('src/server.ts', '../package.json'),
      importing('src/keys/key-store.ts', '../../db/migrations/all.js'),
      importing('db/migrations/0001-a.ts', '../../src/keys/key-state.js'),
      importing('db/migrations/0001-a.ts', '../../src/database/connect.js'),
      { 'src/keys/a.ts': `export { x } from '../oidc/provider.js';\n` },
      { 'src/keys/a.ts': `export * from '../oidc/provider.js';\n` },
      { 'src/keys/a.ts': `const x = await import('../oidc/provider.js');\n` },
      { 'src/keys/a.ts': `import '../oidc/provider.js';\n` },
      { 'src/keys/a.ts': `type P = import('../oidc/provider.js').P;\n` },
      { 'src/keys/a.ts': `import {\n  type A,\n  b, // '\n} from\n  "../oidc/provider.js";\n` },
    ],
    right: [
      typeImporting('src/log.ts', './config/config.js'),
      importing('src/config/load.ts', '../errors.js'),
      typeImporting('src/crypto/root-key.ts', '../config/config.js'),
      importing('src/delivery/webhook.ts', '../outbound/fetcher.js'),
      importing('src/delivery/outbox.ts', '../database/connect.js'),
      importing('src/users/user.ts', '../delivery/outbox.js'),
      importing('src/keys/rotate.ts', '../audit/audit-log.js'),
      importing('src/alerts/signals.ts', '../audit/events.js'),
      importing('src/clients/client.ts', '../resources/scope.js'),
      importing('src/api-keys/api-key.ts', '../resources/scope.js'),
      importing('src/api-keys/api-key.ts', '../rate-limits/limiter.js'),
      importing('src/users/user.ts', '../rate-limits/limiter.js'),
      importing('src/keys/signing/es256.ts', '../key-state.js'),
      importing('src/http/admin/api/client.ts', '../../../clients/client.js'),
      importing('src/server.ts', './http/app.js'),
      importing('src/server.ts', './jobs/runner.js'),
      importing('src/cli/serve.ts', '../server.js'),
      importing('src/database/migrate.ts', '../../db/migrations/all.js'),
      typeImporting('db/migrations/0001-a.ts', '../../src/database/connect.js'),
      {
        'src/keys/a.ts': `// import { x } from '../oidc/provider.js';\nconst s = "import x from '../oidc/a.js'";\n`,
      },
    ],
  },
  {
    fact: 'every room of src/ is in the plan',
    rule: arrows.everyRoomIsInThePlan,
    wrong: [{ 'src/tenants/tenant.ts': '' }, { 'src/boot.ts': '' }],
    right: [{ 'src/keys/rotate.ts': '', 'src/server.ts': '', 'src/status-lists/list.ts': '' }],
  },
  {
    fact: 'a dynamic import names its module',
    rule: arrows.importsNameTheirModule,
    wrong: [{ 'src/cli/a.ts': 'await import(name);' }, { 'src/cli/a.ts': 'await import(`./${name}.js`);' }],
    right: [{ 'src/cli/a.ts': `await import('./b.js'); await import(\`./c.js\`); import.meta.url;` }],
  },
  {
    fact: 'no import cycles, types included',
    rule: arrows.noImportCycles,
    wrong: [
      { 'src/a.ts': `import './b.js';`, 'src/b.ts': `import './c.js';`, 'src/c.ts': `import './a.js';` },
      { 'src/keys/a.ts': `import type { B } from './b.js';`, 'src/keys/b.ts': `export * from './a.js';` },
      { 'src/a.ts': `import './a.js';` },
    ],
    right: [
      { 'src/a.ts': `import './b.js'; import './c.js';`, 'src/b.ts': `import './c.js';`, 'src/c.ts': '' },
    ],
  },
  {
    fact: 'oidc-provider is imported in src/oidc/ only',
    rule: arrows.oidcProviderStaysInOidc,
    wrong: [
      importing('src/http/app.ts', 'oidc-provider'),
      typeImporting('src/clients/client.ts', 'oidc-provider'),
      importing('src/http/app.ts', 'oidc-provider/lib/helpers/errors.js'),
    ],
    right: [importing('src/oidc/grants/exchange.ts', 'oidc-provider')],
  },
  {
    fact: 'the one deep import into oidc-provider is in src/oidc/internals.ts',
    rule: arrows.oneDeepImport,
    wrong: [importing('src/oidc/provider.ts', 'oidc-provider/lib/helpers/weak_cache.js')],
    right: [
      importing('src/oidc/internals.ts', 'oidc-provider/lib/helpers/weak_cache.js'),
      importing('src/oidc/provider.ts', 'oidc-provider'),
    ],
  },
  {
    fact: 'koa is imported in src/oidc/ and src/http/ only, its types also in src/verifier/',
    rule: arrows.koaStaysInOidcAndHttp,
    wrong: [
      importing('src/server.ts', 'koa'),
      typeImporting('src/clients/client.ts', 'koa'),
      importing('src/verifier/koa.ts', 'koa'),
      { 'src/verifier/koa.ts': `import { type Context } from 'koa';` },
      importing('src/jobs/runner.ts', '@koa/router'),
      importing('src/server.ts', 'koa-helmet'),
    ],
    right: [
      importing('src/http/app.ts', '@koa/router'),
      importing('src/oidc/provider.ts', 'koa'),
      typeImporting('src/verifier/koa.ts', 'koa'),
    ],
  },
  {
    fact: 'knex is imported in src/database/, stores, logs and db/ only',
    rule: arrows.knexStaysInStores,
    wrong: [importing('src/keys/rotate.ts', 'knex'), typeImporting('src/cli/migrate.ts', 'knex')],
    right: [
      importing('src/database/connect.ts', 'knex'),
      importing('db/migrations/0001-a.ts', 'knex'),
      typeImporting('src/keys/key-store.ts', 'knex'),
      typeImporting('src/audit/audit-log.ts', 'knex'),
    ],
  },
  {
    fact: 'the verifier imports jose, types of frameworks, and nothing of ours',
    rule: arrows.verifierStandsAlone,
    wrong: [
      importing('src/verifier/scopes.ts', '../errors.js'),
      typeImporting('src/verifier/scopes.ts', '../clock.js'),
      importing('src/verifier/express.ts', 'express'),
      importing('src/verifier/scopes.ts', 'zod'),
    ],
    right: [
      importing('src/verifier/verify-access-token.ts', 'jose'),
      importing('src/verifier/koa.ts', './scopes.js'),
      typeImporting('src/verifier/fastify.ts', 'fastify'),
    ],
  },
  {
    fact: 'process.env is read in src/config/ only',
    rule: house.environmentIsReadInConfig,
    wrong: [
      { 'src/cli/a.ts': 'const a = process.env.HOME;' },
      { 'src/cli/a.ts': 'const a = `${process.env.HOME}`;' },
      { 'src/cli/a.ts': `const a = process['env'];` },
      { 'src/cli/a.ts': 'const { env } = process;' },
      { 'src/cli/a.ts': `import { env } from 'node:process';` },
    ],
    right: [
      { 'src/config/environment.ts': 'process.env' },
      { 'src/cli/a.ts': `// process.env\nconst a = 'process.env'; process.exitCode = 1;` },
    ],
  },
  {
    fact: 'the present is asked of src/clock.ts only',
    rule: house.timeComesFromTheClock,
    wrong: [
      { 'src/keys/a.ts': 'const a = Date.now();' },
      { 'src/keys/a.ts': 'const a = new Date();' },
      { 'src/keys/a.ts': 'const a = new Date( );' },
      { 'src/keys/a.ts': 'const now = Date.now;' },
      { 'src/keys/a.ts': 'const a = new Date;' },
      { 'src/keys/a.ts': 'const a = Date();' },
    ],
    right: [
      { 'src/clock.ts': 'Date.now()' },
      { 'src/keys/a.ts': 'new Date(instant); clock.now(); // Date.now()\n' },
    ],
  },
  {
    fact: 'there are no barrels',
    rule: house.noBarrels,
    wrong: [{ 'src/keys/index.ts': '' }, { 'test/index.ts': '' }],
    right: [{ 'src/keys/key-index.ts': '' }],
  },
  {
    fact: 'there are no default exports',
    rule: house.noDefaultExports,
    wrong: [
      { 'src/a.ts': 'export default class {}' },
      { 'test/a.ts': 'const a = 1;\nexport { a as default };' },
      { 'db/a.ts': 'export default 1;' },
    ],
    right: [{ 'src/a.ts': `import { default as x } from 'x'; export const a = 'export default';` }],
  },
  {
    fact: 'no module keeps state',
    rule: house.noModuleState,
    wrong: [
      { 'src/a.ts': 'let count = 0;' },
      { 'src/a.ts': 'export var count = 0;' },
      { 'src/a.ts': 'const seen = new Map<string, number>();' },
      { 'src/a.ts': 'export const seen: Map<string, number> = new Map();' },
      { 'src/a.ts': 'const seen = new WeakMap();' },
      { 'src/a.ts': 'const list: string[] = [];\nfunction f() { list.push(1); }' },
      { 'src/a.ts': 'const table = {};\nfunction f(k) { table[k] = 1; }' },
      { 'src/a.ts': 'const table = { n: 0 };\nfunction f() { table.n += 1; }' },
      { 'src/a.ts': 'const table = { n: 0 };\nfunction f() { table.n++; }' },
      { 'src/a.ts': 'const table = {};\nfunction f(k) { delete table[k]; }' },
      { 'src/a.ts': 'class A { static count = 0; }' },
    ],
    right: [
      { 'src/a.ts': 'function f() { let a = 0; const m = new Map(); a += 1; m.set(a, a); }' },
      { 'src/a.ts': 'const words: ReadonlySet<string> = new Set(["a"]);' },
      { 'src/a.ts': 'const table = { a: 1 };\nif (table.a === 1) f(x => table.a >= x);' },
      { 'src/a.ts': 'class A { static readonly limit = 1; static make() { return new A(); } }' },
      { 'src/a.ts': 'const text = `\n${[1].map(() => { let b = 1; return b; })}\nlet a`;' },
    ],
  },
  {
    fact: 'no file of src/ is longer than 350 lines',
    rule: house.filesAreShort,
    wrong: [{ 'src/a.ts': 'x;\n'.repeat(351) }],
    right: [{ 'src/a.ts': 'x;\n'.repeat(350) }],
  },
  {
    fact: 'names say what things are',
    rule: house.namesSayWhatThingsAre,
    wrong: [
      { 'src/keys/key-manager.ts': '' },
      { 'src/utils/a.ts': '' },
      { 'src/http/error-handler.ts': '' },
      { 'test/support/test-helpers.ts': '' },
      { 'src/keys/keyData.ts': '' },
    ],
    right: [
      {
        'src/oidc/grants/exchange-handler.ts': '',
        'src/crypto/data-keys.ts': '',
        'src/http/userinfo.ts': '',
      },
    ],
  },
  {
    fact: 'file names are kebab-case',
    rule: house.fileNamesAreKebabCase,
    wrong: [{ 'src/keys/keyRing.ts': '' }, { 'test/keys/key_ring.test.ts': '' }],
    right: [{ 'src/keys/key-ring.ts': '', 'test/keys/key-ring.test.ts': '', 'db/migrations/0001-a.ts': '' }],
  },
  {
    fact: 'every folder of src/ has a README of at most 40 lines',
    rule: house.everyFolderIsExplained,
    wrong: [
      { 'src/keys/a.ts': '' },
      { 'src/keys/README.md': 'x\n'.repeat(41), 'src/keys/a.ts': '' },
      { 'src/keys/README.md': 'x', 'src/keys/signing/a.ts': '' },
    ],
    right: [{ 'src/keys/README.md': 'x\n'.repeat(40), 'src/keys/a.ts': '', 'src/server.ts': '' }],
  },
  {
    fact: 'nothing is typed any',
    rule: house.noAny,
    wrong: [
      { 'src/a.ts': 'const a: any = 1;' },
      { 'src/a.ts': 'f(x as any);' },
      { 'test/a.ts': 'const a: Array<any> = [];' },
      { 'src/a.ts': 'type A = Record<string, any>;' },
      { 'src/a.ts': 'function f(a: any, b: any[]): any {}' },
    ],
    right: [{ 'src/a.ts': `await Promise.any(list); const anyone: string = 'any'; // as any\n` }],
  },
  {
    fact: 'no check is silenced without its reason',
    rule: house.noSilencedChecks,
    wrong: [
      { 'src/a.ts': '// @ts-ignore because\n' },
      { 'src/a.ts': '// @ts-nocheck\n' },
      { 'src/a.ts': '// biome-ignore lint/a/b\n' },
      { 'src/a.ts': '// biome-ignore lint/a/b: x\n' },
    ],
    right: [
      {
        'src/a.ts': `// biome-ignore lint/suspicious/noConsole: the command line prints\nconst a = '// @ts-ignore';`,
      },
    ],
  },
];

describe('architecture', () => {
  const files = FOLDERS.flatMap(folder => {
    try {
      return readFolder(folder);
    } catch {
      return []; // a room that does not exist yet
    }
  });

  for (const { fact, rule, wrong, right } of CASES) {
    describe(fact, () => {
      it('holds in the repository', () => {
        expect(told(rule(files))).to.deep.equal([]);
      });
      it('control: planted violations are found', () => {
        for (const planted of wrong)
          expect(told(rule(plant(planted))), JSON.stringify(planted)).not.to.be.empty;
      });
      it('control: good code is left in peace', () => {
        for (const planted of right) {
          expect(told(rule(plant(planted))), JSON.stringify(planted)).to.deep.equal([]);
        }
      });
    });
  }

  it('reads every source file there is', () => {
    expect(files.filter(({ path }) => path.startsWith('src/')).length).to.be.greaterThan(3);
    expect(files.map(({ path }) => path)).to.include('test/architecture.test.ts');
  });

  it('the root holds the planned entries and nothing else', () => {
    expect(house.strangersInTheRoot(readdirSync(ROOT))).to.deep.equal([]);
    expect(house.strangersInTheRoot(['src', 'lib', 'notes.txt', '.ci', 'claviger-1.0.0.tgz'])).to.deep.equal([
      'lib',
      'notes.txt',
    ]);
  });

  it('development certificates never enter the repository', () => {
    expect(readFileSync(join(ROOT, '.gitignore'), 'utf8').split('\n')).to.include('certs/*.pem');
  });
});

describe('the scanner under the architecture rules', () => {
  const importsIn = (text: string) => findImports(text, readSource(text)).map(({ specifier }) => specifier);

  it('sees every form of import', () => {
    const text = [
      `import 'a';`,
      `import b from 'b';`,
      `import c, { type C } from "c";`,
      `import * as d from 'd';`,
      `import type { E } from 'e';`,
      `import type F from 'f';`,
      `import type from 'g';`,
      `export * from 'h'; export * as i from 'i'; export { j } from 'j'; export type { K } from 'k';`,
      `const l = await import('l'); const m = require('m');`,
      'import {\n  n,\n  // not from "x"\n} from "n";',
      `import data from './o.json' with { type: 'json' };`,
    ].join('\n');
    expect(importsIn(text).sort()).to.deep.equal([...'abcdefghijklmn'].concat('./o.json').sort());
  });

  it('sees none in comments, strings, templates and regular expressions', () => {
    const text = [
      `// import 'a';`,
      `/* import 'b'; */`,
      `const c = "import 'c'"; const d = 'import("d")';`,
      "const e = `import 'e' ${f('`', { g: `}` })} import 'g'`;",
      `const h = /import 'h'["'\`]/; const i = 4 / 2; const j = a[0] / b; const k = /[/"]/.test("import 'k'");`,
      `const l = { import: 'l' }; x.import('m');`,
    ].join('\n');
    expect(importsIn(text)).to.deep.equal([]);
  });

  it('keeps code inside templates, lengths and lines', () => {
    const text = 'const a = `x\n${Date.now()} y`; // z\nb;';
    const { code } = readSource(text);
    expect(code).to.have.lengthOf(text.length);
    expect(code).to.include('Date.now()').and.not.include('y`').and.not.include('z');
    expect(code.split('\n')).to.have.lengthOf(3);
  });
});
