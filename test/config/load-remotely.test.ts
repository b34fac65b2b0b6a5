import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createRemoteReader } from '../../src/cli/remote-reader.js';
import { type LoadInput, loadConfig } from '../../src/config/load.js';
import {
  loadConfigRemotely,
  loadProvidersRemotely,
  type RemoteReader,
} from '../../src/config/load-remotely.js';
import { configJson, printConfig } from '../../src/config/print.js';
import { UnreadableReference } from '../../src/config/remote-references.js';
import { type AppError, type Fault, isAppError } from '../../src/errors.js';
import { VaultServer } from '../support/vault-server.js';

const ROOT_KEY = randomBytes(32).toString('base64url');
const PASSWORD = 'correct-horse-battery';
const PRODUCTION = {
  CLAVIGER_ENVIRONMENT: 'production',
  CLAVIGER_ISSUER: 'https://auth.example.com',
  CLAVIGER_DATABASE_URL: 'vault:secret/claviger#database',
  CLAVIGER_ROOT_KEY: 'vault:secret/claviger#root_key',
};

describe('settings kept on other machines', () => {
  let cwd: string;
  let vault: VaultServer;
  let reach: Record<string, string>;

  before(async () => {
    vault = new VaultServer();
    await vault.listen();
  });

  beforeEach(() => {
    cwd = mkdtempSync(join(tmpdir(), 'claviger-remote-'));
    vault.requests.length = 0;
    vault.kv2.clear();
    vault.kv1.clear();
    vault.kv2.set('claviger', {
      root_key: ROOT_KEY,
      database: `postgres://claviger:${PASSWORD}@db.internal/claviger?sslmode=verify-full`,
      port: 4711,
      level: 'warn',
      proxies: '10.1.0.0/16,10.2.0.0/16',
      proxy: '10.3.0.1',
    });
    reach = { CLAVIGER_VAULT_ADDRESS: vault.address, CLAVIGER_VAULT_TOKEN: vault.rootToken };
  });

  afterEach(() => rmSync(cwd, { recursive: true, force: true }));
  after(() => vault.close());

  function load(env: Record<string, string>, more: Partial<LoadInput> = {}, reader?: RemoteReader) {
    return loadConfigRemotely({ env, cwd, ...more }, reader ?? createRemoteReader());
  }

  async function refusal(work: Promise<unknown>): Promise<AppError> {
    try {
      await work;
    } catch (error) {
      if (isAppError(error, 'configuration_invalid')) return error;
      throw error;
    }
    throw new Error('the configuration was accepted');
  }

  async function faultsOf(env: Record<string, string>, reader?: RemoteReader): Promise<readonly Fault[]> {
    return (await refusal(load(env, {}, reader))).faults;
  }

  /** Answers for the clouds, whose protocols have tests of their own. */
  function reading(values: Readonly<Record<string, string>>, asked: string[] = []): RemoteReader {
    return () => async reference => {
      asked.push(reference.text);
      const value = values[reference.text];
      if (value === undefined) throw new UnreadableReference('There is none.');
      return value;
    };
  }

  describe('references', () => {
    it('stand for any setting: secret or not, number, choice, list, and entry of a list', async () => {
      writeFileSync(
        join(cwd, 'claviger.yaml'),
        [
          'http:',
          '  port: vault:secret/claviger#port',
          '  trustedProxies: [vault:secret/claviger#proxy, 192.0.2.1]',
          'log:',
          '  level: vault:secret/claviger#level',
          'outbound:',
          '  allowedNetworks: vault:secret/claviger#proxies',
        ].join('\n'),
      );
      const { config } = await load({ ...PRODUCTION, ...reach });
      expect(config.rootKey?.reveal()).to.equal(ROOT_KEY);
      expect(config.database.url).to.include(PASSWORD);
      expect(config.http).to.deep.include({
        port: 4711,
        operationsPort: 4712,
        trustedProxies: ['10.3.0.1', '192.0.2.1'],
      });
      expect(config.log.level).to.equal('warn');
      expect(config.outbound.allowedNetworks).to.deep.equal(['10.1.0.0/16', '10.2.0.0/16']);
    });

    it('ask for each secret once, however many settings are fields of it', async () => {
      await load({ ...PRODUCTION, ...reach, CLAVIGER_LOG_LEVEL: 'vault:secret/claviger#level' });
      expect(vault.requests.filter(each => each === 'GET secret/data/claviger')).to.have.length(1);
    });

    it('ask all at once', async () => {
      let open = 0;
      let most = 0;
      const reader: RemoteReader = () => async () => {
        open += 1;
        most = Math.max(most, open);
        await new Promise(setImmediate);
        open -= 1;
        return '4000';
      };
      await load(
        { CLAVIGER_HTTP_PORT: 'awssm:a', CLAVIGER_HTTP_OPERATIONS_PORT: 'gcpsm:projects/p/secrets/s' },
        {},
        reader,
      ).catch(() => undefined);
      expect(most).to.equal(2);
    });

    it('call nobody when there are none', async () => {
      const reader: RemoteReader = () => {
        throw new Error('a reader was made');
      };
      expect((await load({ CLAVIGER_LOG_LEVEL: 'warn' }, {}, reader)).config.log.level).to.equal('warn');
    });

    it('to the clouds reach who keeps them, whole or by a field', async () => {
      const asked: string[] = [];
      const env = {
        CLAVIGER_LOG_LEVEL: 'awssm:prod/claviger#level',
        CLAVIGER_LOG_FORMAT: 'gcpsm:projects/p/secrets/format',
        CLAVIGER_MAIL_URL: 'azurekv:https://v.vault.azure.net/secrets/mail',
      };
      const values = {
        [env.CLAVIGER_LOG_LEVEL]: 'error',
        [env.CLAVIGER_LOG_FORMAT]: 'json\n',
        [env.CLAVIGER_MAIL_URL]: 'smtps://u:p@mail.example.com',
      };
      const { config } = await load(env, {}, reading(values, asked));
      expect(asked).to.have.members(Object.values(env));
      expect(config.log).to.deep.equal({ level: 'error', format: 'json' });
      expect(config.mail.url).to.equal('smtps://u:p@mail.example.com');
    });

    it('are not followed a second time: a value that looks like one is a value', async () => {
      const values = { 'awssm:name': 'file:/etc/passwd' };
      const { config } = await load({ CLAVIGER_BRANDING_NAME: 'awssm:name' }, {}, reading(values));
      expect(config.branding.name).to.equal('file:/etc/passwd');
    });

    it('on this machine stand for any setting too', async () => {
      writeFileSync(join(cwd, 'level'), 'debug\n', { mode: 0o644 });
      const { config, warnings } = await load({
        CLAVIGER_LOG_LEVEL: 'file:level',
        CLAVIGER_HTTP_PORT: 'env:MY_PORT',
        MY_PORT: '4321',
      });
      expect([config.log.level, config.http.port, config.http.operationsPort]).to.deep.equal([
        'debug',
        4321,
        4322,
      ]);
      expect(warnings, 'no secret: anybody may read it').to.deep.equal([]);
    });

    it('are escaped by literal:', async () => {
      const { config } = await load({
        CLAVIGER_USERS_CLAIM_SCOPES: 'literal:file:size,other:claim',
        CLAVIGER_BRANDING_NAME: 'literal:vault: the bank',
      });
      expect(config.users.claimScopes).to.deep.equal(['file:size', 'other:claim']);
      expect(config.branding.name).to.equal('vault: the bank');
    });

    it('to another machine are refused where nobody may be called', () => {
      const env = { CLAVIGER_LOG_LEVEL: 'vault:secret/claviger#level' };
      expect(() => loadConfig({ env, cwd })).to.throw(/kept on another machine/);
    });
  });

  describe('printing', () => {
    it('shows where a value is kept, and never the value', async () => {
      const loaded = await load({
        ...PRODUCTION,
        ...reach,
        CLAVIGER_HTTP_TRUSTED_PROXIES: '192.0.2.1,vault:secret/claviger#proxy',
        CLAVIGER_LOG_LEVEL: 'vault:secret/claviger#level',
      });
      const table = printConfig(loaded);
      expect(table).to.match(
        /^rootKey +\[redacted\] +env \(CLAVIGER_ROOT_KEY\): vault:secret\/claviger#root_key$/m,
      );
      expect(table).to.match(/^http\.trustedProxies +\[redacted\] .*: vault:secret\/claviger#proxy$/m);
      const { settings } = configJson(loaded);
      expect(settings.find(({ name }) => name === 'log.level')).to.deep.equal({
        name: 'log.level',
        value: '[redacted]',
        source: 'env',
        from: 'CLAVIGER_LOG_LEVEL',
        reference: 'vault:secret/claviger#level',
      });
      const all = table + JSON.stringify(configJson(loaded));
      for (const value of [ROOT_KEY, PASSWORD, '10.3.0.1', 'db.internal', vault.rootToken])
        expect(all).to.not.include(value);
    });
  });

  describe('faults', () => {
    it('are all told in one run, of settings that could be read and of those that could not', async () => {
      vault.kv2.set('wrong', { port: 'a-secret-in-the-wrong-place', networks: 'not-a-network,10.0.0.0/99' });
      const faults = await faultsOf({
        ...PRODUCTION,
        ...reach,
        CLAVIGER_DATABASE_URL: 'vault:secret/none#database',
        CLAVIGER_ROOT_KEY: 'vault:secret/claviger#rootkey',
        CLAVIGER_HTTP_PORT: 'vault:secret/wrong#port',
        CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: 'vault:secret/wrong#networks',
        CLAVIGER_MAIL_URL: 'vault:no-field',
        CLAVIGER_LOG_LEVEL: 'loud',
      });
      const told = new Map(faults.map(({ at, problem }) => [at, problem]));
      expect(told.get('database.url')).to.match(
        /^\(vault:secret\/none#database\) cannot be read: Vault at localhost:\d+ has nothing at secret\/data\/none/,
      );
      expect(told.get('rootKey')).to.match(/The secret has no field rootkey/);
      expect(told.get('http.port')).to.match(/has the wrong form there; it must be a whole number\.$/);
      expect(told.get('outbound.allowedNetworks')).to.match(
        /has the wrong form there; each entry: it must be/,
      );
      expect(told.get('mail.url')).to.equal(
        'is no reference that can be followed; write vault:MOUNT/PATH#FIELD.',
      );
      expect(told.get('log.level')).to.match(/is "loud"; it must be one of/);
      expect(JSON.stringify(faults)).to.not.match(/wrong-place|not-a-network/);
    });

    it('of checks across settings do not repeat what was kept elsewhere', async () => {
      vault.kv2.set('wrong', { networks: '10.9.8.7/99', issuer: 'http://internal-name.example.com' });
      const faults = await faultsOf({
        ...PRODUCTION,
        ...reach,
        CLAVIGER_ISSUER: 'vault:secret/wrong#issuer',
        CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: 'vault:secret/wrong#networks',
      });
      expect(faults.map(({ at }) => at)).to.have.members(['issuer', 'outbound.allowedNetworks']);
      expect(JSON.stringify(faults)).to.not.match(/10\.9\.8\.7|internal-name/);
      const open = await faultsOf({ CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '10.9.8.7/99' });
      expect(JSON.stringify(open), 'control: what stands in the open is named').to.include('10.9.8.7');
    });

    it('of Vault say what is wrong with it', async () => {
      const denied = await faultsOf({
        ...PRODUCTION,
        ...reach,
        CLAVIGER_VAULT_TOKEN: 'hvs.expired-long-ago',
      });
      expect(denied[0]?.problem).to.match(
        /denies secret\/data\/claviger: the policy of its token must grant "read"/,
      );
      expect(JSON.stringify(denied)).to.not.include('hvs.expired-long-ago');
    });

    it('of how Vault is reached are told with those of the references that need it', async () => {
      const faults = await faultsOf({ ...PRODUCTION, CLAVIGER_VAULT_ADDRESS: vault.address });
      expect(faults.map(({ at }) => at)).to.have.members(['database.url', 'rootKey', 'vault.address']);
      expect(faults.find(({ at }) => at === 'rootKey')?.problem).to.match(/said how Vault is reached/);
      expect(vault.requests).to.deep.equal([]);
    });

    it('include a way to Vault that is itself kept on another machine', async () => {
      for (const reference of ['vault:secret/claviger#level', 'awssm:token']) {
        const [fault] = await faultsOf({ ...reach, CLAVIGER_VAULT_TOKEN: reference });
        expect(fault?.at).to.equal('vault.token');
        expect(fault?.problem).to.match(/cannot be kept on one; use file:, env: or credential:/);
      }
    });

    it('judge an environment that cannot be read as strictly as production', async () => {
      const faults = await faultsOf({ CLAVIGER_ENVIRONMENT: 'awssm:none' }, reading({}));
      expect(faults.map(({ at }) => at)).to.include.members(['environment', 'rootKey', 'issuer']);
    });

    it('repeat nothing of an error that nobody foresaw, and of a value only that it cannot be used', async () => {
      const failing: RemoteReader = () => async () => {
        throw new TypeError(`unexpected token in ${PASSWORD}`);
      };
      const [unforeseen] = await faultsOf({ CLAVIGER_ROOT_KEY: 'awssm:key' }, failing);
      expect(unforeseen?.problem).to.equal('(awssm:key) cannot be read: It failed for an unforeseen reason.');
      const [empty] = await faultsOf({ CLAVIGER_ROOT_KEY: 'awssm:key' }, reading({ 'awssm:key': '\n' }));
      expect(empty?.problem).to.match(/is empty there/);
      const huge = reading({ 'awssm:key': 'x'.repeat(70_000) });
      expect((await faultsOf({ CLAVIGER_ROOT_KEY: 'awssm:key' }, huge))[0]?.problem).to.match(
        /too large there/,
      );
    });
  });

  describe('of providers to sign in with', () => {
    const yaml = (secret: string) =>
      `- {id: a, name: A, issuer: https://a.example.com, client_id: x, client_secret: '${secret}'}\n`;

    async function providers(secret: string) {
      writeFileSync(join(cwd, 'providers.yaml'), yaml(secret));
      const env = { ...PRODUCTION, ...reach, CLAVIGER_FEDERATION_PROVIDERS_FILE: 'providers.yaml' };
      const { config } = await load(env);
      return loadProvidersRemotely(config, env, cwd, createRemoteReader());
    }

    it('are client secrets', async () => {
      vault.kv1.set('upstream', { secret: PASSWORD });
      const { providers: found } = await providers('vault:team/old/upstream#secret');
      expect(found[0]?.clientSecret.reveal()).to.equal(PASSWORD);
    });

    it('are refused when they cannot be read', async () => {
      const { faults } = await refusal(providers('vault:team/old/none#secret'));
      expect(faults[0]?.at).to.equal('providers.yaml[0].client_secret');
      expect(faults[0]?.problem).to.match(/has nothing at team\/old\/none/);
    });
  });
});
