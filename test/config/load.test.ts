import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { type LoadInput, loadConfig } from '../../src/config/load.js';
import { configJson, printConfig } from '../../src/config/print.js';
import { type AppError, type Fault, isAppError } from '../../src/errors.js';

const ROOT_KEY = randomBytes(32).toString('base64url');

describe('configuration loading', () => {
  let cwd: string;

  beforeEach(() => {
    cwd = mkdtempSync(join(tmpdir(), 'claviger-config-'));
  });

  afterEach(() => {
    rmSync(cwd, { recursive: true, force: true });
  });

  function load(input: Partial<LoadInput> = {}) {
    return loadConfig({ env: {}, cwd, ...input });
  }

  function refusal(input: Partial<LoadInput>): AppError {
    try {
      load(input);
    } catch (error) {
      if (isAppError(error, 'configuration_invalid')) return error;
      throw error;
    }
    throw new Error('the configuration was accepted');
  }

  function faultsOf(input: Partial<LoadInput>): readonly Fault[] {
    return refusal(input).faults;
  }

  function write(name: string, content: string, mode = 0o600): string {
    const path = join(cwd, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }

  describe('defaults', () => {
    it('start a development server on localhost:4400 with SQLite and no root key', () => {
      const { config, warnings } = load();
      expect(config.environment).to.equal('development');
      expect(config.issuer).to.equal('http://localhost:4400');
      expect(config.http).to.deep.include({
        host: '127.0.0.1',
        port: 4400,
        operationsPort: 4401,
        bodyLimit: 57_344,
        trustedHops: 1,
      });
      expect(config.http.trustedProxies).to.deep.equal([]);
      expect(config.database.url).to.equal('sqlite:.claviger/claviger.sqlite');
      expect(config.keys.algorithms).to.deep.equal(['ES256', 'RS256']);
      expect(config.rootKey).to.equal(undefined);
      expect(config.log).to.deep.equal({ level: 'info', format: 'pretty' });
      expect(warnings).to.deep.equal([]);
    });

    it('derive the issuer and the operations port from the port, and leave port 0 to the system', () => {
      const moved = load({ flags: { 'http.port': '5500' } }).config;
      expect([moved.issuer, moved.http.operationsPort]).to.deep.equal(['http://localhost:5500', 5501]);
      expect(load({ flags: { 'http.port': '0' } }).config.http.operationsPort).to.equal(0);
    });

    it('are frozen at every depth', () => {
      const { config } = load();
      expect(Object.isFrozen(config)).to.equal(true);
      expect(Object.isFrozen(config.http.trustedProxies)).to.equal(true);
      expect(() => Object.assign(config.keys, { announceFor: 1 })).to.throw(TypeError);
    });
  });

  describe('precedence', () => {
    it('is flag over environment over file over default, and each source is told', () => {
      write('claviger.yaml', 'http: { port: 1001, host: ::1, trustedHops: 2 }\nlog: { level: warn }\n');
      const env = { CLAVIGER_HTTP_PORT: '1002', CLAVIGER_HTTP_HOST: 'localhost' };
      const { config, sources } = load({ env, flags: { 'http.port': '1003' } });
      expect(config.http).to.deep.include({ port: 1003, host: 'localhost', trustedHops: 2 });
      const told = Object.fromEntries(sources.map(({ name, source }) => [name, source]));
      expect(told).to.deep.include({
        'http.port': 'flag',
        'http.host': 'env',
        'http.trustedHops': 'file',
        'http.bodyLimit': 'default',
      });
    });

    it('takes the file of --config before CLAVIGER_CONFIG before ./claviger.yaml', () => {
      write('claviger.yaml', 'http: { port: 1 }\n');
      write('two.yaml', 'http: { port: 2 }\n');
      write('three.yaml', 'http: { port: 3 }\n');
      expect(load().config.http.port).to.equal(1);
      expect(load({ env: { CLAVIGER_CONFIG: 'two.yaml' } }).config.http.port).to.equal(2);
      expect(load({ env: { CLAVIGER_CONFIG: 'two.yaml' }, file: 'three.yaml' }).config.http.port).to.equal(3);
    });

    it('refuses a named file that is missing', () => {
      expect(faultsOf({ file: 'missing.yaml' })[0]?.problem).to.include('ENOENT');
    });

    it('takes the environment production from NODE_ENV only when nothing else names one', () => {
      const production = refusal({ env: { NODE_ENV: 'production' } });
      expect(production.faults.map(({ at }) => at)).to.include.members(['issuer', 'rootKey']);
      const staging = load({ env: { NODE_ENV: 'production', CLAVIGER_ENVIRONMENT: 'development' } });
      expect(staging.config.environment).to.equal('development');
    });

    it('counts an empty variable as absent', () => {
      expect(load({ env: { CLAVIGER_HTTP_PORT: '' } }).config.http.port).to.equal(4400);
    });
  });

  describe('forms of values', () => {
    it('reads durations, sizes and lists from every source', () => {
      write(
        'claviger.yaml',
        'keys: { rotateEvery: 60d, announceFor: 90000 }\nhttp: { trustedProxies: [10.0.0.0/8, "::1"] }\n',
      );
      const { config } = load({
        env: { CLAVIGER_HTTP_BODY_LIMIT: '64KiB', CLAVIGER_KEYS_ALGORITHMS: 'RS256, ES256' },
      });
      expect(config.keys).to.deep.include({ rotateEvery: 5_184_000, announceFor: 90_000 });
      expect(config.keys.algorithms).to.deep.equal(['RS256', 'ES256']);
      expect(config.http).to.deep.include({ bodyLimit: 65_536 });
      expect(config.http.trustedProxies).to.deep.equal(['10.0.0.0/8', '::1']);
    });

    for (const [variable, value, expected] of [
      ['CLAVIGER_HTTP_PORT', '65536', 'between 0 and 65535'],
      ['CLAVIGER_HTTP_PORT', '44oo', 'whole number'],
      ['CLAVIGER_KEYS_ANNOUNCE_FOR', 'soon', 'write it as 90s'],
      ['CLAVIGER_HTTP_BODY_LIMIT', '1GiB', 'write it as 56KiB'],
      ['CLAVIGER_LOG_LEVEL', 'loud', 'one of debug, info, warn, error'],
      ['CLAVIGER_KEYS_ALGORITHMS', 'RS256,none', 'one of ES256, ES384, PS256, RS256'],
      ['CLAVIGER_ENVIRONMENT', 'Production', '1 to 32 of'],
      ['CLAVIGER_DATABASE_URL', 'mysql://h/d', 'sqlite:PATH or postgres://'],
    ] as const) {
      it(`refuses ${variable}=${value} and says what to write`, () => {
        expect(
          faultsOf({ env: { [variable]: value } })
            .map(({ problem }) => problem)
            .join(),
        ).to.include(expected);
      });
    }
  });

  describe('unknown names (requirement 120)', () => {
    it('are refused in the file, with a suggestion', () => {
      write('claviger.yaml', 'http: { prot: 1 }\nannounceFor: 25m\nisuer: x\nlogs: { level: info }\n');
      const problems = faultsOf({}).map(({ problem }) => problem);
      expect(problems).to.deep.equal([
        'http.prot is not a setting. Did you mean http.port?',
        'announceFor is not a setting. Did you mean keys.announceFor?',
        'isuer is not a setting. Did you mean issuer?',
        'logs is not a setting. Did you mean log?',
      ]);
    });

    it('are refused among CLAVIGER_ variables and flags, with a suggestion', () => {
      const faults = faultsOf({
        env: { CLAVIGER_HTTP_PROT: '1', CLAVIGER_ISSUER_FILE: '/x' },
        flags: { 'htp.port': '1' },
      });
      expect(faults).to.deep.include({
        at: 'CLAVIGER_HTTP_PROT',
        problem: 'This variable is not a setting. Did you mean CLAVIGER_HTTP_PORT?',
      });
      expect(faults.map(({ at }) => at)).to.include.members(['CLAVIGER_ISSUER_FILE', '--htp.port']);
    });

    it('do not include what Kubernetes writes for a Service named claviger', () => {
      const env = {
        CLAVIGER_SERVICE_HOST: '10.0.0.1',
        CLAVIGER_SERVICE_PORT: '80',
        CLAVIGER_PORT: 'tcp://10.0.0.1:80',
        CLAVIGER_PORT_80_TCP_ADDR: '10.0.0.1',
        CLAVIGER_HTTP_PORT: 'tcp://10.0.0.2:80',
      };
      expect(load({ env }).config.http.port).to.equal(4400);
      expect(faultsOf({ env: { CLAVIGER_PORT: '4400' } })).to.have.length(1);
    });

    it('include a setting written twice, a section that is a value, and broken YAML', () => {
      write('claviger.yaml', 'log: { level: info }\nlog: { level: warn }\n');
      expect(faultsOf({})[0]?.problem).to.include('not valid YAML');
      write('claviger.yaml', 'http: 4400\n');
      expect(faultsOf({})[0]?.problem).to.include('is a section');
      write('claviger.yaml', '- http\n');
      expect(faultsOf({})[0]?.problem).to.include('Must be a mapping');
    });
  });

  it('reports every fault of every source at once', () => {
    write('claviger.yaml', 'log: { level: loud }\nclients: { cachesize: 5 }\n');
    const error = refusal({
      env: {
        CLAVIGER_ENVIRONMENT: 'production',
        CLAVIGER_ISSUER: 'http://id.example.com',
        CLAVIGER_HTTP_PORT: 'x',
      },
    });
    expect(error.faults.map(({ at }) => at)).to.have.members([
      join(cwd, 'claviger.yaml'),
      'http.port',
      'log.level',
      'issuer',
      'rootKey',
      'database.url',
    ]);
    for (const { at } of error.faults) expect(error.message).to.include(at);
  });

  describe('secrets', () => {
    const revealed = (input: Partial<LoadInput>) => load(input).config.rootKey?.reveal();

    it('come from a variable, a …_FILE variable, or a reference to a file, a variable or a systemd credential', () => {
      const path = write('root-key', `${ROOT_KEY}\n`);
      mkdirSync(join(cwd, 'credentials'));
      write('credentials/root', ROOT_KEY, 0o440);
      const reference = (rootKey: string, more: Record<string, string> = {}) =>
        revealed({ env: { CLAVIGER_ROOT_KEY: rootKey, ...more } });
      expect(reference(ROOT_KEY)).to.equal(ROOT_KEY);
      expect(revealed({ env: { CLAVIGER_ROOT_KEY_FILE: path } })).to.equal(ROOT_KEY);
      expect(reference(`file:${path}`)).to.equal(ROOT_KEY);
      expect(reference('env:OTHER', { OTHER: ROOT_KEY })).to.equal(ROOT_KEY);
      expect(reference('credential:root', { CREDENTIALS_DIRECTORY: join(cwd, 'credentials') })).to.equal(
        ROOT_KEY,
      );
      write('claviger.yaml', 'rootKey: file:root-key\n');
      expect(revealed({})).to.equal(ROOT_KEY);
      expect(revealed({ flags: { rootKey: 'file:root-key' } })).to.equal(ROOT_KEY);
    });

    it('may stand in the file in development only', () => {
      write('claviger.yaml', `rootKey: ${ROOT_KEY}\n`);
      expect(revealed({})).to.equal(ROOT_KEY);
      const fault = faultsOf({ env: { CLAVIGER_ENVIRONMENT: 'staging' } }).find(({ at }) => at === 'rootKey');
      expect(fault?.problem).to.include('stands readable in').and.include('file:/path');
    });

    it('are refused as a flag everywhere, for arguments are visible to the whole machine', () => {
      const error = refusal({
        flags: { rootKey: ROOT_KEY, 'database.url': 'postgres://u:hunter2@localhost/d' },
      });
      expect(error.faults.map(({ at }) => at)).to.deep.equal(['database.url', 'rootKey']);
      expect(load({ flags: { 'database.url': 'sqlite:x' } }).config.database.url).to.equal('sqlite:x');
    });

    it('are refused when given twice, unreadable, empty, or by a name that climbs out of the credentials', () => {
      const path = write('root-key', ROOT_KEY);
      const empty = write('empty', '\n');
      const problem = (env: Record<string, string>) =>
        faultsOf({ env })
          .map(fault => fault.problem)
          .join();
      expect(problem({ CLAVIGER_ROOT_KEY: ROOT_KEY, CLAVIGER_ROOT_KEY_FILE: path })).to.include('keep one');
      expect(problem({ CLAVIGER_ROOT_KEY_FILE: join(cwd, 'none') })).to.include('ENOENT');
      expect(problem({ CLAVIGER_ROOT_KEY_FILE: cwd })).to.include('not a file');
      expect(problem({ CLAVIGER_ROOT_KEY_FILE: empty })).to.include('is empty');
      expect(problem({ CLAVIGER_ROOT_KEY: 'env:NOBODY' })).to.include('NOBODY, which is not set');
      expect(problem({ CLAVIGER_ROOT_KEY: 'credential:root' })).to.include('LoadCredential=root');
      const climbing = { CLAVIGER_ROOT_KEY: 'credential:../root-key', CREDENTIALS_DIRECTORY: join(cwd, 'x') };
      expect(problem(climbing)).to.include('names no systemd credential');
    });

    it('warn when others can read their file, and only then', () => {
      const env = { CLAVIGER_ROOT_KEY_FILE: write('root-key', ROOT_KEY, 0o640) };
      expect(load({ env }).warnings[0]?.problem).to.include('mode 0640');
      chmodSync(env.CLAVIGER_ROOT_KEY_FILE, 0o600);
      expect(load({ env }).warnings).to.deep.equal([]);
    });

    it('appear in no print, no JSON, no inspection and no fault', () => {
      const env = {
        CLAVIGER_ROOT_KEY: ROOT_KEY,
        CLAVIGER_DATABASE_URL: 'postgres://u:hunter2@localhost/d?password=hunter2',
      };
      const loaded = load({ env });
      const printed = [
        printConfig(loaded),
        JSON.stringify(configJson(loaded)),
        JSON.stringify(loaded),
        `${loaded.config.rootKey}`,
      ];
      printed.push(
        inspect(loaded.config.rootKey),
        refusal({ env: { CLAVIGER_ROOT_KEY: `${ROOT_KEY}!` } }).message,
      );
      printed.push(refusal({ env: { CLAVIGER_DATABASE_URL: 'postgre://u:hunter2@h/d' } }).message);
      printed.splice(2, 1, inspect(loaded.sources, { depth: 9 }));
      for (const text of printed) {
        expect(text).to.not.include(ROOT_KEY);
        expect(text).to.not.include('hunter2');
      }
      expect(printConfig(loaded)).to.match(/^rootKey +\[redacted\] +env \(CLAVIGER_ROOT_KEY\)$/m);
    });

    it('appear in no message when given where their file was meant', () => {
      for (const CLAVIGER_ROOT_KEY_FILE of [ROOT_KEY, randomBytes(32).toString('base64')]) {
        const { message } = refusal({ env: { CLAVIGER_ROOT_KEY_FILE } });
        if (CLAVIGER_ROOT_KEY_FILE.startsWith('/')) continue;
        expect(message).to.include('not the secret');
        expect(message).to.not.include(CLAVIGER_ROOT_KEY_FILE);
      }
    });

    it('appear in no message about a broken file', () => {
      write('claviger.yaml', `rootKey: "${ROOT_KEY}\n\t: [`);
      expect(refusal({}).message).to.not.include(ROOT_KEY);
    });
  });
});
