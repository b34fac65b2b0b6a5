import { expect } from 'chai';
import { emailProblem } from '../../src/clients/field-checks.js';
import { redirectUriMatches, redirectUriProblem } from '../../src/clients/redirect-uri.js';
import { shownDatabaseUrl } from '../../src/config/database-url.js';
import { readDuration } from '../../src/config/duration.js';
import { issuerProblem } from '../../src/config/issuer-checks.js';
import { loadConfig } from '../../src/config/load.js';
import { didYouMean } from '../../src/config/nearest-name.js';
import { proxyProblem } from '../../src/config/trusted-proxies.js';
import { hasValidChecksum, isClientId, secretKindOf } from '../../src/crypto/random-id.js';
import { isResourceIdentifier } from '../../src/resources/resource-server.js';
import { nameProblem, quoted } from '../../src/resources/text-checks.js';
import type { RunningServer } from '../../src/server.js';
import { createVerifier } from '../../src/verifier/verify-access-token.js';
import { freshSqlite } from '../support/databases.js';
import { basic, Cluster, post, type SeededClient } from '../support/nodes.js';
import type { FreshDatabase } from '../support/postgres.js';

const LONG = 100_000;
/** Repetitions that have made regular expressions of others run for minutes, with an end that matches nothing. */
const HOSTILE = [
  'a',
  '0',
  ' ',
  '.',
  ',',
  '=',
  '%',
  '-',
  '/',
  ':',
  '\\',
  '"',
  'aA0',
  '1h',
  'a.',
  '::',
  '\t ',
  '%41',
  '<',
  'é',
]
  .flatMap(unit => [unit.repeat(LONG / unit.length), `${unit.repeat(LONG / unit.length)}!`])
  .concat([
    `cvg_cs_${'a'.repeat(LONG)}`,
    `https://${'a.'.repeat(LONG / 2)}`,
    `eyJ${'A'.repeat(LONG / 2)}.${'A'.repeat(LONG / 2)}`,
  ]);

/** The quickest of a few, if the first was slow: a pause of the machine is no attack, and an attack is slow each time. */
async function took(work: () => unknown): Promise<number> {
  const times: number[] = [];
  for (let time = 0; time < 5 && Math.min(...times) >= 25; time += 1) {
    const started = performance.now();
    try {
      await work();
    } catch {
      // Refused is as good as answered.
    }
    times.push(performance.now() - started);
  }
  return Math.min(...times);
}

describe('hostile inputs of 100 kB cost less than 50 ms (requirement 116)', () => {
  const verifier = createVerifier({
    issuer: 'https://id.example',
    audience: 'https://api.example',
    jwks: () => ({ keys: [] }),
  });
  const base = {
    CLAVIGER_ENVIRONMENT: 'development',
    CLAVIGER_ISSUER: 'http://localhost:4400',
    CLAVIGER_DATABASE_URL: 'sqlite:/nonexistent/x',
  };
  const FUNCTIONS: Readonly<Record<string, (input: string) => unknown>> = {
    secretKindOf,
    hasValidChecksum,
    isClientId,
    isResourceIdentifier,
    nameProblem,
    quoted,
    emailProblem,
    redirectUriProblem: input => redirectUriProblem(input, 'native', { isDevelopment: true }),
    redirectUriMatches: input =>
      redirectUriMatches({ applicationType: 'native', redirectUris: [`http://127.0.0.1/${input}`] }, input),
    issuerProblem: input => issuerProblem(input, 'production'),
    readDuration,
    proxyProblem,
    shownDatabaseUrl,
    didYouMean: input => didYouMean(input, ['http.port', 'issuer']),
    'verifier.verify': input => verifier.verify(input),
    'verifier.verify (as a part)': input => verifier.verify(`eyJhbGciOiJFUzI1NiJ9.${input}.AAAA`),
    'loadConfig (issuer)': input =>
      loadConfig({ env: { ...base, CLAVIGER_ISSUER: input }, cwd: '/nonexistent' }),
    'loadConfig (a duration)': input =>
      loadConfig({ env: { ...base, CLAVIGER_KEYS_ANNOUNCE_FOR: input }, cwd: '/nonexistent' }),
    'loadConfig (an unknown name)': input =>
      loadConfig({ env: { ...base, [`CLAVIGER_${input}`]: '1' }, cwd: '/nonexistent' }),
  };
  for (const [name, call] of Object.entries(FUNCTIONS)) {
    it(name, async function () {
      this.timeout(30_000);
      for (const input of HOSTILE) {
        expect(await took(() => call(input)), JSON.stringify(input.slice(0, 20))).to.be.below(50);
      }
    });
  }

  describe('at the endpoints', () => {
    let database: FreshDatabase;
    let cluster: Cluster;
    let node: RunningServer;
    let client: SeededClient;

    before(async () => {
      database = await freshSqlite();
      // The widest that may be configured, so that the whole input is read.
      cluster = new Cluster({ url: database.url, env: { CLAVIGER_HTTP_BODY_LIMIT: '1048576' } });
      node = await cluster.start();
      await cluster.resourceServer();
      client = await cluster.client();
    });

    after(async () => {
      await cluster.close();
      await database.drop();
    });

    for (const field of ['grant_type', 'scope', 'resource', 'client_id', 'token', 'x']) {
      it(`in the parameter ${field}`, async function () {
        this.timeout(60_000);
        for (const hostile of HOSTILE) {
          // The core reads 56 kB; the rest of the attack is refused before.
          for (const input of [hostile, hostile.slice(0, 15_000)]) {
            const form = { grant_type: 'client_credentials', token: 'x', [field]: input };
            for (const path of ['/oauth2/token', '/oauth2/introspect']) {
              const time = await took(() => post(node, path, form, basic(client)));
              expect(time, `${path} ${JSON.stringify(input.slice(0, 10))}`).to.be.below(50);
            }
          }
        }
      });
    }

    it('in the headers', async function () {
      this.timeout(60_000);
      for (const hostile of HOSTILE) {
        const input = hostile.slice(0, 12_000).replace(/[^\x20-\x7e]/g, 'x');
        for (const name of [
          'authorization',
          'dpop',
          'x-forwarded-for',
          'user-agent',
          'accept',
          'if-none-match',
        ]) {
          const value = name === 'authorization' ? `Basic ${input}` : input;
          const time = await took(() => post(node, '/oauth2/token', {}, { [name]: value }));
          expect(time, `${name} ${JSON.stringify(input.slice(0, 10))}`).to.be.below(50);
        }
      }
    });
  });
});
