import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { makeDevelopmentCertificate } from '../../certs/make-dev-certs.js';
import { blocksOf } from '../docs/fenced-blocks.js';
import { VaultServer } from '../support/vault-server.js';
import { freePorts, freshFolder, resultOf, run, start } from './captured-run.js';

const CLIENT_SECRET = 'an-upstream-secret';

describe('claviger with settings in Vault', () => {
  const folder = freshFolder();
  const rootKey = randomBytes(32).toString('base64url');
  let vault: VaultServer;
  let at: { cwd: string; env: Record<string, string> };

  before(async () => {
    vault = new VaultServer();
    await vault.listen();
    vault.kv2.set('claviger', { root_key: rootKey, upstream: CLIENT_SECRET });
    const port = await freePorts();
    writeFileSync(join(folder.path, 'token'), vault.rootToken, { mode: 0o600 });
    writeFileSync(
      join(folder.path, 'providers.yaml'),
      "- {id: a, name: A, issuer: https://a.example.com, client_id: x, client_secret: 'vault:secret/claviger#upstream'}\n",
    );
    writeFileSync(
      join(folder.path, 'claviger.yaml'),
      [
        'rootKey: vault:secret/claviger#root_key',
        `http: {port: ${port}}`,
        'database: {url: "sqlite:claviger.sqlite"}',
        'federation: {providersFile: providers.yaml}',
        `vault: {address: "${vault.address}", agentTokenFile: "${join(folder.path, 'token')}"}`,
      ].join('\n'),
    );
    at = { cwd: folder.path, env: {} };
  });

  after(async () => {
    await vault.close();
    folder.remove();
  });

  it('validates by reading them, and says which cannot be read', async () => {
    expect(await resultOf(['config', 'validate'], at)).to.include({ valid: true });
    vault.kv2.set('claviger', { root_key: rootKey });
    const wrong = await run(['config', 'validate', '--json'], at);
    expect(wrong.exitCode).to.equal(2);
    expect(wrong.json().faults).to.have.nested.property('[0].at', 'providers.yaml[0].client_secret');
    vault.kv2.set('claviger', { root_key: rootKey, upstream: CLIENT_SECRET });
  });

  it('prints where they are', async () => {
    const { stdout } = await run(['config', 'print'], at);
    expect(stdout)
      .to.match(/rootKey +\[redacted\] +file \(.*claviger\.yaml\): vault:secret\/claviger#root_key/)
      .and.not.include(rootKey);
  });

  it('follows them as docs/operating.md shows it', async () => {
    const [block, ...more] = blocksOf('docs/operating.md').filter(({ mark }) => mark === 'elsewhere');
    expect(more).to.deep.equal([]);
    const { certificate, key } = makeDevelopmentCertificate(folder.path);
    const tls = { key: readFileSync(key, 'utf8'), cert: readFileSync(certificate, 'utf8') };
    const secured = new VaultServer({ tls });
    try {
      const address = await secured.listen();
      const database_url = 'postgres://claviger:W9xVqk2w@db.example.com/claviger?sslmode=verify-full';
      secured.kv2.set('claviger', { database_url, root_key: rootKey });
      writeFileSync(join(folder.path, 'vault-secret-id'), secured.secretId, { mode: 0o600 });
      const shown = block?.text
        .replace('https://vault.example.com:8200', address)
        .replace('role: claviger', `role: ${secured.roleId}`)
        .replace('/etc/claviger/vault-ca.pem', certificate)
        .replaceAll('/etc/claviger', folder.path);
      writeFileSync(join(folder.path, 'elsewhere.yaml'), shown ?? '');
      const validated = await resultOf(['config', 'validate', '--config', 'elsewhere.yaml'], at);
      expect(validated).to.deep.equal({ valid: true, faults: [], warnings: [] });
      expect(secured.logins).to.equal(1);
    } finally {
      await secured.close();
    }
  });

  it('starts a server whose secrets are on no disk and in no variable', async () => {
    const server = start(['serve'], at);
    await server.saying('claviger: ready');
    // They are read at the start only.
    await vault.close();
    try {
      expect((await resultOf(['doctor'], { ...at, env: { CLAVIGER_ROOT_KEY: rootKey } })).ok).to.equal(true);
    } finally {
      server.stop();
      await server.ended;
    }
    expect(server.log.text)
      .to.not.include(rootKey)
      .and.not.include(CLIENT_SECRET)
      .and.not.include(vault.rootToken);
  });

  it('does not start when Vault is away', async () => {
    const { exitCode, stderr } = await run(['serve'], at);
    expect(exitCode).to.equal(2);
    expect(stderr).to.match(
      /rootKey: \(vault:secret\/claviger#root_key\) cannot be read: Vault at localhost:\d+ cannot be reached/,
    );
  });
});
