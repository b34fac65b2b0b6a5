import { once } from 'node:events';
import { expect } from 'chai';
import { freePorts, freshFolder } from './captured-run.js';
import { type Child, spawnCli } from './child-run.js';

async function endOf({ child }: Child): Promise<number | null> {
  await once(child, 'close');
  return child.exitCode;
}

describe('the command line as a program', function () {
  this.timeout(60_000);
  const folder = freshFolder();
  const at = { cwd: folder.path };
  after(() => folder.remove());

  it('hands its exit code to the shell: 0, 1 and 2', async () => {
    const runs = [
      ['config', 'validate'],
      ['client', 'list'],
      ['client', 'destroy'],
    ];
    const codes = await Promise.all(runs.map(args => endOf(spawnCli(args, at))));
    expect(codes).to.deep.equal([0, 1, 2]);
  });

  it('reads standard input and its environment', async () => {
    const program = spawnCli(['token', 'decode', '--json'], at);
    program.child.stdin.end(`${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.\n`);
    expect(await endOf(program)).to.equal(0);
    expect(JSON.parse(program.said())).to.deep.include({ header: { alg: 'none' }, claims: {} });
    const other = spawnCli(['config', 'print'], { ...at, env: { CLAVIGER_LOG_LEVEL: 'debug' } });
    expect(await endOf(other)).to.equal(0);
    expect(other.said()).to.include('CLAVIGER_LOG_LEVEL');
  });

  it('never waits for an answer without a terminal', async () => {
    const program = spawnCli(['init'], at);
    expect(await endOf(program)).to.equal(0);
    const adopt = spawnCli(['database', 'adopt', '--issuer', 'https://id.example.test'], at);
    expect(await endOf(adopt)).to.equal(2);
    expect(adopt.complaints()).to.include('--yes');
  });

  it('serves until SIGTERM and then ends with 0', async () => {
    const port = await freePorts();
    const server = spawnCli(['serve'], {
      ...at,
      env: { CLAVIGER_HTTP_PORT: String(port), CLAVIGER_LOG_FORMAT: 'json' },
    });
    while (!server.said().includes('claviger: ready')) await once(server.child.stdout, 'data');
    const answer = await fetch(`http://localhost:${port}/livez`);
    expect(answer.status).to.equal(200);
    server.child.kill('SIGTERM');
    expect(await endOf(server)).to.equal(0);
    const ready = server
      .said()
      .split('\n')
      .filter(line => line.includes('server.ready'))
      .map(line => JSON.parse(line) as Record<string, unknown>);
    expect(ready).to.have.length(1);
    expect(ready[0]).to.include({ port, operations_port: port + 1 });
    expect(server.said()).to.include('server.stopped');
  });

  it('does not outlive npm, whose end reaches only the shell in between', async () => {
    const port = await freePorts();
    const env = { CLAVIGER_HTTP_PORT: String(port), npm_lifecycle_event: 'start' };
    const server = spawnCli(['serve'], { ...at, env, isBelowShell: true });
    while (!server.said().includes('claviger: ready')) await once(server.child.stdout, 'data');
    server.child.kill('SIGTERM');
    // Closed only when the server below has let go of its standard output too.
    await endOf(server);
    expect(server.said()).to.include('server.stopped');
  });
});
