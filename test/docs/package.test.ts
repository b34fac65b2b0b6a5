import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { ROOT } from './fenced-blocks.js';

interface Packed {
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

function programOf(name: string): string {
  return join(ROOT, 'node_modules/.bin', name);
}

describe('the package', function () {
  this.timeout(60_000);
  let files: Packed['files'];

  before(() => {
    // Whoever runs this file alone may have no build, or an old one.
    if (process.env.IS_BUILT !== '1') {
      execFileSync(programOf('tsc'), ['-p', 'tsconfig.build.json'], { cwd: ROOT });
    }
    const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    // A list, or by newer versions of npm an object by name.
    files = (Object.values(JSON.parse(output) as Record<string, Packed>)[0] as Packed).files;
  });

  it('holds the built program, what it is and under which terms, and nothing of the tests', () => {
    const paths = files.map(({ path }) => path);
    expect(paths).to.include.members([
      'package.json',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'SECURITY.md',
      'dist/src/cli/main.js',
      'dist/src/server.js',
      'dist/db/migrations/all.js',
      'views/layout.eta',
      'views/messages/de.json',
      'views/assets/app.css',
      ...readdirSync(join(ROOT, 'src/verifier'))
        .filter(name => name.endsWith('.ts'))
        .flatMap(name => ['js', 'd.ts'].map(end => `dist/src/verifier/${name.replace(/ts$/, end)}`)),
    ]);
    const strange = paths.filter(path =>
      /(^|\/)(test|\.claviger|\.tmp)\/|\.(map|pem|sqlite)$|\.test\./.test(path),
    );
    expect(strange).to.deep.equal([]);
  });

  it('is one that publint finds nothing wrong with', () => {
    const { status, stdout, stderr } = spawnSync(programOf('publint'), ['--strict'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect(status, `${stdout}\n${stderr}`).to.equal(0);
  });

  it('names every package that its program imports, each at one exact version', () => {
    const { dependencies, devDependencies } = JSON.parse(
      readFileSync(join(ROOT, 'package.json'), 'utf8'),
    ) as Record<string, Record<string, string>>;
    const imported = new Set<string>();
    for (const name of readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue;
      const source = readFileSync(join(ROOT, 'src', name), 'utf8');
      for (const [, from = ''] of source.matchAll(
        /^(?:import|export) (?!type\b)[^;]*? ?from '([^.'][^']*)'/gms,
      )) {
        if (!from.startsWith('node:')) imported.add(/^(?:@[^/]+\/)?[^/]+/.exec(from)?.[0] ?? from);
      }
    }
    expect([...imported]).to.include.members(['jose', 'oidc-provider', 'helmet']);
    for (const name of imported) expect(dependencies, name).to.have.property(name);
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      expect(version, name).to.match(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
    }
  });
});

describe('deploy/', () => {
  const read = (name: string) => readFileSync(join(ROOT, 'deploy', name), 'utf8');

  it('starts what the build makes, with a root key that only the service sees', () => {
    expect(read('claviger.service')).to.include('/dist/src/cli/main.js serve\n');
    expect(read('claviger.service')).to.match(/^LoadCredential=root-key:/m);
    expect(read('claviger.service')).to.match(/^Environment=CLAVIGER_ROOT_KEY=credential:root-key$/m);
    expect(read('Dockerfile'))
      .to.include('/dist/src/cli/main.js"]')
      .and.match(/^USER node$/m);
  });

  it('is a unit that systemd accepts', function () {
    const found = spawnSync('systemd-analyze', ['--version']);
    if (found.error !== undefined) {
      process.stderr.write(
        'SKIPPED: there is no systemd-analyze on this machine, so the unit is not judged\n',
      );
      return this.skip();
    }
    const judged = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--threshold=30', join(ROOT, 'deploy/claviger.service')],
      { encoding: 'utf8' },
    );
    expect(judged.status, `${judged.stdout}\n${judged.stderr}`).to.equal(0);
    expect(judged.stderr).to.not.match(/Unknown|Failed|ignoring/i);
  });

  it('copies into the image every folder that the build reads, and no other', () => {
    const { include } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.build.json'), 'utf8')) as {
      include: string[];
    };
    const copied = [...read('Dockerfile').matchAll(/^COPY (\w+) \1$/gm)].map(([, folder]) => folder);
    expect(copied).to.have.members(include);
    // Templates are read as they are.
    expect(read('Dockerfile')).to.include('\nCOPY views /opt/claviger/views\n');
    for (const folder of [...include, 'views']) {
      expect(read('Dockerfile.dockerignore')).to.include(`\n!${folder}\n`);
    }
    expect(read('Dockerfile.dockerignore'))
      .to.match(/^\*$/m)
      .and.match(/\ncerts\/\*\.pem\n/);
  });
});
