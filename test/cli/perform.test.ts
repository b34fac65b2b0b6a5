import { createServer } from 'node:http';
import { expect } from 'chai';
import { freePort } from '../support/chromium.js';
import { freshSqlite } from '../support/databases.js';
import { FormBrowser } from '../support/form-browser.js';
import { ISSUER, RESOURCE } from '../support/nodes.js';
import type { FreshDatabase } from '../support/postgres.js';
import { freshFolder, listOf, type Run, resultOf, run, type Started, start } from './captured-run.js';

const ADA = { email: 'ada@example.test', password: 'ferret lamp under bridge' };
const MOST_PAGES = 8;

interface Exchange {
  readonly step: string;
  readonly request: string;
  readonly parameters: Record<string, string>;
  readonly status?: number;
  readonly answer?: Record<string, unknown>;
}

/** Every step, in its order; the whole of what a program reads. */
function exchangesOf(done: Run): Exchange[] {
  return done.json().exchanges as Exchange[];
}

describe('claviger perform', function () {
  this.timeout(60_000);
  const folder = freshFolder();
  let database: FreshDatabase;
  let server: Started;
  let issuer: string;
  let at: { cwd: string; env: Record<string, string> };
  const clients: Record<'native' | 'web' | 'machine', { id: string; secret: string }> = {
    native: { id: '', secret: '' },
    web: { id: '', secret: '' },
    machine: { id: '', secret: '' },
  };
  let webRedirect: string;

  async function registered(...args: string[]): Promise<{ id: string; secret: string }> {
    const access = ['--resource', RESOURCE, '--scope', 'orders.read'];
    const { client_id, client_secret } = await resultOf(['client', 'create', ...args, ...access], at);
    return { id: String(client_id), secret: String(client_secret ?? '') };
  }

  before(async () => {
    database = await freshSqlite();
    const port = await freePort();
    issuer = ISSUER.replace('4400', String(port));
    at = {
      cwd: folder.path,
      env: {
        CLAVIGER_DATABASE_URL: database.url,
        CLAVIGER_HTTP_PORT: String(port),
        CLAVIGER_HTTP_OPERATIONS_PORT: '0',
        CLAVIGER_LOG_FORMAT: 'json',
      },
    };
    server = start(['serve'], at);
    await server.saying('claviger: ready');
    await resultOf(['resource', 'create', '--identifier', RESOURCE, '--scope', 'orders.read'], at);
    await resultOf(['user', 'create', '--email', ADA.email, '--email-verified'], {
      ...at,
      stdin: ADA.password,
    });
    webRedirect = `http://localhost:${await freePort()}/back?from=claviger`;
    clients.native = await registered(
      '--name',
      'Tool',
      '--public',
      '--native',
      '--redirect-uri',
      'http://127.0.0.1/callback',
      '--grant',
      'authorization_code',
      'refresh_token',
      'urn:ietf:params:oauth:grant-type:device_code',
    );
    clients.web = await registered('--name', 'Shop', '--redirect-uri', webRedirect, '--require-par');
    clients.machine = await registered('--name', 'Worker');
  });

  after(async () => {
    server?.stop();
    await server?.ended;
    await database?.drop();
    folder.remove();
  });

  function browser(): FormBrowser {
    return new FormBrowser({ issuer, pick: () => issuer.replace('localhost', '127.0.0.1') });
  }

  async function walk(visitor: FormBrowser, answer: 'allow' | 'deny' = 'allow'): Promise<void> {
    for (let count = 0; count < MOST_PAGES && visitor.landing.departure === undefined; count += 1) {
      if (visitor.has('input[name="password"]')) {
        await visitor.submit('form:has(input[name="password"])', ADA);
      } else if (visitor.has(`button[value="${answer}"]`)) {
        const button = `button[value="${answer}"]`;
        await visitor.submit(`form:has(${button})`, {}, { button });
      } else return;
    }
  }

  /** Goes to the address that the command prints, and back to the command as the browser does. */
  async function follow(command: Started, answer: 'allow' | 'deny' = 'allow'): Promise<Run> {
    const [, address = ''] = await command.telling(/Open this address[^\n]*\n\s+(\S+)/);
    const visitor = browser();
    await visitor.get(address);
    await walk(visitor, answer);
    await fetch(visitor.landing.departure?.url ?? '');
    return command.ended;
  }

  const native = (...args: string[]) =>
    start(['perform', 'code', '--client-id', clients.native.id, '--json', ...args], at);

  it('code: shows each request and what it brings, from the sign-in to verified claims', async () => {
    const done = await follow(native('--scope', 'openid', 'email', 'orders.read', '--resource', RESOURCE));
    expect(done.exitCode, done.stderr).to.equal(0);
    const json = done.json();
    expect(json.id_token_claims).to.include({ iss: issuer, aud: clients.native.id });
    expect(json.access_token_claims).to.include({ iss: issuer, client_id: clients.native.id });
    expect(json.userinfo).to.include({ email: ADA.email });
    expect(exchangesOf(done).map(({ step }) => step)).to.deep.equal([
      'Read what the issuer offers',
      'Open this address in a browser and sign in',
      'The browser came back',
      'Exchange the code',
      'Ask who the person is',
    ]);
    // The person reads the same as it happens.
    expect(done.stderr).to.include('4. Exchange the code').and.include('grant_type = authorization_code');
  });

  it('code: shortens everything that opens something', async () => {
    const done = await follow(native('--scope', 'openid', 'offline_access', '--refresh'));
    expect(done.exitCode, done.stderr).to.equal(0);
    const [, , back, exchange, refresh] = exchangesOf(done);
    for (const shown of [
      back?.parameters.code,
      exchange?.parameters.code,
      exchange?.parameters.code_verifier,
      exchange?.answer?.access_token,
      exchange?.answer?.id_token,
      refresh?.parameters.refresh_token,
      refresh?.answer?.refresh_token,
    ]) {
      expect(shown).to.match(/^.{8}… \(\d+ characters\)$/);
    }
    // A JWT, or a bare secret of 256 bits, appears nowhere; the state and the challenge are no secrets.
    expect(done.stdout + done.stderr).to.not.match(/eyJ[\w-]{20,}\.[\w-]+\.[\w-]+/);
  });

  it('code: pushes the request of a confidential client and takes the answer at the address it registered', async () => {
    const command = start(
      ['perform', 'code', '--client-id', clients.web.id, '--par', '--redirect-uri', webRedirect, '--json'],
      { ...at, env: { ...at.env, CLIENT_SECRET: clients.web.secret } },
    );
    const done = await follow(command);
    expect(done.exitCode, done.stderr).to.equal(0);
    const [, push, open, back] = exchangesOf(done);
    expect(push).to.include({ step: 'Push the request', status: 201 });
    expect(Object.keys(open?.parameters ?? {})).to.have.members(['client_id', 'request_uri']);
    expect(back?.request).to.equal(webRedirect);
    expect(done.stdout + done.stderr).to.not.include(clients.web.secret);
  });

  it('code: says at once what the server says of an address that is not registered', async () => {
    const elsewhere = `http://localhost:${await freePort()}/elsewhere`;
    const done = await run(
      ['perform', 'code', '--client-id', clients.native.id, '--redirect-uri', elsewhere],
      at,
    );
    expect(done.exitCode).to.equal(1);
    expect(done.stderr).to.include('The request was refused (400): invalid_redirect_uri.');
    expect(done.stdout + done.stderr).to.not.include('Open this address');
  });

  it('audit list --request finds what the number of a refusal stands for', async () => {
    const elsewhere = `http://localhost:${await freePort()}/elsewhere`;
    const done = await run(
      ['perform', 'code', '--client-id', clients.native.id, '--redirect-uri', elsewhere],
      at,
    );
    const [, requestId = ''] = /--request (\S+)/.exec(done.stderr) ?? [];
    const events = await listOf(['audit', 'list', '--request', requestId], at);
    expect(events.map(({ event, request_id }) => [event, request_id])).to.deep.equal([
      ['authorization.refused', requestId],
    ]);
  });

  it('code: exits with 1 and the server’s words when the person says no', async () => {
    const done = await follow(native('--prompt', 'consent'), 'deny');
    expect(done.exitCode).to.equal(1);
    expect(done.stderr).to.include('The sign-in was refused. access_denied');
    expect(done.stdout).to.equal('');
  });

  it('code: takes no answer of another issuer or to another request (RFC 9207 §2.4, RFC 6749 §10.12)', async () => {
    for (const [forged, words] of [
      [{ iss: 'https://evil.example' }, 'names another issuer'],
      [{ state: 'forged' }, 'belongs to another request'],
    ] as const) {
      const command = native();
      const [, address = ''] = await command.telling(/Open this address[^\n]*\n\s+(\S+)/);
      const asked = new URL(address).searchParams;
      const back = new URL(asked.get('redirect_uri') ?? '');
      back.search = new URLSearchParams({
        code: 'x',
        iss: issuer,
        state: asked.get('state') ?? '',
        ...forged,
      }).toString();
      await fetch(back);
      const done = await command.ended;
      expect(done.exitCode).to.equal(1);
      expect(done.stderr).to.include(words);
    }
  });

  it('device: shows the code, asks as often as it may, and ends with who it was', async () => {
    const command = start(
      ['perform', 'device', '--client-id', clients.native.id, '--scope', 'openid', 'email', '--json'],
      at,
    );
    const [, address = '', code = ''] = await command.telling(/Open (\S+) and enter (\S+)/);
    const visitor = browser();
    await visitor.get(address);
    await visitor.submit('form:has(input[name="user_code"])', { user_code: code });
    await visitor.submit('form:has([name="confirm"])', {}, { button: '[name="confirm"]' });
    await walk(visitor);
    const done = await command.ended;
    expect(done.exitCode, done.stderr).to.equal(0);
    expect(done.json().userinfo).to.include({ email: ADA.email });
    const asked = exchangesOf(done).find(({ step }) => step === 'Ask for a device code');
    expect(asked?.answer?.device_code).to.match(/^.{8}… /);
    expect(asked?.answer?.user_code).to.equal(code);
  });

  it('client-credentials: gets a token with a secret from a file, and says what is missing without one', async () => {
    const { id, secret } = clients.machine;
    const command = ['perform', 'client-credentials', '--client-id', id];
    const done = await run([...command, '--json'], { ...at, env: { ...at.env, CLIENT_SECRET: secret } });
    expect(done.exitCode, done.stderr).to.equal(0);
    expect(done.json().access_token_claims).to.include({ sub: id, aud: RESOURCE, scope: 'orders.read' });
    expect(done.json().id_token_claims).to.equal(null);
    expect(done.stdout + done.stderr).to.not.include(secret);
    const without = await run(command, at);
    expect(without.exitCode).to.equal(2);
    expect(without.stderr).to.include('--secret-file').and.include('CLIENT_SECRET');
    const wrong = await run(command, { ...at, env: { ...at.env, CLIENT_SECRET: clients.web.secret } });
    expect(wrong.exitCode).to.equal(1);
    expect(wrong.stderr).to.include('invalid_client');
  });

  it('takes no secret as an argument, and for a public client not that of the environment', async () => {
    const typed = await run(
      [
        'perform',
        'client-credentials',
        '--client-id',
        clients.machine.id,
        '--secret',
        clients.machine.secret,
      ],
      at,
    );
    expect(typed.exitCode).to.equal(2);
    expect(typed.stderr).to.not.include(clients.machine.secret);
    const command = start(['perform', 'code', '--client-id', clients.native.id, '--public', '--json'], {
      ...at,
      env: { ...at.env, CLIENT_SECRET: clients.machine.secret },
    });
    expect((await follow(command)).exitCode).to.equal(0);
  });

  it('refuses a redirect elsewhere, and metadata of another issuer (RFC 8414 §3.3)', async () => {
    const elsewhere = await run(
      ['perform', 'code', '--client-id', 'cl_x', '--redirect-uri', 'https://rp.example.test/callback'],
      at,
    );
    expect(elsewhere.exitCode).to.equal(2);
    expect(elsewhere.stderr).to.include('an http address of this machine');
    const imposter = createServer((_req, res) => res.end(JSON.stringify({ issuer })));
    await new Promise<void>(done => imposter.listen(0, '127.0.0.1', done));
    const address = imposter.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const done = await run(
      ['perform', 'device', '--client-id', 'cl_x', '--issuer', `http://127.0.0.1:${port}`],
      at,
    );
    imposter.close();
    expect(done.exitCode).to.equal(1);
    expect(done.stderr).to.include('belongs to');
  });

  it('explains each flow by --help', async () => {
    for (const flow of ['code', 'device', 'client-credentials']) {
      const { exitCode, stdout } = await run(['perform', flow, '--help'], at);
      expect(exitCode).to.equal(0);
      expect(stdout).to.include('--client-id').and.include('--secret-file');
    }
  });
});
