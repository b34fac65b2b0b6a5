import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect } from 'chai';
import { createVerifier } from '../../src/verifier/verify-access-token.js';
import { freePorts, freshFolder } from './captured-run.js';
import { type Child, spawnCli } from './child-run.js';

interface Demo {
  readonly child: ChildProcess;
  readonly said: () => string;
}

interface Facts {
  readonly issuer: string;
  readonly client_id: string;
  readonly client_secret: string;
  readonly resource: string;
  readonly scope: string;
  readonly user: { readonly email: string; readonly password: string };
  readonly redirect_client: { readonly client_id: string; readonly redirect_uris: readonly string[] };
}

function spawnDemo(cwd: string, port: number): Child {
  return spawnCli(['demo'], { cwd, env: { PORT: String(port) } });
}

async function startDemo(cwd: string, port: number): Promise<Demo> {
  const { child, said, complaints } = spawnDemo(cwd, port);
  while (!/^claviger: ready$/m.test(said())) {
    if (child.exitCode !== null) throw new Error(`the demo ended: ${complaints()}`);
    await new Promise(done => setTimeout(done, 20));
  }
  return { child, said };
}

async function stopped({ child }: Demo, signal: NodeJS.Signals): Promise<number | null> {
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
  return child.exitCode;
}

describe('the demo', function () {
  this.timeout(60_000);
  const folder = freshFolder();
  const file = join(folder.path, '.claviger/demo.json');
  const facts = () => JSON.parse(readFileSync(file, 'utf8')) as Facts;
  let port: number;
  let demo: Demo | undefined;
  let first: Facts;

  before(async () => {
    port = await freePorts();
    demo = await startDemo(folder.path, port);
    first = facts();
  });
  after(async () => {
    if (demo !== undefined && demo.child.exitCode === null) await stopped(demo, 'SIGKILL');
    folder.remove();
  });

  it('writes its facts for programs, readable by their owner only', () => {
    const names = ['issuer', 'client_id', 'client_secret', 'resource', 'scope', 'user', 'redirect_client'];
    expect(first).to.have.all.keys(...names);
    expect(first.redirect_client.redirect_uris).to.include('http://127.0.0.1/callback');
    expect(first.redirect_client).to.not.have.property('client_secret');
    expect(first).to.include({ issuer: `http://localhost:${port}`, scope: 'orders.read orders.write' });
    expect(statSync(file).mode & 0o777).to.equal(0o600);
    expect(statSync(join(folder.path, '.claviger/root-key')).mode & 0o777).to.equal(0o600);
  });

  it('prints the client, the proof of a verified token and, last, that it is ready', () => {
    const said = demo?.said() ?? '';
    expect(said).to.include(first.client_secret).and.include(`aud          ${first.resource}`);
    expect(said).to.include(`${first.issuer}/account`).and.include(first.user.email);
    expect(said).to.include(first.user.password).and.include(first.redirect_client.client_id);
    expect(said.trimEnd().split('\n').at(-1)).to.equal('claviger: ready');
  });

  it('prints a curl line that a shell runs as it stands and that gets a token', async function () {
    if (spawnSync('curl', ['--version']).error !== undefined) {
      process.stderr.write('SKIPPED: there is no curl on this machine, so its line is not tried\n');
      this.skip();
    }
    const line = /^curl .+$/m.exec(demo?.said() ?? '')?.[0] ?? '';
    const answer = JSON.parse(execFileSync('sh', ['-c', line], { encoding: 'utf8' })) as {
      access_token: string;
    };
    const verifier = createVerifier({ issuer: first.issuer, audience: first.resource });
    const claims = await verifier.verify(answer.access_token);
    expect(claims).to.include({ client_id: first.client_id, scope: first.scope });
  });

  it('says which port is in use, and how to move', async () => {
    const second = spawnDemo(folder.path, port);
    await once(second.child, 'close');
    expect(second.child.exitCode).to.equal(1);
    expect(second.complaints()).to.include(String(port)).and.include('PORT=');
  });

  it('stops with 0 at Ctrl-C and has the same clients, secret and person at the next start, moved or not', async () => {
    if (demo !== undefined) expect(await stopped(demo, 'SIGINT')).to.equal(0);
    port = await freePorts();
    demo = await startDemo(folder.path, port);
    expect(facts()).to.deep.equal({ ...first, issuer: `http://localhost:${port}` });
  });

  it('makes a new secret for the same client, and a new password for the same person, when the file is lost', async () => {
    if (demo !== undefined) expect(await stopped(demo, 'SIGTERM')).to.equal(0);
    rmSync(file);
    demo = await startDemo(folder.path, port);
    expect(facts().client_id).to.equal(first.client_id);
    expect(facts().client_secret).to.not.equal(first.client_secret);
    expect(facts().user.email).to.equal(first.user.email);
    expect(facts().user.password).to.not.equal(first.user.password);
    expect(facts().redirect_client).to.deep.equal(first.redirect_client);
  });

  it('refuses a PORT that is none', async () => {
    const wrong = spawnDemo(folder.path, 0);
    await once(wrong.child, 'close');
    expect(wrong.child.exitCode).to.equal(2);
  });

  it('says so when the metrics port alone is taken', async () => {
    const free = await freePorts();
    const blocker = createServer();
    await new Promise<void>(done => blocker.listen(free + 1, '127.0.0.1', done));
    const blocked = spawnDemo(folder.path, free);
    await once(blocked.child, 'close');
    blocker.close();
    expect(blocked.child.exitCode).to.equal(1);
    expect(blocked.complaints()).to.include(String(free + 1));
  });
});
