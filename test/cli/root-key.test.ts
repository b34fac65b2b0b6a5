import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadConfig } from '../../src/config/load.js';
import { generateDataKey } from '../../src/crypto/data-key.js';
import { recoveryRecipient } from '../../src/crypto/recovery-key.js';
import { generateRootKey } from '../../src/crypto/root-key.js';
import { openDatabase } from '../../src/database/connect.js';
import { insertRootKey, readDataKeys } from '../../src/database/data-key-store.js';
import { storedContext } from '../../src/database/installation.js';
import { createLogger } from '../../src/log.js';
import { VaultClient } from '../../src/outbound/vault-client.js';
import { startServer } from '../../src/server.js';
import { dumpOf } from '../support/dump.js';
import { get } from '../support/nodes.js';
import { VaultServer } from '../support/vault-server.js';
import { freshFolder, type Run, run } from './captured-run.js';

interface Status {
  readonly current: string;
  readonly root_keys: readonly {
    readonly root_key_id: string;
    readonly role: string;
    readonly backend: string;
    readonly reference: string;
    readonly state: string;
    readonly wraps: number;
  }[];
  readonly data_keys: readonly { readonly purpose: string; readonly wrapped_by: readonly string[] }[];
}

describe('claviger root-key', function () {
  this.timeout(60_000);

  class Installation {
    readonly folder = freshFolder();
    env: Record<string, string> = {};

    run(...args: string[]): Promise<Run> {
      return run(args, { cwd: this.folder.path, env: this.env });
    }

    async done(...args: string[]): Promise<Run> {
      const ran = await this.run(...args);
      expect(ran.exitCode, `${args.join(' ')}: ${ran.stderr}`).to.equal(0);
      return ran;
    }

    async status(): Promise<Status> {
      return (await this.done('root-key', 'status', '--json')).json() as unknown as Status;
    }

    /** @returns the key, which stands in a file of that name. */
    writeKey(name: string): string {
      const key = generateRootKey();
      writeFileSync(join(this.folder.path, name), `${key}\n`, { mode: 0o600 });
      return key;
    }

    get url(): string {
      return `sqlite:${join(this.folder.path, '.claviger/claviger.sqlite')}`;
    }

    async dump(): Promise<string> {
      const database = openDatabase({ url: this.url });
      const dump = JSON.stringify(await dumpOf(database));
      await database.close();
      return dump;
    }
  }

  const made: Installation[] = [];
  async function installed(by: 'init' | 'migrate' = 'migrate'): Promise<Installation> {
    const one = new Installation();
    made.push(one);
    await one.done(by);
    return one;
  }
  after(() => {
    for (const { folder } of made) folder.remove();
  });

  it('shows which root key wraps what, also to somebody who has none', async () => {
    const one = await installed();
    one.env.CLAVIGER_ROOT_KEY = generateRootKey();
    expect((await one.run('client', 'list')).exitCode).to.equal(1);
    const status = await one.status();
    // Also when the setting leads nowhere any more.
    one.env = { CLAVIGER_ROOT_KEY_FILE: 'lost' };
    expect((await one.run('client', 'list')).exitCode).to.equal(2);
    expect(await one.status()).to.deep.equal(status);
    expect(status.root_keys).to.have.length(1);
    expect(status.root_keys[0]).to.include({ role: 'main', backend: 'local', state: 'current', wraps: 7 });
    expect(status.data_keys.map(({ purpose }) => purpose)).to.include('pepper');
    expect(status.data_keys.every(({ wrapped_by }) => wrapped_by[0] === status.current)).to.equal(true);
  });

  it('takes no root key on the command line, and does not repeat it', async () => {
    const one = await installed();
    const key = generateRootKey();
    const ran = await one.run('root-key', 'rotate', '--to', key, '--yes');
    expect(ran.exitCode).to.equal(2);
    expect(ran.stdout + ran.stderr).to.not.include(key);
    expect(ran.stderr).to.include('file:/path');
  });

  it('changes nothing without a yes, with --dry-run, or with a key that does not work', async () => {
    const one = await installed();
    one.writeKey('next');
    const before = await one.dump();
    expect((await one.run('root-key', 'rotate', '--to', 'file:next')).exitCode).to.equal(2);
    const plan = (await one.done('root-key', 'rotate', '--to', 'file:next', '--dry-run', '--json')).json();
    expect(plan).to.include({ rotated: false, total: 7, replaces: (await one.status()).current });
    writeFileSync(join(one.folder.path, 'short'), 'abc\n', { mode: 0o600 });
    const short = await one.run('root-key', 'rotate', '--to', 'file:short', '--yes', '--json');
    expect(JSON.parse(short.stderr)).to.include({ error: 'configuration_invalid' });
    const nowhere = await one.run('root-key', 'rotate', '--to', 'transit:claviger', '--yes', '--json');
    expect(nowhere.stderr).to.include('vault.address');
    expect(await one.dump()).to.equal(before);
  });

  it('retires neither the current root key nor one that the configuration still names', async () => {
    const one = await installed();
    const old = (await one.status()).current;
    one.writeKey('next');
    await one.done('root-key', 'rotate', '--to', 'file:next', '--yes');
    const { current } = await one.status();
    expect((await one.run('root-key', 'retire', current, '--yes')).stderr).to.include(
      'is the current root key',
    );
    expect((await one.run('root-key', 'retire', old, '--yes')).stderr).to.include('still uses');
    expect((await one.status()).root_keys.map(({ state }) => state).sort()).to.deep.equal([
      'current',
      'opens',
    ]);
    const warned = (await one.run('doctor', '--json')).json() as { checks: { id: string; remedy: string }[] };
    expect(warned.checks.find(({ id }) => id === 'root_key_change')?.remedy).to.include(`retire ${old}`);

    one.env.CLAVIGER_ROOT_KEY_FILE = 'next';
    await one.done('root-key', 'retire', old, '--yes');
    expect((await one.status()).root_keys.map(({ root_key_id }) => root_key_id)).to.deep.equal([current]);
    expect(await one.dump()).to.not.match(new RegExp(`"wrapped":"v1.${old}`));
    await one.done('client', 'list');
    delete one.env.CLAVIGER_ROOT_KEY_FILE;
    expect((await one.run('client', 'list')).exitCode).to.equal(1);
  });

  it('removes a leaked root key also when the command was broken off behind the switch', async () => {
    const one = await installed();
    const old = (await one.status()).current;
    one.writeKey('next');
    const rotate = ['root-key', 'rotate', '--to', 'file:next', '--yes', '--json'];
    expect((await one.done(...rotate)).json()).to.include({ rotated: true, retired: false });
    const before = await one.dump();
    expect((await one.done(...rotate)).json()).to.include({ rotated: true, retired: false });
    expect((await one.done(...rotate, '--retire-old', '--dry-run')).json()).to.include({ retired: false });
    expect(await one.dump()).to.equal(before);
    expect((await one.done(...rotate, '--retire-old')).json()).to.include({ retired: true });
    expect(await one.dump()).to.not.match(new RegExp(`"wrapped":"v1.${old}`));
    expect((await one.run('client', 'list')).exitCode).to.equal(1);
  });

  it('tells in doctor of a recovery key that somebody wrote into the database', async () => {
    const one = await installed();
    const checks = async () =>
      (
        (await one.run('doctor', '--json')).json() as {
          checks: { id: string; level: string; remedy?: string }[];
        }
      ).checks;
    const isStranger = ({ remedy = '' }: { readonly remedy?: string }) =>
      remedy.includes('retire 0123456789abcdef');
    expect((await checks()).some(isStranger)).to.equal(false);
    const database = openDatabase({ url: one.url });
    await database.transaction(trx =>
      insertRootKey(
        trx,
        {
          id: '0123456789abcdef',
          role: 'recovery',
          backend: 'offline',
          reference: '',
          sealedPublicKey: '{}',
        },
        1,
      ),
    );
    await database.close();
    expect((await checks()).find(isStranger)?.id).to.equal('recovery_key');
  });

  it('repeats no token of Vault that is malformed', async () => {
    const one = await installed();
    writeFileSync(join(one.folder.path, 'token'), 'hvs.two-lines-of-a-file\nof-secrets', { mode: 0o600 });
    one.env = { CLAVIGER_VAULT_ADDRESS: 'http://127.0.0.1:9', CLAVIGER_VAULT_TOKEN_FILE: 'token' };
    const refused = await one.run('root-key', 'rotate', '--to', 'transit:claviger', '--yes');
    expect(refused.exitCode).to.equal(1);
    expect(refused.stderr)
      .to.include('vault.token is no token')
      .and.not.match(/two-lines|of-secrets/);
  });

  it('makes a recovery key for its owner only, and never takes its private half beside the server', async () => {
    const one = await installed();
    await one.done('root-key', 'make-recovery', '--out', 'recovery.json');
    const file = join(one.folder.path, 'recovery.json');
    expect(statSync(file).mode & 0o777).to.equal(0o600);
    const before = await one.dump();
    const again = await one.run('root-key', 'make-recovery', '--out', 'recovery.json');
    expect(again.exitCode).to.equal(1);
    writeFileSync(join(one.folder.path, 'half.pub'), 'something else');
    expect((await one.run('root-key', 'make-recovery', '--out', 'half')).exitCode).to.equal(1);
    expect(existsSync(join(one.folder.path, 'half'))).to.equal(false);
    const refused = await one.run('root-key', 'add-recovery', '--public-key-file', 'recovery.json');
    expect(refused.exitCode).to.equal(1);
    const { d } = JSON.parse(readFileSync(file, 'utf8')) as { d: string };
    expect(refused.stderr).to.include('private half').and.not.include(d);
    expect(await one.dump()).to.equal(before);
  });

  describe('when the root key is lost', () => {
    async function lost(): Promise<Installation> {
      const one = await installed('init');
      await one.done('root-key', 'make-recovery', '--out', 'recovery.json');
      await one.done('root-key', 'add-recovery', '--public-key-file', 'recovery.json.pub');
      one.writeKey('new');
      one.env.CLAVIGER_ROOT_KEY_FILE = 'new';
      return one;
    }
    const RECOVER = ['root-key', 'recover', '--recovery-key-file', 'recovery.json'];

    it('recovers, with the recovery key, onto the configured root key', async () => {
      const one = await lost();
      expect((await one.run('client', 'list')).exitCode).to.equal(1);
      expect((await one.done(...RECOVER, '--yes', '--json')).json()).to.include({
        recovered: true,
        wrapped: 7,
      });
      await one.done('client', 'list');
    });

    it('refuses data keys that somebody else has wrapped for the recovery key, whose public half is no secret', async () => {
      const one = await lost();
      const pub = readFileSync(join(one.folder.path, 'recovery.json.pub'), 'utf8');
      const recipient = await recoveryRecipient(pub);
      const database = openDatabase({ url: one.url });
      for (const key of await database.read(readDataKeys)) {
        const wrapped = await recipient.wrap(generateDataKey().key, storedContext(key));
        await database.write(on =>
          on('data_key_wraps').where({ data_key_id: key.id, root_key_id: recipient.id }).update({ wrapped }),
        );
      }
      await database.close();
      const before = await one.dump();
      const refused = await one.run(...RECOVER, '--yes', '--json');
      expect(JSON.parse(refused.stderr)).to.include({ error: 'sealed_value_damaged' });
      expect(refused.stderr).to.include('does not open the signing key');
      expect(await one.dump()).to.equal(before);
      // With every signing key in an HSM there is none to try.
      const emptied = openDatabase({ url: one.url });
      await emptied.write(on => on('signing_keys').update({ sealed_private: null }));
      await emptied.close();
      expect((await one.run(...RECOVER, '--yes')).stderr).to.include('not what it was added with');
    });
  });

  it('keeps the root key in Vault: an installation is made, refused while Vault is sealed or has another key of that name, and its nodes go on without it', async () => {
    const vault = new VaultServer();
    const address = await vault.listen();
    const client = new VaultClient({
      address,
      authentication: { kind: 'token', token: { reveal: () => vault.rootToken } },
    });
    await client.createKey('transit', 'claviger', 'aes256-gcm96');
    const one = new Installation();
    made.push(one);
    one.env = {
      CLAVIGER_ROOT_KEY: 'transit:claviger',
      CLAVIGER_VAULT_ADDRESS: address,
      CLAVIGER_VAULT_TOKEN: vault.rootToken,
      CLAVIGER_DATABASE_URL: one.url,
      CLAVIGER_HTTP_PORT: '0',
      CLAVIGER_HTTP_OPERATIONS_PORT: '0',
      CLAVIGER_ISSUER: 'http://localhost:4400',
      CLAVIGER_LOG_LEVEL: 'error',
    };
    await one.done('migrate');
    expect((await one.status()).root_keys[0]).to.include({
      backend: 'transit',
      reference: 'transit:transit/claviger',
      state: 'current',
      wraps: 7,
    });
    const { config } = loadConfig({ env: one.env, cwd: one.folder.path });
    if (config.rootKey === undefined) throw new Error('no root key');
    const node = await startServer({
      config,
      rootKey: config.rootKey,
      log: createLogger(config.log, { write: () => undefined }),
      hasTimers: false,
    });
    await one.done('root-key', 'make-recovery', '--out', 'recovery.json');
    await one.done('root-key', 'add-recovery', '--public-key-file', 'recovery.json.pub');
    vault.isSealed = true;
    const before = (await one.status()).root_keys;
    const sealed = await one.run('client', 'list', '--json');
    expect(JSON.parse(sealed.stderr)).to.include({ error: 'root_key_unavailable' });
    expect(sealed.stderr).to.include('unseal').and.not.include(vault.rootToken);
    // Lost, and made anew under its name: to say that it is the current one would be true and no help.
    vault.isSealed = false;
    await client.deleteKey('transit', 'claviger');
    await client.createKey('transit', 'claviger', 'aes256-gcm96');
    const recover = ['root-key', 'recover', '--recovery-key-file', 'recovery.json', '--yes', '--json'];
    const sameName = await one.run(...recover);
    expect(JSON.parse(sameName.stderr)).to.include({ error: 'root_key_wrong' });
    expect(sameName.stderr).to.include('under another name');
    await vault.close();
    expect((await one.status()).root_keys).to.deep.equal(before);

    await node.tick();
    expect((await get(node, '/readyz')).status).to.equal(200);
    expect((await get(node, '/.well-known/jwks.json')).json.keys).to.have.length(4);
    await node.close();
  });
});
