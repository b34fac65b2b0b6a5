import { createPublicKey } from 'node:crypto';
import { join } from 'node:path';
import { expect } from 'chai';
import { appendAuditEvents } from '../../src/audit/audit-log.js';
import type { AuditDetail, AuditEvent } from '../../src/audit/events.js';
import { openDatabase } from '../../src/database/connect.js';
import { JwksFetchStore } from '../../src/keys/jwks-fetch-store.js';
import { freshFolder, listOf, resultOf, run } from './captured-run.js';

interface ShownKey {
  readonly kid: string;
  readonly alg: string;
  readonly state: string;
  readonly activates_at: string | null;
  readonly retires_at: string | null;
}

function issued(clientId: string, detail: AuditDetail): AuditEvent {
  return { event: 'token.issued', outcome: 'success', actor: 'anonymous', clientId, detail };
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
      expect(key).to.contain.all.keys(
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
    const widest = Math.max(...stdout.split('\n').map(line => line.length));
    expect(widest, stdout).to.be.within(60, 80);
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

  it('revoke --dry-run tells whose tokens die, at most 50 clients by name, and who goes on believing them', async () => {
    const active = String((await keys()).find(key => key.state === 'active')?.kid);
    const database = openDatabase({ url: `sqlite:${join(folder.path, '.claviger/claviger.sqlite')}` });
    try {
      const now = await database.now();
      const events = Array.from({ length: 60 }, (_, index) => {
        const clientId = `cl_${index}`;
        // The first client has 61 tokens, the second 60, …
        return Array.from({ length: 61 - index }, () => issued(clientId, { kid: active, expires_in: 600 }));
      }).flat();
      const others = [
        issued('cl_other', { kid: 'another-key', expires_in: 600 }),
        issued('cl_id', { kid: 'another-key', expires_in: 600, id_token_kid: active }),
      ];
      await database.transaction(async trx => {
        await appendAuditEvents(database, trx, [...events, ...others], 'test', now - 1000);
        await appendAuditEvents(
          database,
          trx,
          [issued('cl_old', { kid: active, expires_in: 60 })],
          'test',
          now - 61_000,
        );
        const fetch = {
          network: '192.0.2.0/24',
          ringVersion: 1,
          firstSeenAt: now,
          lastSeenAt: now,
          fetches: 3,
        };
        await new JwksFetchStore().record(trx, [
          { ...fetch, userAgent: 'jose/v6.2.18' },
          { ...fetch, userAgent: 'Authlib/1.2.0' },
        ]);
      });
      const plan = await resultOf(['key', 'revoke', active, '--dry-run'], at);
      const tokens = plan.tokens as Record<string, unknown>;
      expect(tokens).to.include({ at_most: events.length + 1, clients: 61 });
      const listed = tokens.by_client as { client_id: string; at_most: number }[];
      expect(listed).to.have.length(50);
      expect(listed[0]).to.include({ client_id: 'cl_0', at_most: 61 });
      const named = listed.reduce((sum, client) => sum + client.at_most, 0);
      expect(tokens.others).to.deep.equal({ clients: 11, at_most: events.length + 1 - named });
      expect(Date.parse(String(tokens.last_expires_at))).to.equal(now - 1000 + 600_000);
      const { seen, kinds } = plan.verifiers as Record<string, Record<string, unknown>[]>;
      expect(seen?.map(({ kind, accepts_until: until }) => [kind, until])).to.deep.equal([
        ['authlib', null],
        ['jose', new Date(now + 600_000).toISOString()],
      ]);
      expect(kinds?.at(0)).to.include({ accepts_removed_for: null });
      const { stdout } = await run(['key', 'revoke', active, '--dry-run'], at);
      expect(stdout)
        .to.match(/at most \d+ of 61 client/)
        .and.include('and 51 more client(s)');
      expect(stdout).to.include('192.0.2.0/24 (Authlib/1.2.0)').and.include('until it is restarted');
    } finally {
      await database.close();
    }
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

  it('revoke --dry-run warns of a successor that cannot be opened, because it would sign nothing', async () => {
    const ring = await keys('RS256');
    const [active, announced] = ['active', 'announced'].map(
      state => ring.find(key => key.state === state)?.kid,
    );
    const plan = async () => resultOf(['key', 'revoke', String(active), '--dry-run'], at);
    expect(await plan(), 'control').to.include({ stops_signing: null, successor_damaged: false });
    const database = openDatabase({ url: `sqlite:${join(folder.path, '.claviger/claviger.sqlite')}` });
    try {
      const damage = database.reader.raw("substr(sealed_private, 1, length(sealed_private) - 6) || 'AAAAAA'");
      await database.write(on =>
        on('signing_keys')
          .where({ kid: String(announced) })
          .update({ sealed_private: damage }),
      );
    } finally {
      await database.close();
    }
    expect(await plan()).to.include({ stops_signing: 'RS256', successor_damaged: true });
    const { stdout } = await run(['key', 'revoke', String(active), '--dry-run'], at);
    expect(stdout).to.include(`${announced} cannot be opened`);
    // What it advises: the damaged one goes first, and takes its place a new one.
    await resultOf(['key', 'revoke', String(announced), '--yes'], at);
    expect(await plan()).to.include({ stops_signing: null, successor_damaged: false });
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
