import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { checkConfig, type Surroundings } from '../../src/config/checks.js';
import { jwksCachedFor, jwksServableFor, retainFor, staleIfErrorFor } from '../../src/config/derived.js';
import { issuerProblem } from '../../src/config/issuer-checks.js';
import { loadConfig } from '../../src/config/load.js';
import { trustedProxyList } from '../../src/config/trusted-proxies.js';
import { isAppError } from '../../src/errors.js';

/** A production server that nothing is wrong with. */
const SOUND = {
  CLAVIGER_ENVIRONMENT: 'production',
  CLAVIGER_ISSUER: 'https://id.example.com',
  CLAVIGER_ROOT_KEY: randomBytes(32).toString('base64url'),
  CLAVIGER_DATABASE_URL: 'sqlite:/var/lib/claviger/claviger.sqlite',
};

/** Public halves of two self-signed certificates; the subject of the first is `CN=Claviger development CA`. */
const DEVELOPMENT_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUCPoMZhrPm1/Hk7iqEWIWtyF0svIwCgYIKoZIzj0EAwIw
IjEgMB4GA1UEAwwXQ2xhdmlnZXIgZGV2ZWxvcG1lbnQgQ0EwIBcNMjYxMTI1MDMz
MjU0WhgPMjEyNjExMDEwMzMyNTRaMCIxIDAeBgNVBAMMF0NsYXZpZ2VyIGRldmVs
b3BtZW50IENBMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAECmcgDDvESWWwjB3/
JrF9IMNbo5ZAdsZW1O8nfGOdfSq+PvGKO1Mo2p3UYXozt3fT5QrxGG1LE1THckSp
sRPu9qNTMFEwHQYDVR0OBBYEFNH0CTjO7U912lwKOBnS/wHBtavHMB8GA1UdIwQY
MBaAFNH0CTjO7U912lwKOBnS/wHBtavHMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
zj0EAwIDSAAwRQIgI/Fqh08oGXN9B18MpQkh0WKEv0FKhq8+kB3YnIRHVXoCIQD6
DyCt6Qcs6GVHQYysKWMlPS7UAAiyfVwLkoNCuV2BaA==
-----END CERTIFICATE-----`;
const OTHER_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBijCCATGgAwIBAgIUaJiL37uFTScj4kt+7kVHZZJh69gwCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPRXhhbXBsZSBDb3JwIENBMCAXDTI2MTEyNTAzMzI1NFoYDzIx
MjYxMTAxMDMzMjU0WjAaMRgwFgYDVQQDDA9FeGFtcGxlIENvcnAgQ0EwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAR8IucRalHWjEw0jcP3hakjyNCYKUStZWyW//ci
tanVxkLrmm0V0CytV/d9/jDQcHJqmEUTlDjacjp3JJ81JpBso1MwUTAdBgNVHQ4E
FgQUZ0OjwYy/a2z6vz8UouFkC89lvUIwHwYDVR0jBBgwFoAUZ0OjwYy/a2z6vz8U
ouFkC89lvUIwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBrPNt1
HASGW+5gf+o1rE0LUEhykEFJ99oILIs5OK27OQIgfs0kijPusR/TfOKTQeXbeJUz
KLDihC1up3nNQ27fjAI=
-----END CERTIFICATE-----`;

describe('configuration checks', () => {
  let cwd: string;
  before(() => {
    cwd = mkdtempSync(join(tmpdir(), 'claviger-checks-'));
  });
  after(() => rmSync(cwd, { recursive: true, force: true }));

  function judged(env: Record<string, string | undefined>) {
    try {
      const { warnings, config } = loadConfig({ env, cwd });
      return { faults: [], warnings, config };
    } catch (error) {
      if (!isAppError(error, 'configuration_invalid')) throw error;
      return { faults: error.faults, warnings: [], config: undefined };
    }
  }
  const production = (env: Record<string, string | undefined> = {}) => judged({ ...SOUND, ...env });
  const development = (env: Record<string, string | undefined> = {}) =>
    judged({ CLAVIGER_ENVIRONMENT: 'development', ...env });
  const places = (found: readonly { at: string }[]) => found.map(({ at }) => at);

  it('find nothing wrong with a sound production configuration', () => {
    const { faults, warnings, config } = production();
    expect([faults, warnings]).to.deep.equal([[], []]);
    expect(config?.log.format).to.equal('json');
  });

  describe('insecure settings are refused outside development, each by name (requirement 120)', () => {
    for (const [title, env, at] of [
      ['no issuer', { CLAVIGER_ISSUER: undefined }, 'issuer'],
      ['an http issuer', { CLAVIGER_ISSUER: 'http://id.example.com' }, 'issuer'],
      ['an http issuer on localhost', { CLAVIGER_ISSUER: 'http://localhost:4400' }, 'issuer'],
      ['no root key', { CLAVIGER_ROOT_KEY: undefined }, 'rootKey'],
      ['a short root key', { CLAVIGER_ROOT_KEY: 'c2hvcnQ' }, 'rootKey'],
      [
        'a typed root key',
        {
          CLAVIGER_ROOT_KEY: Buffer.from('the quick brown fox jumps over 1!'.slice(0, 32)).toString(
            'base64url',
          ),
        },
        'rootKey',
      ],
      ['a patterned root key', { CLAVIGER_ROOT_KEY: Buffer.alloc(32, 7).toString('base64url') }, 'rootKey'],
      ['the default database', { CLAVIGER_DATABASE_URL: undefined }, 'database.url'],
      ['a database in memory', { CLAVIGER_DATABASE_URL: 'sqlite::memory:' }, 'database.url'],
      ['a moved database clock', { CLAVIGER_DATABASE_CLOCK_OFFSET_FOR: '3600' }, 'database.clockOffsetFor'],
      ['an announcement below 25 minutes', { CLAVIGER_KEYS_ANNOUNCE_FOR: '1499' }, 'keys.announceFor'],
      [
        'certificates that are not checked',
        { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
        'NODE_TLS_REJECT_UNAUTHORIZED',
      ],
    ] as const) {
      it(title, () => {
        const { faults } = production(env);
        expect(places(faults)).to.deep.equal([at]);
        expect(faults[0]?.problem).to.match(/;|\. |,/);
        // The control: the same setting is what a development server may have.
        const relaxed = development({ ...env, CLAVIGER_ISSUER: undefined });
        if (title !== 'a short root key') expect(relaxed.faults).to.deep.equal([]);
      });
    }

    it('every environment but development is judged so, and so is one that cannot be read', () => {
      for (const name of ['production', 'staging', 'dev', 'test']) {
        expect(
          places(production({ CLAVIGER_ENVIRONMENT: name, CLAVIGER_ISSUER: 'http://localhost' }).faults),
        ).to.deep.equal(['issuer']);
      }
      const unreadable = production({
        CLAVIGER_ENVIRONMENT: 'Development',
        CLAVIGER_ISSUER: 'http://localhost',
      });
      expect(places(unreadable.faults)).to.have.members(['environment', 'issuer']);
    });

    it('a file of extra certificates that holds one made for development, read from NODE_EXTRA_CA_CERTS', () => {
      writeFileSync(join(cwd, 'extra.pem'), `${OTHER_CERTIFICATE}\n`);
      expect(production({ NODE_EXTRA_CA_CERTS: 'extra.pem' }).faults).to.deep.equal([]);
      writeFileSync(join(cwd, 'extra.pem'), `${OTHER_CERTIFICATE}\n${DEVELOPMENT_CERTIFICATE}\n`);
      expect(places(production({ NODE_EXTRA_CA_CERTS: 'extra.pem' }).faults)).to.deep.equal([
        'NODE_EXTRA_CA_CERTS',
      ]);
      expect(production({ NODE_EXTRA_CA_CERTS: 'missing.pem' }).faults).to.deep.equal([]);
    });

    it('a trusted development certificate', () => {
      const { config } = production();
      if (config === undefined) throw new Error('refused');
      const surroundings: Surroundings = {
        defaulted: new Set(),
        ignoresCertificates: false,
        trustsDevelopmentCertificate: true,
      };
      expect(places(checkConfig(config, surroundings).faults)).to.deep.equal(['NODE_EXTRA_CA_CERTS']);
      expect(checkConfig({ ...config, environment: 'development' }, surroundings).faults).to.deep.equal([]);
    });
  });

  describe('issuer (RFC 8414 §2)', () => {
    for (const issuer of [
      'https://id.example.com',
      'https://id.example.com/tenant/a',
      'https://id.example.com:8443',
    ]) {
      it(`may be ${issuer}`, () => expect(issuerProblem(issuer, 'production')).to.equal(undefined));
    }
    for (const [issuer, expected] of [
      ['id.example.com', 'absolute URL'],
      ['ftp://id.example.com', 'https URL'],
      ['https://id.example.com/', 'slash'],
      ['https://id.example.com/a/', 'slash'],
      ['https://id.example.com?x=1', 'query'],
      ['https://id.example.com#x', 'fragment'],
      ['https://id.example.com?', 'query'],
      ['https://u:p@id.example.com', 'user name'],
      ['https://ID.example.com', 'normal form, https://id.example.com'],
      ['https://id.example.com:443', 'normal form'],
      ['https://id.example.com/a/../b', 'normal form'],
    ] as const) {
      it(`may not be ${issuer}`, () => expect(issuerProblem(issuer, 'production')).to.include(expected));
    }
    it('may be http in development on loopback only', () => {
      expect(issuerProblem('http://127.0.0.1:4400', 'development')).to.equal(undefined);
      expect(issuerProblem('http://[::1]:4400', 'development')).to.equal(undefined);
      expect(issuerProblem('http://192.168.1.5:4400', 'development')).to.include('another machine');
      expect(issuerProblem('http://127.0.0.1.example.com', 'development')).to.include('another machine');
    });
  });

  describe('signing keys', () => {
    it('derive the caching, serving and retaining times from the announcement', () => {
      const config = production().config;
      if (config === undefined) throw new Error('refused');
      expect(staleIfErrorFor(config.keys)).to.equal(43_200);
      expect(staleIfErrorFor({ ...config.keys, announceFor: 30 * 86_400 })).to.equal(86_400);
      expect(jwksCachedFor(config.keys)).to.equal(300 + 60 + 43_200);
      expect(jwksServableFor(config)).to.equal(86_400 - 43_560 - 300);
      expect(retainFor(config)).to.equal(3_600 + 60 + 60 + 43_560);
    });

    it('never stop development from serving its JWKS', () => {
      const { config, faults } = development({ CLAVIGER_KEYS_ANNOUNCE_FOR: '10s' });
      expect(faults).to.deep.equal([]);
      expect(config === undefined ? 0 : jwksServableFor(config)).to.equal(30);
    });

    it('are refused when caches outlive the announcement', () => {
      expect(production({ CLAVIGER_KEYS_ANNOUNCE_FOR: '25m' }).faults).to.deep.equal([]);
      const { faults } = production({
        CLAVIGER_KEYS_ANNOUNCE_FOR: '25m',
        CLAVIGER_KEYS_JWKS_MAX_AGE_FOR: '331',
      });
      expect(places(faults)).to.deep.equal(['keys.announceFor']);
      expect(
        production({ CLAVIGER_KEYS_ANNOUNCE_FOR: '25m', CLAVIGER_KEYS_JWKS_MAX_AGE_FOR: '330' }).faults,
      ).to.deep.equal([]);
    });

    it('warn of an announcement below 2 h 15 min', () => {
      expect(places(production({ CLAVIGER_KEYS_ANNOUNCE_FOR: '8099' }).warnings)).to.deep.equal([
        'keys.announceFor',
      ]);
      expect(production({ CLAVIGER_KEYS_ANNOUNCE_FOR: '8100' }).warnings).to.deep.equal([]);
    });

    it('rotate at least once a year, better every 90 days (requirement 65)', () => {
      const rotateEvery = (CLAVIGER_KEYS_ROTATE_EVERY: string) => production({ CLAVIGER_KEYS_ROTATE_EVERY });
      expect(places(rotateEvery('366d').faults)).to.deep.equal(['keys.rotateEvery']);
      expect(places(rotateEvery('365d').warnings)).to.deep.equal(['keys.rotateEvery']);
      expect(rotateEvery('90d').warnings).to.deep.equal([]);
      expect(production().config?.keys.rotateEvery).to.be.at.most(90 * 86_400);
    });

    it('rotate no faster than keys are announced and withdrawn', () => {
      const sum = 86_400 + 47_280;
      expect(places(production({ CLAVIGER_KEYS_ROTATE_EVERY: String(sum) }).faults)).to.deep.equal([
        'keys.rotateEvery',
      ]);
      expect(production({ CLAVIGER_KEYS_ROTATE_EVERY: String(sum + 1) }).faults).to.deep.equal([]);
      expect(places(development({ CLAVIGER_KEYS_ROTATE_EVERY: '60' }).warnings)).to.deep.equal([
        'keys.rotateEvery',
      ]);
    });

    it('take as a default only what is among them', () => {
      const env = { CLAVIGER_KEYS_ID_TOKEN_ALGORITHM: 'EdDSA' };
      const [fault] = production(env).faults;
      expect(fault?.at).to.equal('keys.idTokenAlgorithm');
      expect(fault?.problem).to.include('is EdDSA, which is not in keys.algorithms; add it there');
      expect(production({ ...env, CLAVIGER_KEYS_ALGORITHMS: 'RS256,EdDSA' }).faults).to.deep.equal([]);
      // ES256 as the default of access tokens is nobody's wish, and gives way.
      expect(production({ CLAVIGER_KEYS_ALGORITHMS: 'RS256' }).faults).to.deep.equal([]);
      const named = { CLAVIGER_KEYS_ALGORITHMS: 'RS256', CLAVIGER_KEYS_ACCESS_TOKEN_ALGORITHM: 'ES256' };
      expect(production(named).faults[0]?.at).to.equal('keys.accessTokenAlgorithm');
    });

    it('include RS256, each algorithm once', () => {
      expect(production({ CLAVIGER_KEYS_ALGORITHMS: 'ES256' }).faults[0]?.problem).to.include('lacks RS256');
      expect(production({ CLAVIGER_KEYS_ALGORITHMS: 'RS256,RS256' }).faults[0]?.problem).to.include('twice');
      expect(production({ CLAVIGER_KEYS_ALGORITHMS: ',' }).faults[0]?.problem).to.include('is empty');
    });
  });

  it('keep access tokens within the longest token, and that within an hour', () => {
    expect(places(production({ CLAVIGER_TOKENS_LONGEST_TOKEN_FOR: '5m' }).faults)).to.deep.equal([
      'tokens.accessTokenFor',
    ]);
    expect(places(production({ CLAVIGER_TOKENS_LONGEST_TOKEN_FOR: '61m' }).faults)).to.deep.equal([
      'tokens.longestTokenFor',
    ]);
  });

  it('keep metrics off the public port', () => {
    expect(places(production({ CLAVIGER_HTTP_OPERATIONS_PORT: '4400' }).faults)).to.deep.equal([
      'http.operationsPort',
    ]);
    expect(places(production({ CLAVIGER_HTTP_PORT: '65535' }).faults)).to.deep.equal(['http.operationsPort']);
  });

  it('take only addresses and ranges as trusted proxies, and never everyone (requirement 108)', () => {
    for (const entry of ['10.0.0.0/33', '10.0.0', '::1/129', '0.0.0.0/0', '::/0', '10.0.0.1/8/8']) {
      expect(places(production({ CLAVIGER_HTTP_TRUSTED_PROXIES: entry }).faults), entry).to.deep.equal([
        'http.trustedProxies',
      ]);
    }
    const list = trustedProxyList(
      production({ CLAVIGER_HTTP_TRUSTED_PROXIES: '10.1.0.0/16,fd00::/8,192.0.2.7' }).config?.http
        .trustedProxies ?? [],
    );
    expect([
      list.check('10.1.2.3'),
      list.check('10.2.0.1'),
      list.check('192.0.2.7'),
      list.check('fd12::1', 'ipv6'),
    ]).to.deep.equal([true, false, true, true]);
  });

  it('find a mail server that cannot be reached and networks that are none before the first mail, all at once', () => {
    for (const url of ['smtp://', 'smtp://host:99999', 'smtps://user:50%@host:465', 'smtp://a%zz:b@host']) {
      const { faults } = production({
        CLAVIGER_MAIL_URL: url,
        CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '10.0.0.0/33,10.0.0.0/8,1.2.3',
      });
      expect(places(faults), url).to.deep.equal([
        ...['mail.url', 'outbound.allowedNetworks', 'outbound.allowedNetworks'],
      ]);
      expect(JSON.stringify(faults)).to.not.include('50%').and.not.include('%zz');
    }
    const sound = production({
      CLAVIGER_MAIL_URL: 'smtps://user:p%40s%25@mail.example.com:465',
      CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '10.0.0.0/8,::1,192.0.2.7',
    });
    expect(sound.faults).to.deep.equal([]);
  });

  it('warn of a development server that others reach and of an unverified database connection', () => {
    expect(places(development({ CLAVIGER_HTTP_HOST: '0.0.0.0' }).warnings)).to.deep.equal(['http.host']);
    expect(places(production({ CLAVIGER_DATABASE_URL: 'postgres://u@db/x' }).warnings)).to.deep.equal([
      'database.url',
    ]);
    expect(
      production({ CLAVIGER_DATABASE_URL: 'postgres://u@db/x?sslmode=verify-full' }).warnings,
    ).to.deep.equal([]);
  });
});
