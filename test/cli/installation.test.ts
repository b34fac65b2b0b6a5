import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { generateRootKey } from '../../src/crypto/root-key.js';
import { freshFolder, listOf, resultOf, run } from './captured-run.js';

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly remedy: string;
}

describe('an installation made and looked after by the command line', () => {
  const folder = freshFolder();
  const at = { cwd: folder.path };
  const path = (name: string) => join(folder.path, name);
  after(() => folder.remove());

  async function findings(options: { env?: Record<string, string> } = {}): Promise<Finding[]> {
    const { json } = await run(['doctor', '--json'], { ...at, ...options });
    return json().checks as Finding[];
  }

  it('no command but init, migrate, serve and demo creates a database', async () => {
    const { exitCode, stderr } = await run(['client', 'list'], at);
    expect(exitCode).to.equal(1);
    expect(stderr).to.include('claviger migrate');
    expect(existsSync(path('.claviger'))).to.equal(false);
  });

  it('init takes back what it wrote when the configuration is refused', async () => {
    const args = ['init', '--environment', 'production', '--issuer', 'http://id.example.com'];
    const { exitCode, stderr } = await run(args, at);
    expect(exitCode).to.equal(2);
    expect(stderr).to.include('issuer');
    expect(existsSync(path('claviger.yaml'))).to.equal(false);
    expect(existsSync(path('.claviger/root-key'))).to.equal(false);
  });

  it('init makes an installation for production that its own checks accept', async () => {
    const other = freshFolder();
    const args = ['init', '--environment', 'production', '--issuer', 'https://id.example.com'];
    const there = { cwd: other.path };
    const { exitCode, stderr } = await run(args, there);
    expect(exitCode, stderr).to.equal(0);
    expect(await resultOf(['config', 'validate'], there)).to.deep.include({ valid: true, warnings: [] });
    expect((await resultOf(['key', 'status'], there)).version).to.equal(1);
    other.remove();
  });

  it('init asks at a terminal and writes nothing after a no', async () => {
    expect((await run(['init'], { ...at, answer: 'n' })).exitCode).to.equal(1);
    expect(existsSync(path('claviger.yaml'))).to.equal(false);
  });

  it('init writes configuration and root key, the key for its owner only, and creates the database', async () => {
    const { exitCode, stdout, stderr } = await run(['init'], at);
    expect(exitCode, stderr).to.equal(0);
    expect(stderr).to.include('claviger serve');
    expect(statSync(path('.claviger/root-key')).mode & 0o777).to.equal(0o600);
    const key = readFileSync(path('.claviger/root-key'), 'utf8').trim();
    expect(stdout + stderr + readFileSync(path('claviger.yaml'), 'utf8')).to.not.include(key);
    expect(await resultOf(['migrate', '--status'], at)).to.deep.include({ pending: [] });
  });

  it('init overwrites nothing', async () => {
    const before = readFileSync(path('claviger.yaml'), 'utf8');
    expect((await run(['init', '--yes'], at)).exitCode).to.equal(1);
    expect(readFileSync(path('claviger.yaml'), 'utf8')).to.equal(before);
  });

  it('doctor finds a sound installation sound, and an unstarted server no error', async () => {
    const { exitCode, json } = await run(['doctor', '--json', '--set', 'http.port=1'], at);
    const { ok, checks: found } = json() as { ok: boolean; checks: Finding[] };
    expect(exitCode, JSON.stringify(found)).to.equal(0);
    expect(ok).to.equal(true);
    const severities = new Map(found.map(({ id, severity }) => [id, severity]));
    for (const id of ['configuration', 'root_key_file', 'database', 'clock', 'migrations', 'identity']) {
      expect(severities.get(id), id).to.equal('ok');
    }
    expect(severities.get('issuer')).to.equal('warning');
  });

  it('doctor ends with 1 for a readable root key, a wrong clock and a wrong configuration', async () => {
    chmodSync(path('.claviger/root-key'), 0o644);
    const clock = { CLAVIGER_DATABASE_CLOCK_OFFSET_FOR: '120' };
    const wrong = (await findings({ env: clock })).filter(({ severity }) => severity === 'error');
    chmodSync(path('.claviger/root-key'), 0o600);
    expect(wrong.map(({ id }) => id)).to.include.members(['root_key_file', 'clock']);
    for (const { remedy } of wrong) expect(remedy).to.not.equal('');
    const broken = await run(['doctor', '--json', '--set', 'log.level=loud'], at);
    expect(broken.exitCode).to.equal(1);
    expect(broken.json().ok).to.equal(false);
  });

  it('refuses another root key and another environment, and doctor says which', async () => {
    writeFileSync(path('other-key'), generateRootKey(), { mode: 0o600 });
    const env = { CLAVIGER_ROOT_KEY_FILE: path('other-key') };
    const { exitCode, stderr } = await run(['client', 'list', '--json'], { ...at, env });
    expect(exitCode).to.equal(1);
    expect(JSON.parse(stderr)).to.include({ error: 'root_key_wrong' });
    expect((await findings({ env })).find(({ id }) => id === 'root_key')?.severity).to.equal('error');
  });

  it('makes no new root key for a database that exists', async () => {
    const key = readFileSync(path('.claviger/root-key'));
    const bare = ['--config', 'bare.yaml'];
    writeFileSync(path('bare.yaml'), `database:\n  url: sqlite:${path('.claviger/claviger.sqlite')}\n`);
    rmSync(path('.claviger/root-key'));
    const { exitCode } = await run(['migrate', ...bare], at);
    expect(exitCode).to.equal(1);
    expect(existsSync(path('.claviger/root-key'))).to.equal(false);
    writeFileSync(path('.claviger/root-key'), key, { mode: 0o600 });
    expect((await run(['migrate', ...bare], at)).exitCode).to.equal(0);
  });

  it('database adopt moves the issuer only with --yes and leaves an audit event', async () => {
    const issuer = 'https://id.example.test';
    const asNew = ['--set', `issuer=${issuer}`];
    const foreign = await run(['client', 'list', ...asNew], at);
    expect(foreign.exitCode).to.equal(1);
    expect(foreign.stderr).to.include('database adopt');
    const adopt = ['database', 'adopt', '--issuer', issuer];
    expect((await run(adopt, at)).exitCode).to.equal(2);
    expect(await resultOf([...adopt, '--dry-run'], at)).to.include({ to: issuer, adopted: false });
    expect((await run(['client', 'list', ...asNew], at)).exitCode).to.equal(1);
    expect(await resultOf([...adopt, '--yes'], at)).to.include({ adopted: true });
    expect(await listOf(['client', 'list', ...asNew], at)).to.deep.equal([]);
    const [event] = await listOf(['audit', 'list', '--event', 'database.adopted', ...asNew], at);
    expect(event?.detail).to.include({ to: issuer });
    expect((await run(['database', 'adopt', '--issuer', 'no url', '--yes'], at)).exitCode).to.equal(2);
  });
});
