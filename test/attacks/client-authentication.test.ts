import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { disableClient } from '../../src/clients/change-client.js';
import { type ClientSecretRecord, matchClientSecret } from '../../src/clients/client-secret.js';
import { checksum, clientSecret } from '../../src/crypto/random-id.js';
import { SecretHasher } from '../../src/crypto/secret-hash.js';
import type { RunningServer } from '../../src/server.js';
import { freshSqlite } from '../support/databases.js';
import {
  type Answer,
  basic,
  Cluster,
  OPERATOR,
  post,
  RESOURCE,
  type SeededClient,
} from '../support/nodes.js';
import type { FreshDatabase } from '../support/postgres.js';
import { auditRows, lastAuditId } from '../support/tables.js';

const ENDPOINTS = ['/oauth2/token', '/oauth2/introspect', '/oauth2/revoke'] as const;
const FORM = { grant_type: 'client_credentials', token: 'x' };

function rawBasic(text: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(text).toString('base64')}` };
}

describe('client authentication under attack (requirement 35)', () => {
  let database: FreshDatabase;
  let cluster: Cluster;
  let node: RunningServer;
  let victim: SeededClient;
  let other: SeededClient;
  let poster: SeededClient;
  let disabled: SeededClient;

  before(async () => {
    database = await freshSqlite();
    cluster = new Cluster({ url: database.url });
    node = await cluster.start();
    await cluster.resourceServer();
    [victim, other, disabled] = [await cluster.client(), await cluster.client(), await cluster.client()];
    poster = await cluster.client({ authMethod: 'client_secret_post' });
    await disableClient(await cluster.operator(), disabled, OPERATOR);
    await node.tick();
  });

  after(async () => {
    await cluster.close();
    await database.drop();
  });

  function expectRefused(answer: Answer, isBasic: boolean): void {
    expect(answer.status).to.equal(401);
    expect(answer.json).to.deep.equal({
      error: 'invalid_client',
      error_description: 'client authentication failed',
    });
    expect(answer.headers.get('cache-control')).to.equal('no-store');
    const challenge = answer.headers.get('www-authenticate');
    // RFC 6749 §5.2: the scheme the client used, and only if it used one.
    if (isBasic) expect(challenge).to.match(/^Basic realm="/);
    else expect(challenge).to.equal(null);
  }

  for (const endpoint of ENDPOINTS) {
    describe(endpoint, () => {
      it('gives an unknown client, a wrong secret, another client’s secret and a disabled client one and the same answer', async () => {
        const unknown = { ...victim, clientId: 'cl_0000000000000000000000' };
        const attempts: readonly SeededClient[] = [
          unknown,
          { ...unknown, clientId: 'nobody' },
          { ...victim, clientSecret: clientSecret() },
          { ...victim, clientSecret: 'short' },
          { ...victim, clientSecret: other.clientSecret },
          disabled,
        ];
        for (const attempt of attempts) {
          expectRefused(await post(node, endpoint, FORM, basic(attempt)), true);
          expectRefused(
            await post(node, endpoint, {
              ...FORM,
              client_id: attempt.clientId,
              client_secret: attempt.clientSecret,
            }),
            false,
          );
        }
      });

      it('accepts the registered method only', async () => {
        const { clientId, clientSecret } = victim;
        expectRefused(
          await post(node, endpoint, { ...FORM, client_id: clientId, client_secret: clientSecret }),
          false,
        );
        expectRefused(await post(node, endpoint, FORM, basic(poster)), true);
        const right = await post(node, endpoint, {
          ...FORM,
          client_id: poster.clientId,
          client_secret: poster.clientSecret,
        });
        expect(right.status).to.equal(200);
      });

      it('refuses two mechanisms at once (RFC 6749 §2.3)', async () => {
        const { clientId, clientSecret } = victim;
        const both = { ...FORM, client_id: clientId, client_secret: clientSecret };
        const answer = await post(node, endpoint, both, basic(victim));
        expect([answer.status, answer.json.error]).to.deep.equal([400, 'invalid_request']);
      });

      it('refuses a client_id beside another one’s Basic credentials', async () => {
        const answer = await post(node, endpoint, { ...FORM, client_id: other.clientId }, basic(victim));
        expect([answer.status, answer.json.error]).to.deep.equal([400, 'invalid_request']);
      });

      it('takes no secret from the address (RFC 6749 §2.3.1)', async () => {
        const query = new URLSearchParams({
          client_id: poster.clientId,
          client_secret: poster.clientSecret,
        }).toString();
        const answer = await post(node, `${endpoint}?${query}`, FORM);
        expect(answer.status).to.be.oneOf([400, 401]);
        expect(answer.text).to.not.include('access_token');
        const named = await post(node, `${endpoint}?${query}`, { ...FORM, client_id: poster.clientId });
        expectRefused(named, false);
      });

      it('takes no method that is not offered', async () => {
        const assertion = {
          ...FORM,
          client_id: victim.clientId,
          client_assertion: 'e30.e30.',
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        };
        expectRefused(await post(node, endpoint, assertion), false);
        expectRefused(await post(node, endpoint, { ...FORM, client_id: victim.clientId }), false);
      });

      for (const [what, headers] of [
        ['no base64', { authorization: 'Basic %%%' }],
        ['no colon', rawBasic('nocolon')],
        ['nothing', { authorization: 'Basic' }],
        ['two spaces', { authorization: 'Basic  eDp5' }],
        ['an empty secret', rawBasic('cl_0000000000000000000000:')],
        ['an empty id', rawBasic(':secret')],
        ['a broken escape', rawBasic('cl_%zz:secret')],
        ['NUL bytes', rawBasic('cl_\0:\0')],
        [
          'bytes that are no UTF-8',
          { authorization: `Basic ${Buffer.from([0xff, 0x3a, 0xfe]).toString('base64')}` },
        ],
        ['another scheme', { authorization: 'Negotiate eDp5' }],
        ['a bearer token', { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' }],
        ['12 kB', rawBasic(`cl_${'x'.repeat(9000)}:y`)],
      ] as const) {
        it(`refuses an Authorization header with ${what}`, async () => {
          const answer = await post(node, endpoint, FORM, headers);
          expect(answer.status).to.be.oneOf([400, 401]);
          expect(answer.json.error).to.be.oneOf(['invalid_request', 'invalid_client']);
          expect(answer.headers.get('cache-control')).to.equal('no-store');
        });
      }
    });
  }

  it('counts the guesses in the audit, without what was guessed', async () => {
    const operator = await cluster.operator();
    const before = await lastAuditId(operator.database);
    const guess = clientSecret();
    await post(node, '/oauth2/token', FORM, basic({ ...victim, clientSecret: guess }));
    const rows = await auditRows(operator.database, before);
    expect(rows).to.have.length(1);
    expect(rows[0]).to.include({
      event: 'token.refused',
      outcome: 'refused',
      actor: 'anonymous',
      client_id: victim.clientId,
      credential_id: null,
    });
    expect(JSON.stringify(rows)).to.not.include(guess);
  });

  it('takes as long for a guess that begins right as for any other (|Δ median| < 1 ms over 10 000)', function () {
    this.timeout(60_000);
    const hasher = new SecretHasher({ id: 'p', key: randomBytes(32) });
    const secret = clientSecret();
    const records: ClientSecretRecord[] = [
      {
        id: 'cs_0000000000000000000000',
        clientId: victim.clientId,
        name: 'initial',
        hash: hasher.hash(secret),
        pepperId: hasher.pepperId,
        createdBy: OPERATOR,
        createdAt: 0,
      },
    ];
    const body = secret.slice(0, -6);
    const last = body.at(-1) === '0' ? '1' : '0';
    const beginning = body.slice(0, -1) + last;
    const guesses = {
      'right prefix': beginning + checksum(beginning),
      'wrong from the start': clientSecret(),
      right: secret,
    };
    const times: Record<string, number[]> = {};
    for (let count = 0; count < 10_000; count += 1) {
      // Alternating, so that whatever else the machine does falls on all alike.
      for (const [name, guess] of Object.entries(guesses)) {
        const started = process.hrtime.bigint();
        const found = matchClientSecret(hasher, records, guess, 1);
        const took = Number(process.hrtime.bigint() - started);
        expect(found !== undefined).to.equal(name === 'right');
        const taken = times[name] ?? [];
        taken.push(took);
        times[name] = taken;
      }
    }
    const median = (list: readonly number[] = []): number =>
      [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0;
    const [prefix, wrong, right] = ['right prefix', 'wrong from the start', 'right'].map(name =>
      median(times[name]),
    );
    process.stdout.write(`      medians: right prefix ${prefix} ns, wrong ${wrong} ns, right ${right} ns\n`);
    expect(Math.abs(Number(prefix) - Number(wrong))).to.be.below(1_000_000);
    expect(Math.abs(Number(right) - Number(wrong))).to.be.below(1_000_000);
  });

  it('ends no client’s right by many wrong guesses of others', async () => {
    for (let count = 0; count < 50; count += 1) {
      await post(node, '/oauth2/token', FORM, basic({ ...victim, clientSecret: clientSecret() }));
    }
    const right = await post(node, '/oauth2/token', { ...FORM, resource: RESOURCE }, basic(victim));
    expect(right.status).to.equal(200);
  });
});
