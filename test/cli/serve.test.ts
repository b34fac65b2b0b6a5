import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect } from 'chai';
import { freePorts, freshFolder, resultOf, run, type Started, start } from './captured-run.js';

const RESOURCE = 'https://api.example.test/orders';

describe('claviger serve, token and doctor against a running server', () => {
  const folder = freshFolder();
  let at: { cwd: string; env: Record<string, string> };
  let server: Started;
  let credentials: readonly string[];
  let secret: string;
  let token: string;

  before(async () => {
    const port = await freePorts();
    at = { cwd: folder.path, env: { CLAVIGER_HTTP_PORT: String(port) } };
    server = start(['serve'], at);
    await server.saying('claviger: ready');
    await resultOf(['resource', 'create', '--identifier', RESOURCE, '--scope', 'orders.read'], at);
    const args = ['--name', 'x', '--resource', RESOURCE, '--scope', 'orders.read'];
    const client = await resultOf(['client', 'create', ...args], at);
    credentials = ['--client-id', String(client.client_id)];
    secret = String(client.client_secret);
    await resultOf(['resource', 'update', RESOURCE, '--introspector', String(client.client_id)], at);
  });
  after(async () => {
    server.stop();
    await server.ended;
    folder.remove();
  });

  it('gets a token with the secret from standard input, and prints nothing else', async () => {
    const { exitCode, stdout, stderr } = await run(['token', 'get', ...credentials], {
      ...at,
      stdin: `${secret}\n`,
    });
    expect(exitCode, stderr).to.equal(0);
    expect(stdout).to.match(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    token = stdout.trim();
  });

  it('gets a token with the secret from a file or from CLIENT_SECRET', async () => {
    writeFileSync(join(folder.path, 'secret'), `${secret}\n`, { mode: 0o600 });
    const more = ['--resource', RESOURCE, '--scope', 'orders.read'];
    const byFile = await resultOf(['token', 'get', ...credentials, ...more, '--secret-file', 'secret'], at);
    expect(byFile).to.include({ token_type: 'Bearer', scope: 'orders.read' });
    const env = { ...at.env, CLIENT_SECRET: secret };
    expect(await resultOf(['token', 'get', ...credentials], { ...at, env })).to.include.keys('access_token');
  });

  it('shows the words of a refusal and ends with 1', async () => {
    const wrong = await run(['token', 'get', ...credentials], { ...at, stdin: 'wrong' });
    expect(wrong.exitCode).to.equal(1);
    expect(wrong.stderr).to.include('invalid_client');
    expect((await run(['token', 'get', ...credentials], at)).exitCode).to.equal(2);
  });

  it('decodes a token, and verifies it only when asked', async () => {
    const plain = await resultOf(['token', 'decode'], { ...at, stdin: token });
    expect(plain.verified).to.equal(null);
    expect(plain.header).to.include({ typ: 'at+jwt' });
    expect(plain.claims).to.include({ aud: RESOURCE });
    expect(plain.times).to.have.keys('issued_at', 'expires_at');
    const verified = await resultOf(['token', 'decode', '--verify'], { ...at, stdin: token });
    expect(verified.verified).to.equal(true);
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    const refused = await run(['token', 'decode', '--verify', '--json'], { ...at, stdin: forged });
    expect(refused.exitCode).to.equal(1);
    expect(refused.json()).to.include({ verified: false });
    expect((await run(['token', 'decode'], { ...at, stdin: 'nonsense' })).exitCode).to.equal(1);
  });

  it('introspects a token, revokes it only with --yes, and sees it inactive', async () => {
    const from = ['--secret-file', 'secret'];
    const about = { ...at, stdin: token };
    expect(await resultOf(['token', 'introspect', ...credentials, ...from], about)).to.include({
      active: true,
    });
    const revoke = ['token', 'revoke', ...credentials, ...from];
    expect((await run(revoke, about)).exitCode).to.equal(2);
    expect(await resultOf([...revoke, '--dry-run'], about)).to.include({ revoked: false });
    expect(await resultOf([...revoke, '--yes'], about)).to.include({ revoked: true });
    expect(await resultOf(['token', 'introspect', ...credentials, ...from], about)).to.deep.equal({
      active: false,
    });
  });

  it('refuses to give a secret to whoever answers for another issuer (RFC 8414 §3.3)', async () => {
    const asked: string[] = [];
    const impostor = createServer((req, res) => {
      asked.push(String(req.method));
      const address = `http://localhost:${port}`;
      res.end(JSON.stringify({ issuer: 'https://elsewhere.test', token_endpoint: `${address}/token` }));
    });
    await new Promise<void>(resolve => impostor.listen(0, resolve));
    const address = impostor.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const args = ['token', 'get', ...credentials, '--issuer', `http://localhost:${port}`];
    const { exitCode } = await run(args, { ...at, stdin: secret });
    impostor.close();
    expect(exitCode).to.equal(1);
    expect(asked).to.deep.equal(['GET']);
  });

  it('doctor sees the issuer and its JWKS from outside', async () => {
    const { exitCode, json } = await run(['doctor', '--json'], at);
    const findings = json().checks as { id: string; severity: string; finding: string }[];
    expect(exitCode, JSON.stringify(findings)).to.equal(0);
    for (const id of ['issuer', 'jwks', 'signing_keys']) {
      expect(findings.find(each => each.id === id)?.severity, id).to.equal('ok');
    }
  });

  it('says which port is in use', async () => {
    const { exitCode, stderr } = await run(['serve'], at);
    expect(exitCode).to.equal(1);
    expect(stderr).to.include(at.env.CLAVIGER_HTTP_PORT).and.include('in use');
  });

  it('stops with 0 at the first signal; a later second one gives up at once', async () => {
    let passed = 0;
    const clock = { now: () => Date.now(), monotonic: () => performance.now() + passed };
    const port = await freePorts();
    const other = start(['serve'], { ...at, env: { CLAVIGER_HTTP_PORT: String(port) }, clock });
    await other.saying('claviger: ready');
    other.stop();
    other.stop();
    expect(other.abandoned, 'the same Ctrl-C twice').to.deep.equal([]);
    passed = 5_000;
    other.stop();
    expect(other.abandoned).to.deep.equal([1]);
    expect((await other.ended).exitCode).to.equal(0);
    expect(other.log.text).to.include('stopped');
  });
});
