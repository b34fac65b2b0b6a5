import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { freePorts } from '../cli/captured-run.js';
import { blocksOf, DOCUMENTS, ROOT, scriptOf } from './fenced-blocks.js';
import { type RunningDemo, startDemo, TSX } from './running-demo.js';

const SNIPPETS = DOCUMENTS.flatMap(document => blocksOf(document)).filter(
  ({ language }) => language === 'ts',
);

/** Runs a resource server as a document shows it, in the demo's folder. */
async function started(demo: RunningDemo, path: string, port: number): Promise<ChildProcess> {
  const { PATH = '' } = process.env;
  const child = spawn(process.execPath, ['--import', TSX, path], {
    cwd: demo.path,
    env: { PATH },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${path} ended with ${child.exitCode}`);
    const isListening = await fetch(`http://localhost:${port}/orders`).then(
      () => true,
      () => false,
    );
    if (isListening) return child;
    await new Promise(done => setTimeout(done, 20));
  }
}

describe('the resource servers that the documents show', function () {
  this.timeout(120_000);
  let demo: RunningDemo;
  let folder: string;
  const fileOf = (mark: string) => join(folder, `${mark}.ts`);

  before(async () => {
    demo = await startDemo();
    // Inside the repository, where the frameworks are installed; `claviger/verifier` is the source, as it will be built.
    mkdirSync(join(ROOT, '.tmp'), { recursive: true });
    folder = mkdtempSync(join(ROOT, '.tmp/shown-verifiers-'));
    for (const { mark, text } of SNIPPETS) {
      const source = text
        .replaceAll("'claviger/verifier'", "'../../src/verifier/verify-access-token.js'")
        .replaceAll(/'claviger\/verifier\/([a-z-]+)'/g, "'../../src/verifier/$1.js'");
      writeFileSync(fileOf(mark), source);
    }
  });
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await demo.stop();
  });

  it('are one for each framework, for introspection and for another library', () => {
    const kinds = ['express', 'koa', 'fastify', 'plain', 'introspection', 'other'].map(
      kind => `verifier-${kind}`,
    );
    expect(SNIPPETS.map(({ mark }) => mark)).to.have.members(kinds);
  });

  it('have no type error', () => {
    const project = join(folder, 'tsconfig.json');
    const types = { extends: '../../tsconfig.json', compilerOptions: { types: ['node'] }, include: ['*.ts'] };
    writeFileSync(project, JSON.stringify(types));
    const tsc = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', project], { encoding: 'utf8' });
    expect(tsc.stdout).to.equal('');
    expect(tsc.status).to.equal(0);
  });

  for (const { mark, document, line } of SNIPPETS) {
    it(`answer 401 without a token and 200 with one: ${mark} (${document}:${line})`, async () => {
      if (mark === 'verifier-introspection') {
        const made = await demo.run(scriptOf(document, 'demo'));
        expect(made.exitCode, made.stderr).to.equal(0);
      }
      const port = await freePorts();
      const shown = readFileSync(fileOf(mark), 'utf8');
      writeFileSync(fileOf(mark), demo.here(shown).replaceAll(/\b3000\b/g, String(port)));
      const child = await started(demo, fileOf(mark), port);
      try {
        const ask = (headers: Record<string, string>) =>
          fetch(`http://localhost:${port}/orders`, { headers });
        const refused = await ask({});
        expect(refused.status).to.equal(401);
        expect(refused.headers.get('www-authenticate')).to.match(/^Bearer/);
        const token = await demo.token();
        const accepted = await ask({ authorization: `Bearer ${token}` });
        expect(accepted.status, await accepted.text()).to.equal(200);
        const [head, payload, signature = ''] = token.split('.');
        const forged = [head, payload, `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`].join(
          '.',
        );
        expect((await ask({ authorization: `Bearer ${forged}` })).status).to.equal(401);
      } finally {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    });
  }
});
