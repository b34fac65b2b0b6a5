import { constants, createPublicKey, randomBytes, verify } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { makeDevelopmentCertificate } from '../../certs/make-dev-certs.js';
import { systemClock } from '../../src/clock.js';
import { VaultClient, type VaultOptions } from '../../src/outbound/vault-client.js';
import { isVaultError, type VaultError } from '../../src/outbound/vault-error.js';
import { VaultServer } from '../support/vault-server.js';

async function failure(work: Promise<unknown>): Promise<VaultError> {
  try {
    await work;
  } catch (error) {
    if (isVaultError(error)) return error;
    throw error;
  }
  throw new Error('it succeeded');
}

describe('Vault client', () => {
  let server: VaultServer;
  let address: string;
  let now: number;
  let waits: number[];
  let folder: string;

  beforeEach(async () => {
    now = 1_000_000;
    waits = [];
    folder = mkdtempSync(join(tmpdir(), 'claviger-vault-'));
    server = new VaultServer({ now: () => now });
    address = await server.listen();
  });

  afterEach(async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function client(more: Partial<VaultOptions> = {}): VaultClient {
    return new VaultClient({
      address,
      authentication: { kind: 'token', token: { reveal: () => server.rootToken } },
      clock: { now: () => now, monotonic: () => now },
      wait: async milliseconds => {
        waits.push(milliseconds);
        now += milliseconds;
      },
      ...more,
    });
  }

  function approle(): VaultClient {
    const { roleId, secretId } = server;
    return client({ authentication: { kind: 'approle', roleId, secretId: { reveal: () => secretId } } });
  }

  describe('secrets', () => {
    it('are read from KV version 2 and version 1, whatever the mount is called', async () => {
      server.kv2.set('claviger/production', { root_key: 'abc', port: 5 });
      server.kv1.set('smtp', { url: 'smtps://mail' });
      expect(await client().readSecret('secret/claviger/production')).to.deep.equal({
        root_key: 'abc',
        port: 5,
      });
      expect(await client().readSecret('team/old/smtp')).to.deep.equal({ url: 'smtps://mail' });
      expect(server.requests).to.include('GET secret/data/claviger/production');
    });

    it('are read where the mount may not be asked for', async () => {
      server.kv2.set('x', { field: 'value' });
      server.denied.add('sys/internal/ui/mounts/secret/x');
      expect(await approle().readSecret('secret/x')).to.deep.equal({ field: 'value' });
    });

    it('that are missing or denied are told apart, with the remedy', async () => {
      const missing = await failure(client().readSecret('secret/none'));
      expect(missing.reason).to.equal('not_found');
      expect(missing.message).to.match(
        /nothing at secret\/data\/none; correct the name or the mount, or create it/,
      );
      server.denied.add('secret/data/mine');
      const denied = await failure(approle().readSecret('secret/mine'));
      expect(denied.reason).to.equal('denied');
      expect(denied.message).to.match(/denies secret\/data\/mine: the policy of its token must grant "read"/);
    });

    it('cannot be named so that another endpoint answers', async () => {
      for (const path of ['secret/../sys/seal', './secret/x', 'secret//x', '', 'secret/x\n', 'secret'])
        expect((await failure(client().readSecret(path))).reason, path).to.equal('refused');
      server.kv2.set('a?b#c', { field: 'value' });
      expect(await client().readSecret('secret/a?b#c')).to.deep.equal({ field: 'value' });
      expect(server.requests.filter(each => each.includes('seal'))).to.deep.equal([]);
    });
  });

  describe('Transit', () => {
    it('encrypts for one place only', async () => {
      await client().createKey('transit', 'wrap', 'aes256-gcm96');
      const plain = randomBytes(32);
      const sealed = await client().encrypt('transit', 'wrap', plain, Buffer.from('here'));
      expect(sealed).to.match(/^vault:v1:/);
      expect(await client().decrypt('transit', 'wrap', sealed, Buffer.from('here'))).to.deep.equal(plain);
      expect(
        (await failure(client().decrypt('transit', 'wrap', sealed, Buffer.from('there')))).reason,
      ).to.equal('refused');
      expect((await failure(client().decrypt('transit', 'wrap', sealed))).reason).to.equal('refused');
    });

    it('signs as JWS wants it, with each type of key', async () => {
      const input = Buffer.from('header.payload');
      for (const type of ['ecdsa-p256', 'ecdsa-p384', 'ed25519', 'rsa-2048'] as const) {
        const key = await client().createKey('transit', type, type);
        const [{ publicKey = '' } = {}] = key.versions;
        if (type === 'ed25519') {
          const signature = await client().sign('transit', type, input);
          const x = Buffer.from(publicKey, 'base64').toString('base64url');
          const jwk = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } });
          expect(verify(null, input, jwk, signature)).to.equal(true);
        } else if (type === 'rsa-2048') {
          const options = { hash: 'sha2-256', keyVersion: 1 } as const;
          const plain = await client().sign('transit', type, input, { ...options, padding: 'pkcs1v15' });
          expect(verify('sha256', input, publicKey, plain)).to.equal(true);
          const pss = await client().sign('transit', type, input, { ...options, padding: 'pss' });
          // RFC 7518 §3.5: a verifier of JWS takes no other length.
          const strict = { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
          expect(verify('sha256', input, strict, pss)).to.equal(true);
        } else {
          const [hash, name] =
            type === 'ecdsa-p256' ? (['sha2-256', 'sha256'] as const) : (['sha2-384', 'sha384'] as const);
          const signature = await client().sign('transit', type, input, { hash });
          expect(signature.length).to.equal(type === 'ecdsa-p256' ? 64 : 96);
          expect(verify(name, input, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)).to.equal(
            true,
          );
        }
      }
    });

    it('makes, finds and deletes keys, each as often as asked', async () => {
      expect(await client().readKey('transit', 'one')).to.equal(undefined);
      const made = await client().createKey('transit', 'one', 'ecdsa-p256');
      expect(made).to.deep.include({
        name: 'one',
        type: 'ecdsa-p256',
        latestVersion: 1,
        isExportable: false,
      });
      expect(await client().createKey('transit', 'one', 'ecdsa-p256')).to.deep.equal(made);
      expect((await failure(client().createKey('transit', 'one', 'ed25519'))).message).to.match(
        /a key one already, of type ecdsa-p256; it should be ed25519/,
      );
      await client().deleteKey('transit', 'one');
      await client().deleteKey('transit', 'one');
      expect(await client().readKey('transit', 'one')).to.equal(undefined);
      expect((await failure(client().sign('transit', 'one', Buffer.from('x')))).message).to.match(
        /refuses transit\/sign\/one with status 400 \(it says: encryption key not found\)/,
      );
    });
  });

  describe('tokens', () => {
    it('of a file are read again when it changes', async () => {
      server.kv2.set('x', { field: 'value' });
      const path = join(folder, 'token');
      writeFileSync(path, 'hvs.outdated-token\n');
      const agent = client({ authentication: { kind: 'token_file', path } });
      expect((await failure(agent.readSecret('secret/x'))).reason).to.equal('denied');
      writeFileSync(path, `${server.rootToken}\n`);
      expect(await agent.readSecret('secret/x')).to.deep.equal({ field: 'value' });
      rmSync(path);
      expect((await failure(agent.readSecret('secret/x'))).message).to.match(/cannot be read \(ENOENT\)/);
    });

    it('come from one AppRole login for all callers', async () => {
      server.kv2.set('x', { field: 'value' });
      const logged = approle();
      await Promise.all(Array.from({ length: 10 }, () => logged.readSecret('secret/x')));
      expect(server.logins).to.equal(1);
    });

    it('come from a login with the JWT of the platform, read anew each time', async () => {
      server.kv2.set('x', { field: 'value' });
      const jwtFile = join(folder, 'jwt');
      writeFileSync(jwtFile, server.jwt);
      const logged = client({ authentication: { kind: 'jwt', role: 'claviger', jwtFile } });
      expect(await logged.readSecret('secret/x')).to.deep.equal({ field: 'value' });
      server.forgetTokens();
      server.jwt = 'eyJhbGciOiJub25lIn0.bmV4dA.x';
      writeFileSync(jwtFile, server.jwt);
      now += 60_000;
      expect(await logged.readSecret('secret/x')).to.deep.equal({ field: 'value' });
      expect(server.logins).to.equal(2);
    });

    it('are renewed before they end, and replaced by a login when they cannot be', async () => {
      server.kv2.set('x', { field: 'value' });
      const logged = approle();
      for (let hour = 0; hour < 10; hour += 1) {
        await logged.readSecret('secret/x');
        now += 2_500_000;
      }
      expect(server.logins).to.equal(1);
      expect(server.renewals).to.equal(9);
      now += 4_000_000;
      await logged.readSecret('secret/x');
      expect(server.logins).to.equal(2);
    });

    it('are replaced when Vault has forgotten them', async () => {
      server.kv2.set('x', { field: 'value' });
      const logged = approle();
      await logged.readSecret('secret/x');
      server.forgetTokens();
      now += 10_000;
      expect(await logged.readSecret('secret/x')).to.deep.equal({ field: 'value' });
      expect(server.logins).to.equal(2);
    });

    it('go on being used while a renewal fails and they live', async () => {
      server.kv2.set('x', { field: 'value' });
      const logged = approle();
      await logged.readSecret('secret/x');
      now += 2_500_000;
      server.faults.push(...Array.from({ length: 4 }, () => ({ status: 500 })));
      expect(await logged.readSecret('secret/x')).to.deep.equal({ field: 'value' });
      expect(server.renewals).to.equal(0);
    });

    it('and what they are got with are in no error, even when Vault repeats them', async () => {
      const { roleId, secretId } = server;
      const wrong = client({
        authentication: { kind: 'approle', roleId, secretId: { reveal: () => `${secretId}9` } },
      });
      const refused = await failure(wrong.readSecret('secret/x'));
      expect(refused.message).to.match(/The login at Vault fails.*invalid role or secret ID/);
      server.faults.push({ status: 400, errors: [`token ${server.rootToken} and hvs.somebodyelses1234`] });
      const told = await failure(client().encrypt('transit', 'k', Buffer.from('x')));
      for (const error of [refused, told]) {
        expect(inspect(error, { depth: 9 })).to.not.include(secretId);
        expect(inspect(error, { depth: 9 })).to.not.include(server.rootToken);
        expect(error.message).to.include('[redacted]').and.not.include('somebodyelses');
      }
    });
  });

  describe('failures', () => {
    it('that look passing are tried again with growing pauses', async () => {
      await client().createKey('transit', 'k', 'ed25519');
      server.faults.push({ status: 503 }, { status: 429 }, 'cut');
      expect((await client().sign('transit', 'k', Buffer.from('x'))).length).to.equal(64);
      expect(waits.length).to.equal(3);
      expect(waits[0]).to.be.within(100, 200);
      expect(waits[2]).to.be.within(900, 1_000);
    });

    it('say that it is sealed, overloaded or broken', async () => {
      server.isSealed = true;
      const sealed = await failure(client().readKey('transit', 'k'));
      expect([sealed.reason, sealed.message]).to.deep.equal([
        'sealed',
        `Vault at ${new URL(address).host} is sealed; unseal it (vault operator unseal).`,
      ]);
      server.isSealed = false;
      server.faults.push(...Array.from({ length: 4 }, () => ({ status: 429, errors: ['quota'] })));
      expect((await failure(client().readKey('transit', 'k'))).reason).to.equal('rate_limited');
      server.faults.push(...Array.from({ length: 4 }, () => ({ status: 502 })));
      expect((await failure(client().readKey('transit', 'k'))).reason).to.equal('failed');
    });

    it('are bounded in time, also by an answer that never comes', async () => {
      server.faults.push('silence');
      const started = performance.now();
      const hasty = client({ timeoutAfter: 0.2, clock: systemClock });
      const late = await failure(hasty.readKey('transit', 'k'));
      expect(late.reason).to.equal('unreachable');
      expect(performance.now() - started).to.be.below(2_000);
    });

    it('are bounded in size', async () => {
      server.faults.push({ bytes: 100_000 });
      expect((await failure(client().readKey('transit', 'k'))).message).to.match(/too large; is it a Vault/);
    });

    it('name what is wrong with the address', async () => {
      const nobody = new VaultServer();
      const dead = await nobody.listen();
      await nobody.close();
      expect((await failure(client({ address: dead }).readKey('transit', 'k'))).message).to.match(
        /cannot be reached \(ECONNREFUSED\)/,
      );
      expect(
        (await failure(client({ address: 'https://vault.invalid' }).readKey('transit', 'k'))).message,
      ).to.match(/the name has no address/);
    });

    it('do not lead the token to where a redirect points', async () => {
      server.faults.push({ status: 307, location: 'http://127.0.0.1:1/v1/transit/keys/k' });
      expect((await failure(client().readKey('transit', 'k'))).message).to.match(/redirects to another node/);
    });

    it('keep cloud metadata and plain http on the internet out of reach', async () => {
      for (const elsewhere of ['http://169.254.169.254', 'http://192.0.2.1:8200', 'http://8.8.8.8:8200'])
        expect((await failure(client({ address: elsewhere }).readKey('transit', 'k'))).reason).to.equal(
          'unreachable',
        );
      const rebound = {
        address: 'http://vault.example.com:8200',
        resolve: async () => ['10.0.0.1', '169.254.169.254'],
      };
      expect((await failure(client(rebound).readKey('transit', 'k'))).message).to.match(
        /is not called: vault\.example\.com:8200 is 169\.254\.169\.254, which is not public/,
      );
      expect((await failure(client({ allowedNetworks: [] }).readKey('transit', 'k'))).reason).to.equal(
        'unreachable',
      );
    });
  });

  it('sends the namespace, and the mark that no page in a browser can send', async () => {
    await client({ namespace: 'team-a' }).readKey('transit', 'k');
    expect(server.headers[0]).to.include({ 'x-vault-namespace': 'team-a', 'x-vault-request': 'true' });
  });

  it('trusts the given certificate authority and no other', async () => {
    const { certificate: caFile, key } = makeDevelopmentCertificate(folder);
    const tls = { key: readFileSync(key, 'utf8'), cert: readFileSync(caFile, 'utf8') };
    const secured = new VaultServer({ tls });
    try {
      const at = await secured.listen();
      const authentication = { kind: 'token', token: { reveal: () => secured.rootToken } } as const;
      const trusting = client({ address: at, authentication, caFile });
      expect(await trusting.readKey('transit', 'k')).to.equal(undefined);
      for (let call = 0; call < 20; call += 1) await trusting.readKey('transit', 'k');
      expect(secured.connections, 'of 21 calls: connections are used again').to.be.below(4);
      const strange = await failure(client({ address: at, authentication }).readKey('transit', 'k'));
      expect(strange.message).to.match(/has a certificate that is not trusted .*vault\.caFile/);
    } finally {
      await secured.close();
    }
  });
});
