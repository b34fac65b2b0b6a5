import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { clientSecret } from '../../src/crypto/random-id.js';
import { freshFolder, resultOf, run } from './captured-run.js';

describe('the command line', () => {
  const folder = freshFolder();
  const at = { cwd: folder.path };
  after(() => folder.remove());

  it('explains itself on stdout and ends with 0', async () => {
    const { exitCode, stdout, stderr } = await run(['--help'], at);
    expect(exitCode).to.equal(0);
    expect(stderr).to.equal('');
    for (const noun of [
      'init',
      'serve',
      'demo',
      'migrate',
      'doctor',
      'resource',
      'client',
      'key',
      'token',
      'audit',
    ]) {
      expect(stdout).to.include(`  ${noun}`);
    }
  });

  it('tells its version', async () => {
    const { exitCode, stdout } = await run(['--version'], at);
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(/^\d+\.\d+\.\d+/);
  });

  for (const [fact, args] of [
    ['an unknown noun', ['clients', 'list']],
    ['an unknown verb', ['client', 'destroy']],
    ['an unknown option', ['client', 'list', '--all']],
    ['a missing argument', ['client', 'show']],
    ['a missing option', ['client', 'create']],
    [
      'a value out of a closed list',
      ['resource', 'create', '--identifier', 'https://a.test', '--alg', 'HS256'],
    ],
    ['something that is no duration', ['client', 'secret', 'add', 'cl_x', '--expires-in', 'soon']],
    ['a setting without a value', ['config', 'print', '--set', 'log.level']],
    [
      'a public client that proves something',
      ['client', 'create', '--name', 'x', '--public', '--auth', 'client_secret_post'],
    ],
    ['everybody and a group', ['client', 'create', '--name', 'x', '--allow-all', '--allow-group', 'staff']],
    [
      'words for a scope without a language',
      ['resource', 'create', '--identifier', 'https://a.test', '--scope-text', 'orders.read=Read'],
    ],
  ] as const) {
    it(`ends with 2 and says why on stderr, for ${fact}`, async () => {
      const { exitCode, stdout, stderr } = await run(args, at);
      expect(exitCode).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr).to.not.equal('');
    });
  }

  it('ends with 2 for a wrong configuration and names every fault at once', async () => {
    const env = { CLAVIGER_LOG_LEVEL: 'loud', CLAVIGER_HTTP_PROT: '1' };
    const { exitCode, stderr } = await run(['client', 'list'], { ...at, env });
    expect(exitCode).to.equal(2);
    expect(stderr).to.include('log.level').and.include('CLAVIGER_HTTP_PROT');
  });

  it('reports a refusal as one line of JSON on stderr when JSON is asked for', async () => {
    const { exitCode, stdout, stderr } = await run(['--json', 'client', 'list'], at);
    expect(exitCode).to.equal(1);
    expect(stdout).to.equal('');
    expect(JSON.parse(stderr)).to.include({ error: 'database_not_migrated' });
  });

  const secret = clientSecret();
  for (const [fact, args] of [
    ['as an argument', ['token', 'decode', secret]],
    [
      'as an option of its own',
      ['token', 'get', '--client-id', 'cl_x', '--client-secret', 'hunter2-hunter2'],
    ],
    ['with an equals sign', ['token', 'get', '--client-id', 'cl_x', '--secret=hunter2-hunter2']],
    ['inside a setting', ['config', 'print', '--set', `rootKey=${secret}`]],
  ] as const) {
    it(`refuses a secret ${fact}, without repeating it (requirement: never in argv)`, async () => {
      const { exitCode, stdout, stderr } = await run(args, at);
      expect(exitCode).to.equal(2);
      expect(stdout + stderr)
        .to.include('command line')
        .and.not.include(secret)
        .and.not.include('hunter2');
    });
  }

  it('refuses a root key given by --set', async () => {
    const rootKey = `${'q'.repeat(22)}AbCdEfGhIjKlMnOpQrStU`;
    const { exitCode, stdout, stderr } = await run(['config', 'print', '--set', `rootKey=${rootKey}`], at);
    expect(exitCode).to.equal(2);
    expect(stdout + stderr).to.not.include(rootKey);
  });

  describe('config', () => {
    it('prints each setting with its source, the flag before the environment before the file', async () => {
      writeFileSync(join(folder.path, 'claviger.yaml'), 'log:\n  level: warn\nkeys:\n  announceFor: 2d\n');
      const env = { CLAVIGER_LOG_LEVEL: 'error' };
      const { settings } = await resultOf(['config', 'print', '--set', 'http.port=4999'], { ...at, env });
      const shown = new Map((settings as { name: string }[]).map(each => [each.name, each]));
      expect(shown.get('http.port')).to.include({ value: 4999, source: 'flag' });
      expect(shown.get('log.level')).to.include({ value: 'error', source: 'env' });
      expect(shown.get('keys.announceFor')).to.include({ value: 172_800, source: 'file' });
    });

    it('says valid, or which faults, on stdout', async () => {
      expect(await resultOf(['config', 'validate'], at)).to.include({ valid: true });
      const wrong = await run(['config', 'validate', '--json', '--set', 'keys.announceFor=never'], at);
      expect(wrong.exitCode).to.equal(2);
      expect(wrong.json()).to.include({ valid: false });
      expect(wrong.json().faults).to.have.length(1);
    });

    it('reads the file of --config, which must exist', async () => {
      writeFileSync(join(folder.path, 'other.yaml'), 'log:\n  level: debug\n');
      const { stdout } = await run(['config', 'print', '--config', 'other.yaml'], at);
      expect(stdout).to.match(/log\.level +debug +file/);
      expect((await run(['config', 'print', '--config', 'missing.yaml'], at)).exitCode).to.equal(2);
    });
  });

  it('prints what a token says without the control characters that would forge lines or colours', async () => {
    const part = (json: string) => Buffer.from(json).toString('base64url');
    const forged = `a\u009b31m\u202eb\u001b[2J`;
    const token = `${part('{"alg":"none"}')}.${part(JSON.stringify({ sub: forged }))}.`;
    const { exitCode, stdout } = await run(['token', 'decode'], { ...at, stdin: token });
    expect(exitCode).to.equal(0);
    expect(stdout)
      .to.include('"sub"')
      .and.not.match(/(?!\n)[\p{Cc}\u202e]/u);
    const { json } = await run(['token', 'decode', '--json'], { ...at, stdin: token });
    expect(json().claims).to.deep.equal({ sub: forged });
  });
});
