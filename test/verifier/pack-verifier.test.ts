import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { AUDIENCE, IssuerServer, makeKey, makeToken, TestClock } from './issuer-server.js';
import { assembleVerifier } from './pack-verifier.js';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');
const MODULES = ['errors', 'express', 'fastify', 'introspect', 'koa', 'scopes', 'verify-access-token'];

interface Tree {
  readonly dependencies?: Readonly<Record<string, Tree>>;
}

function namesIn({ dependencies = {} }: Tree): string[] {
  return Object.entries(dependencies).flatMap(([name, tree]) => [name, ...namesIn(tree)]);
}

describe('@claviger/verifier, installed from its tarball in an empty folder', function () {
  this.timeout(120_000);
  let folder: string;
  let house: string;
  let packed: readonly string[];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'claviger-verifier-'));
    const source = join(folder, 'package');
    await assembleVerifier(source);
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: source });
    const [report] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
    packed = report?.files.map(({ path }) => path) ?? [];
    house = join(folder, 'house');
    await mkdir(house);
    await writeFile(join(house, 'package.json'), '{ "name": "house", "private": true, "type": "module" }');
    const install = ['install', '--no-audit', '--no-fund', join(folder, report?.filename ?? '')];
    try {
      await run('npm', [...install, '--offline'], { cwd: house });
    } catch {
      // npm's cache may be empty on this machine.
      await run('npm', [...install, '--prefer-offline'], { cwd: house });
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('brings jose and nothing else', async () => {
    const { stdout } = await run('npm', ['ls', '--all', '--json'], { cwd: house });
    expect(namesIn(JSON.parse(stdout) as Tree)).to.deep.equal(['@claviger/verifier', 'jose']);
  });

  it('holds code, types, README and licence, no tests and no configuration', () => {
    expect(packed).to.include.members(['LICENSE', 'README.md', 'package.json', 'lib/koa.js', 'lib/koa.d.ts']);
    expect(
      packed.filter(path => !/^(?:lib\/[a-z-]+\.(?:js|d\.ts)|LICENSE|README\.md|package\.json)$/.test(path)),
    ).to.deep.equal([]);
  });

  it('has our version and allows our jose', async () => {
    const ours = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    const theirs = JSON.parse(
      await readFile(join(house, 'node_modules/@claviger/verifier/package.json'), 'utf8'),
    );
    expect(theirs.version).to.equal(ours.version);
    expect(theirs.dependencies).to.deep.equal({ jose: `^${ours.dependencies.jose}` });
  });

  it('loads each of its modules and verifies a token over HTTP', async () => {
    const server = await IssuerServer.start();
    try {
      const key = await makeKey('ES256', 'k');
      server.keys = [key.jwk];
      const clock = new TestClock();
      clock.at = Date.now();
      const script = join(house, 'verify.js');
      await writeFile(
        script,
        `import { createVerifier, VerificationError } from '@claviger/verifier';
        for (const name of ${JSON.stringify(MODULES)}) await import('@claviger/verifier/' + name);
        const [issuer, audience, token] = process.argv.slice(2);
        const verifier = createVerifier({ issuer, audience });
        const { sub } = await verifier.verify(token);
        const refused = await verifier.verify(token + 'AAAA').catch(error => error);
        console.log(JSON.stringify({ sub, code: refused instanceof VerificationError && refused.code }));`,
      );
      const token = await makeToken(key, server.issuer, clock);
      const { stdout } = await run(process.execPath, [script, server.issuer, AUDIENCE, token], {
        cwd: house,
      });
      expect(JSON.parse(stdout)).to.deep.equal({ sub: 'cl_service', code: 'signature_invalid' });
    } finally {
      await server.close();
    }
  });

  it('its types compile in a strict program without Node’s types or any framework’s', async () => {
    await writeFile(
      join(house, 'use.ts'),
      `import { createVerifier, type AccessTokenClaims } from '@claviger/verifier';
      import { requireAccessToken } from '@claviger/verifier/koa';
      const verifier = createVerifier({ issuer: 'https://as.example', audience: 'https://api.example' });
      export const claims: Promise<AccessTokenClaims> = verifier.verify('a.b.c');
      export const middleware = requireAccessToken(verifier, { scopes: ['orders:read'] });`,
    );
    const compilerOptions = {
      strict: true,
      noEmit: true,
      module: 'nodenext',
      target: 'es2023',
      lib: ['es2023', 'dom'],
      types: [],
      skipLibCheck: false,
      exactOptionalPropertyTypes: true,
    };
    await writeFile(join(house, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }));
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', house]);
  });
});
