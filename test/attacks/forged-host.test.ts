import { expect } from 'chai';
import type { RunningServer } from '../../src/server.js';
import { freshSqlite } from '../support/databases.js';
import { ProofKey } from '../support/dpop.js';
import { basic, Cluster, get, ISSUER, type SeededClient } from '../support/nodes.js';
import type { FreshDatabase } from '../support/postgres.js';
import { rawRequest, statusOf } from '../support/raw-request.js';
import { auditRows, lastAuditId } from '../support/tables.js';

const FORGED = [
  'Host: evil.example',
  'Host: localhost:4400\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https',
  'Host: evil.example\r\nForwarded: for=1.2.3.4;host=evil.example;proto=https',
  'Host: evil.example\r\nX-Original-URL: /oauth2/other\r\nX-Rewrite-URL: /oauth2/other',
] as const;

describe('a forged Host and forged forwarded headers', () => {
  let database: FreshDatabase;
  let cluster: Cluster;
  let node: RunningServer;
  let client: SeededClient;

  before(async () => {
    database = await freshSqlite();
    cluster = new Cluster({ url: database.url });
    node = await cluster.start();
    await cluster.resourceServer();
    client = await cluster.client();
  });

  after(async () => {
    await cluster.close();
    await database.drop();
  });

  function raw(line: string, headers: string, body = ''): Promise<string> {
    const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
    const type = 'Content-Type: application/x-www-form-urlencoded\r\n';
    return rawRequest(node.port, `${line}\r\n${headers}\r\n${type}${length}Connection: close\r\n\r\n${body}`);
  }

  for (const headers of FORGED) {
    const shown = headers.replaceAll('\r\n', ', ');

    it(`change nothing in the metadata (${shown})`, async () => {
      const right = await get(node, '/.well-known/openid-configuration');
      const answer = await raw('GET /.well-known/openid-configuration HTTP/1.1', headers);
      expect(statusOf(answer)).to.equal(200);
      expect(answer.slice(answer.indexOf('\r\n\r\n') + 4)).to.equal(right.text);
      expect(answer).to.not.include('evil');
    });

    it(`do not change the address that a DPoP proof must name (${shown}; RFC 9449 §4.3)`, async () => {
      const key = await ProofKey.generate();
      for (const line of ['POST /oauth2/token HTTP/1.1', 'POST http://evil.example/oauth2/token HTTP/1.1']) {
        const ask = async (htu: string): Promise<number> => {
          const all = `${headers}\r\nAuthorization: ${basic(client).authorization}\r\nDPoP: ${await key.proof({ htu })}`;
          return statusOf(await raw(line, all, 'grant_type=client_credentials'));
        };
        expect(await ask(`${ISSUER}/oauth2/token`), line).to.equal(200);
        expect(await ask('http://evil.example/oauth2/token'), line).to.equal(400);
        expect(await ask('https://evil.example/oauth2/token'), line).to.equal(400);
      }
    });

    it(`do not become the caller's address in the audit (${shown})`, async () => {
      const operator = await cluster.operator();
      const last = await lastAuditId(operator.database);
      await raw(
        'POST /oauth2/token HTTP/1.1',
        `${headers}\r\nX-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6`,
        'x=y',
      );
      const [row] = await auditRows(operator.database, last);
      expect(row?.ip).to.equal('127.0.0.1');
    });
  }

  it('is refused when it is missing or there are two (RFC 9112 §3.2)', async () => {
    expect(
      statusOf(await rawRequest(node.port, 'GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n')),
    ).to.equal(400);
  });

  it('a request id of the caller’s choice is not taken', async () => {
    const answer = await get(node, '/livez', { 'x-request-id': 'chosen' });
    expect(answer.headers.get('x-request-id')).to.match(/^[0-9a-f-]{36}$/);
  });
});

describe('a proxy that is trusted', () => {
  it('tells the caller’s address, one entry for each proxy', async () => {
    const database = await freshSqlite();
    const cluster = new Cluster({
      url: database.url,
      env: { CLAVIGER_HTTP_TRUSTED_PROXIES: '127.0.0.1', CLAVIGER_HTTP_TRUSTED_HOPS: '1' },
    });
    const node = await cluster.start();
    const operator = await cluster.operator();
    const last = await lastAuditId(operator.database);
    await fetch(`http://127.0.0.1:${node.port}/oauth2/token`, {
      method: 'POST',
      headers: { 'x-forwarded-for': '6.6.6.6, 203.0.113.9' },
    });
    const [row] = await auditRows(operator.database, last);
    await cluster.close();
    await database.drop();
    expect(row?.ip).to.equal('203.0.113.9');
  });
});
