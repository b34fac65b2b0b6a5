import { expect } from 'chai';
import { createClient } from '../../src/clients/change-client.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import {
  type Answer,
  answerOf,
  basic,
  Cluster,
  OPERATOR,
  post,
  type SeededClient,
  urlOf,
} from '../support/nodes.js';
import { rawRequest, statusOf } from '../support/raw-request.js';
import { auditRows, lastAuditId, rowCounts } from '../support/tables.js';

const ENDPOINTS = ['/oauth2/token', '/oauth2/introspect', '/oauth2/revoke'] as const;
const FORM = 'grant_type=client_credentials&token=x';

describe('bad input', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let node: RunningServer;
    let client: SeededClient;
    let counts: Record<string, number>;

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      node = await cluster.start({ hasTimers: false });
      await cluster.resourceServer();
      client = await cluster.client();
      await node.tick();
    });

    after(() => cluster.close());

    beforeEach(async () => {
      counts = await rowCounts((await cluster.operator()).database);
    });

    afterEach(async () => {
      expect(await rowCounts((await cluster.operator()).database), 'nothing half-written').to.deep.equal(
        counts,
      );
    });

    function expectError(answer: Answer, status: number, error: string): void {
      expect([answer.status, answer.json.error], answer.text).to.deep.equal([status, error]);
      expect(answer.headers.get('content-type')).to.match(/^application\/json/);
      expect(answer.headers.get('cache-control')).to.equal('no-store');
      expect(answer.text).to.not.match(/\bat .+:\d+|node_modules|\/src\/|Error:/);
    }

    async function send(path: string, init: RequestInit): Promise<Answer> {
      return answerOf(
        await fetch(urlOf(node, path), {
          method: 'POST',
          ...init,
          headers: { ...basic(client), ...(init.headers as Record<string, string>) },
        }),
      );
    }

    const form = { 'content-type': 'application/x-www-form-urlencoded' };

    for (const endpoint of ENDPOINTS) {
      describe(endpoint, () => {
        it('refuses JSON and other kinds of body (invalid_request, RFC 6749 §3.2)', async () => {
          for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x', 'x']) {
            const body = JSON.stringify({ grant_type: 'client_credentials', token: 'x' });
            expectError(
              await send(endpoint, { body, headers: { 'content-type': type } }),
              400,
              'invalid_request',
            );
          }
        });

        it('answers GET, HEAD, PUT and DELETE with 405 and the methods that work', async () => {
          for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
            const answer = await send(`${endpoint}?${FORM}`, { method });
            expect(answer.status).to.equal(405);
            // Browsers ask some of them beforehand (Fetch: CORS).
            expect(answer.headers.get('allow')).to.match(/^POST(, OPTIONS)?$/);
            expect(answer.headers.get('cache-control')).to.equal('no-store');
          }
        });

        it('refuses a duplicated parameter (invalid_request, RFC 6749 §3.2)', async () => {
          const body = `${FORM}&${FORM}`;
          expectError(await send(endpoint, { body, headers: form }), 400, 'invalid_request');
          const ids = `${FORM}&client_id=${client.clientId}&client_id=${client.clientId}`;
          expectError(await send(endpoint, { body: ids, headers: form }), 400, 'invalid_request');
        });

        it('ignores a parameter it does not know, also a duplicated one (RFC 6749 §3.2)', async () => {
          const body = `${FORM}&colour=red&colour=blue&__proto__=x&constructor=x&toString=x`;
          expect((await send(endpoint, { body, headers: form })).status).to.equal(200);
        });

        it('treats a parameter without a value as omitted (RFC 6749 §3.2)', async () => {
          const body = endpoint === '/oauth2/token' ? `${FORM}&scope=&resource=` : `${FORM}&token_type_hint=`;
          expect((await send(endpoint, { body, headers: form })).status).to.equal(200);
        });

        it('refuses a body over the limit with 413 before reading it', async () => {
          const body = `${FORM}&x=${'x'.repeat(60 * 1024)}`;
          expectError(await send(endpoint, { body, headers: form }), 413, 'invalid_request');
        });

        it('refuses a body over the limit that does not tell its length', async () => {
          const chunk = 'x'.repeat(1024);
          const head = [
            `POST ${endpoint} HTTP/1.1`,
            'Host: localhost',
            'Content-Type: application/x-www-form-urlencoded',
            'Transfer-Encoding: chunked',
            'Connection: close',
            `Authorization: ${basic(client).authorization}`,
          ].join('\r\n');
          const chunks = `${chunk.length.toString(16)}\r\n${chunk}\r\n`.repeat(80);
          const answer = await rawRequest(node.port, `${head}\r\n\r\n${chunks}0\r\n\r\n`);
          expect(statusOf(answer)).to.be.oneOf([400, 413]);
          expect(answer).to.include('invalid_request');
        });

        it('refuses an address over the limit with 414, and headers over Node’s with 431', async () => {
          const long = await send(`${endpoint}?x=${'x'.repeat(9000)}`, { body: FORM, headers: form });
          expectError(long, 414, 'invalid_request');
          const head = `POST ${endpoint} HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`;
          expect(statusOf(await rawRequest(node.port, head))).to.equal(431);
        });

        it('reads broken percent-encoding, NUL bytes and broken UTF-8 as text that matches nothing', async () => {
          for (const text of [
            '%',
            '%zz',
            '%00',
            '%ff%fe',
            '%u0000',
            '\0',
            'a=b=c',
            '&&&===',
            '[]',
            '%5B%5D=1',
          ]) {
            const answer = await send(endpoint, { body: `${FORM}&scope=${text}&${text}`, headers: form });
            expect(answer.status, text).to.be.oneOf([200, 400]);
            if (answer.status === 400)
              expect(answer.json.error).to.be.oneOf(['invalid_scope', 'invalid_request']);
          }
        });

        it('reads UTF-8, whatever character set the request claims (RFC 6749 Appendix B)', async () => {
          const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=nonsense' };
          expect((await send(endpoint, { body: FORM, headers })).status).to.equal(200);
        });

        it('answers an empty request with invalid_request', async () => {
          expectError(await post(node, endpoint, ''), 400, 'invalid_request');
          expectError(
            await answerOf(await fetch(urlOf(node, endpoint), { method: 'POST' })),
            400,
            'invalid_request',
          );
        });

        it('speaks JSON also to who would rather have HTML', async () => {
          const answer = await post(node, endpoint, '', { accept: 'text/html' });
          expectError(answer, 400, 'invalid_request');
        });

        it('audits a refusal whose body was never read, although something has changed meanwhile', async () => {
          const operator = await cluster.operator();
          await createClient(
            { ...operator, hasher: operator.keys.hasher },
            { name: 'change', resources: [] },
            OPERATOR,
          );
          counts = await rowCounts(operator.database);
          const last = await lastAuditId(operator.database);
          expectError(
            await send(endpoint, { body: '{}', headers: { 'content-type': 'application/json' } }),
            400,
            'invalid_request',
          );
          expect(await auditRows(operator.database, last)).to.have.length(1);
          await node.tick();
        });

        it('keeps of what a caller sent no more than a line of the audit needs', async () => {
          const { database } = await cluster.operator();
          const last = await lastAuditId(database);
          const huge = 'x'.repeat(10_000);
          await post(node, endpoint, {
            client_id: huge,
            grant_type: huge,
            scope: huge,
            resource: huge,
            token: huge,
          });
          await post(node, endpoint, { grant_type: huge, token: huge, resource: huge }, basic(client));
          const rows = await auditRows(database, last);
          expect(rows).to.have.length(2);
          for (const row of rows) expect(JSON.stringify(row).length).to.be.below(3000);
        });
      });
    }

    it('refuses a scope that is huge or not one (invalid_scope, RFC 6749 §3.3)', async () => {
      const scopes = [
        'x'.repeat(50_000),
        'orders.read '.repeat(4000),
        'a"b',
        'a\\b',
        'ü',
        'orders.read\torders.write',
      ];
      for (const scope of scopes) {
        const answer = await post(
          node,
          '/oauth2/token',
          { grant_type: 'client_credentials', scope },
          basic(client),
        );
        expectError(answer, 400, 'invalid_scope');
      }
    });

    it('knows no address but its own', async () => {
      for (const path of [
        '/',
        '/oauth2',
        '/oauth2/token/',
        '/oauth2/TOKEN',
        '//oauth2/token',
        '/oauth2/authorize/',
        '/oauth2/authorize/a/b',
        '/oauth2/register',
        '/oauth2/userinfo/x',
        '/oauth2/par/',
        '/interaction',
        '/interaction/*',
        '/account/nowhere',
        '/metrics',
        '/%',
        '/.env',
        '/oauth2%2ftoken',
      ]) {
        const answer = await send(path, { body: FORM, headers: form });
        expect(answer.status, path).to.be.oneOf([404, 400]);
        expect(answer.headers.get('cache-control')).to.equal('no-store');
      }
    });

    for (const [what, bytes] of [
      ['no HTTP', 'hello\r\n\r\n'],
      [
        'two lengths',
        `POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabc`,
      ],
      [
        'a length and chunks',
        `POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      ],
      [
        'a chunk of a wrong size',
        `POST /oauth2/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
      ],
      ['a header with a NUL', `POST /oauth2/token HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n`],
    ] as const) {
      it(`refuses ${what} without an answer of the core`, async () => {
        const answer = await rawRequest(node.port, bytes, 500);
        expect(statusOf(answer)).to.be.oneOf([0, 400]);
      });
    }
  });
});
