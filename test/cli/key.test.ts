import { createPublicKey } from 'node:crypto';
import { expect } from 'chai';
import { freshFolder, listOf, resultOf, run } from './captured-run.js';

interface ShownKey {
  readonly kid: string;
  readonly alg: string;
  readonly state: string;
  readonly activates_at: string | null;
  readonly retires_at: string | null;
}

describe('claviger key', () => {
  const folder = freshFolder();
  const at = { cwd: folder.path };
  after(() => folder.remove());

  async function keys(alg = 'ES256'): Promise<ShownKey[]> {
    const { keys: found } = await resultOf(['key', 'status'], at);
    return (found as ShownKey[]).filter(key => key.alg === alg);
  }

  before(async () => {
    await resultOf(['init'], at);
  });

  it('status tells the version and, of each key, every instant of its life', async () => {
    const status = await resultOf(['key', 'status'], at);
    expect(status.version).to.equal(1);
    expect(status.keys).to.have.length(4);
    for (const key of status.keys as ShownKey[]) {
      expect(key).to.have.all.keys(
        ...[
          'kid',
          'alg',
          'state',
          'created_at',
          'announced_at',
          'activates_at',
          'activated_at',
          'retained_at',
        ],
        ...['retires_at', 'retired_at', 'revoked_at'],
      );
      expect(key.activates_at !== null).to.equal(key.state === 'announced');
    }
    const { stdout } = await run(['key', 'status'], at);
    expect(stdout)
      .to.match(/ES256 +active/)
      .and.match(/Next\n +\d{4}-/);
  });

  it('rotate says until when the successor is announced and ends with 1, nothing changed', async () => {
    const { exitCode, json } = await run(['key', 'rotate', '--alg', 'ES256', '--json'], at);
    expect(exitCode).to.equal(1);
    const [rotation] = json().rotations as Record<string, unknown>[];
    expect(rotation).to.include({ outcome: 'waits_for_announcement' });
    expect(Date.parse(String(rotation?.until)) - Date.parse(String(rotation?.now_from))).to.be.greaterThan(0);
    expect((await resultOf(['key', 'status'], at)).version).to.equal(1);
  });

  it('rotate --now lists who would refuse the key and goes on only with --yes', async () => {
    const { exitCode, stderr } = await run(['key', 'rotate', '--now', '--alg', 'ES256'], at);
    expect(exitCode).to.equal(2);
    expect(stderr).to.include('Istio').and.include('--yes');
    await resultOf(['key', 'rotate', '--now', '--yes', '--dry-run'], at);
    expect((await resultOf(['key', 'status'], at)).version).to.equal(1);
  });

  it('rotate --now --yes lets the successor sign, retains the old key and announces the next', async () => {
    const before = await keys();
    const successor = before.find(key => key.state === 'announced')?.kid;
    const done = await resultOf(['key', 'rotate', '--now', '--yes', '--alg', 'ES256'], at);
    expect(done.version).to.equal(2);
    const after = await keys();
    expect(after.find(key => key.state === 'active')?.kid).to.equal(successor);
    expect(after.find(key => key.state === 'retained')?.retires_at).to.be.a('string');
    expect(after.filter(key => key.state === 'announced')).to.have.length(1);
    const [told] = await listOf(['audit', 'list', '--event', 'signing_key.retained'], at);
    expect(told?.actor).to.match(/^os:/);
  });

  it('revoke shows its effects with --dry-run, wants --yes, and promotes the successor', async () => {
    const ring = await keys();
    const active = String(ring.find(key => key.state === 'active')?.kid);
    const successor = ring.find(key => key.state === 'announced')?.kid;
    const plan = await resultOf(['key', 'revoke', active, '--dry-run'], at);
    expect(plan).to.include({ revoked: false, activates: successor, announces: true });
    expect((await run(['key', 'revoke', active], at)).exitCode).to.equal(2);
    expect((await keys()).find(key => key.state === 'active')?.kid).to.equal(active);
    expect(await resultOf(['key', 'revoke', active, '--yes'], at)).to.include({ revoked: true });
    const after = await keys();
    expect(after.find(key => key.kid === active)?.state).to.equal('revoked');
    expect(after.find(key => key.state === 'active')?.kid).to.equal(successor);
    expect((await run(['key', 'revoke', active, '--yes'], at)).exitCode).to.equal(0);
    expect((await run(['key', 'revoke', 'unknown', '--yes'], at)).exitCode).to.equal(1);
  });

  it('export gives public keys only, without the revoked one', async () => {
    const jwks = await resultOf(['key', 'export'], at);
    const revoked = (await keys()).find(key => key.state === 'revoked')?.kid;
    const exported = jwks.keys as Record<string, unknown>[];
    expect(exported.map(key => key.kid)).to.not.include(revoked);
    for (const key of exported) expect(key).to.not.have.any.keys('d', 'p', 'q', 'dp', 'dq', 'qi');
    const { stdout } = await run(['key', 'export', '--format', 'pem'], at);
    const blocks = stdout.match(/-----BEGIN PUBLIC KEY-----[\s\S]+?-----END PUBLIC KEY-----/g) ?? [];
    expect(blocks).to.have.length(exported.length);
    for (const block of blocks) expect(createPublicKey(block).type).to.equal('public');
    expect(stdout).to.not.include('PRIVATE');
  });
});
