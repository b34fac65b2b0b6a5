import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { createVerifier } from '../src/verifier/verify-access-token.js';
import { freePorts } from './cli/captured-run.js';
import { fetchNewestNode, NEWEST, NEWEST_NODE } from './support/newest-node.js';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '..');
interface DemoFacts {
  readonly issuer: string;
  readonly client_id: string;
  readonly client_secret: string;
  readonly resource: string;
}

describe(`Node.js ${NEWEST}, the newest with long-term support`, function () {
  this.timeout(240_000);
  let folder: string;
  let built: string;
  let demo: ChildProcess | undefined;
  let said = '';

  before(async function () {
    const reason = await fetchNewestNode();
    if (reason !== undefined) {
      process.stderr.write(`SKIPPED: Node.js ${NEWEST} is not tried: ${reason}\n`);
      return this.skip();
    }
    folder = mkdtempSync(join(tmpdir(), 'claviger-newest-node-'));
    // Inside the repository, where the built program finds its packages, and beside `dist`, which may be older.
    mkdirSync(join(ROOT, '.tmp'), { recursive: true });
    built = mkdtempSync(join(ROOT, '.tmp/newest-node-'));
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    await run(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', built]);
  });

  after(async () => {
    if (demo !== undefined && demo.exitCode === null && demo.signalCode === null) {
      demo.kill('SIGKILL');
      await once(demo, 'exit');
    }
    for (const path of [folder, built]) {
      if (path !== undefined) rmSync(path, { recursive: true, force: true });
    }
  });

  it('is the Node.js that the following tests run', async () => {
    expect((await run(NEWEST_NODE, ['--version'])).stdout).to.match(new RegExp(`^v${NEWEST}\\.`));
  });

  it('runs the built demo until it is ready, with nothing deprecated', async () => {
    const port = await freePorts();
    demo = spawn(NEWEST_NODE, ['--throw-deprecation', join(built, 'src/cli/main.js'), 'demo'], {
      cwd: folder,
      env: { PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    demo.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    while (!/^claviger: ready$/m.test(said)) {
      expect(demo.exitCode, 'the demo ended').to.equal(null);
      await new Promise(done => setTimeout(done, 20));
    }
  });

  it('issues a token that verifies with the published keys, and stops with 0', async () => {
    const facts = JSON.parse(readFileSync(join(folder, '.claviger/demo.json'), 'utf8')) as DemoFacts;
    const { issuer, resource, client_id, client_secret } = facts;
    const answer = await fetch(`${issuer}/oauth2/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
      headers: { authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}` },
    });
    const { access_token } = (await answer.json()) as { access_token: string };
    const claims = await createVerifier({ issuer, audience: resource }).verify(access_token);
    expect(claims).to.include({ iss: issuer, aud: resource, client_id });
    if (demo === undefined) throw new TypeError('no demo runs');
    const ended = once(demo, 'exit');
    demo.kill('SIGTERM');
    expect(await ended).to.deep.equal([0, null]);
  });
});
