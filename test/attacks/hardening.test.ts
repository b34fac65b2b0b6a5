import { Agent, get as httpGet } from 'node:http';
import { expect } from 'chai';
import { disableClient, enableClient } from '../../src/clients/change-client.js';
import { openDatabase } from '../../src/database/connect.js';
import type { RunningServer } from '../../src/server.js';
import { BrokenNetwork } from '../support/broken-network.js';
import { forEachDatabase, freshSqlite } from '../support/databases.js';
import { basic, Cluster, get, OPERATOR, post, token } from '../support/nodes.js';
import { freshDatabase } from '../support/postgres.js';
import { rawRequest, statusOf } from '../support/raw-request.js';

describe('a server under attack stays up and tells nothing', () => {
  let cluster: Cluster;
  let node: RunningServer;

  before(async () => {
    cluster = new Cluster({ url: (await freshSqlite()).url, onLog: () => undefined });
    node = await cluster.start();
    await cluster.resourceServer();
  });

  after(() => cluster.close());

  for (const target of [
    'http://[/',
    'http://a[b/',
    'foo://x',
    'http://',
    '//[',
    '//evil.example/livez',
    '*',
    'x',
  ]) {
    it(`refuses the malformed request target ${target} and goes on (RFC 9112 §3.2)`, async () => {
      const answer = await rawRequest(
        node.port,
        `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      );
      expect(statusOf(answer)).to.equal(400);
      // What happens after the answer (its log line) has happened when the next request is answered.
      expect((await get(node, '/livez')).status).to.equal(200);
    });
  }

  it('takes a whole address as a proxy may send it, and only its path counts (RFC 9112 §3.2.2)', async () => {
    const answer = await rawRequest(
      node.port,
      'GET http://evil.example/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );
    expect(statusOf(answer)).to.equal(200);
  });

  it('answers a wrong secret alike with and without an Origin, for known and unknown clients', async () => {
    const client = await cluster.client();
    const wrong = { ...client, clientSecret: `${client.clientSecret.slice(0, -1)}0` };
    const unknown = { ...wrong, clientId: `${client.clientId.slice(0, -3)}abc` };
    const answers = [];
    for (const who of [wrong, unknown]) {
      for (const origin of [{}, { origin: 'https://evil.example' }]) {
        const answer = await post(
          node,
          '/oauth2/token',
          { grant_type: 'client_credentials' },
          { ...basic(who), ...origin },
        );
        answers.push([answer.status, answer.text]);
        expect(answer.headers.get('access-control-allow-origin')).to.equal(null);
      }
    }
    for (const answer of answers) expect(answer).to.deep.equal(answers[0]);
  });

  it('enforces the registered method although an empty Authorization header is sent', async () => {
    const client = await cluster.client();
    const form = `grant_type=client_credentials&client_id=${client.clientId}&client_secret=${client.clientSecret}`;
    const answer = await rawRequest(
      node.port,
      `POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization:\r\nConnection: close\r\n` +
        `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n${form}`,
    );
    expect(statusOf(answer)).to.equal(401);
  });

  it('keeps the tokens of a disabled client inactive after it was enabled again', async () => {
    const client = await cluster.client();
    const jwt = await token(node, client);
    const { database, nodeId } = await cluster.operator();
    await disableClient({ database, nodeId }, { clientId: client.clientId }, OPERATOR);
    await enableClient({ database, nodeId }, { clientId: client.clientId }, OPERATOR);
    const answer = await post(node, '/oauth2/introspect', { token: jwt }, basic(client));
    expect(answer.text).to.equal('{"active":false}');
  });
});

describe('a node that is being stopped', () => {
  it('turns unready first, and asks clients to open their next connection elsewhere', async () => {
    const cluster = new Cluster({ url: (await freshSqlite()).url });
    const node = await cluster.start({ drainFor: 0.3 });
    const agent = new Agent({ keepAlive: true });
    const ask = (path: string): Promise<{ status: number; connection: string | undefined }> =>
      new Promise((resolve, reject) => {
        httpGet({ agent, port: node.port, host: '127.0.0.1', path }, response => {
          response.resume();
          response.once('end', () =>
            resolve({ status: response.statusCode ?? 0, connection: response.headers.connection }),
          );
        }).once('error', reject);
      });
    expect(await ask('/readyz')).to.deep.equal({ status: 200, connection: 'keep-alive' });
    const closed = node.close();
    expect(await ask('/readyz')).to.deep.equal({ status: 503, connection: 'close' });
    expect(await ask('/.well-known/jwks.json')).to.deep.equal({ status: 200, connection: 'close' });
    await closed;
    agent.destroy();
    await cluster.close();
  });
});

describe('a token meets the change that forbids it', () => {
  forEachDatabase((name, fresh) => {
    // SQLite has one writer: there is nothing between the fence and the commit.
    if (name === 'SQLite') return;
    it('is never released after the change was acknowledged, however slow its own commit is', async () => {
      const { url } = await fresh();
      const cluster = new Cluster({ url });
      const node = await cluster.start();
      await cluster.resourceServer();
      const client = await cluster.client();
      await token(node, client);
      const { database, nodeId } = await cluster.operator();
      await database.reader.raw(
        'create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.4); return new; end $$',
      );
      await database.reader.raw(
        "create trigger slow before insert on audit_events for each row when (new.event = 'token.issued') execute function slow()",
      );
      let releasedAt = 0;
      const issued = token(node, client).then(() => {
        releasedAt = performance.now();
      });
      // Until the slow insert is under way.
      const begun = database
        .reader('pg_stat_activity')
        .whereRaw("query like 'with fence%' and state = 'active'");
      for (let look = 0; (await begun.clone()).length === 0; look += 1) expect(look).to.be.below(10_000);
      await disableClient({ database, nodeId }, { clientId: client.clientId }, OPERATOR);
      const acknowledgedAt = performance.now();
      await issued;
      expect(releasedAt).to.be.below(acknowledgedAt + 50);
      await cluster.close();
    });
  });
});

describe('connections to PostgreSQL that fell silent', () => {
  it('are thrown away after one statement each, and new ones take their place', async () => {
    const { url, drop } = await freshDatabase();
    const { network, url: through } = await BrokenNetwork.inFrontOf(url);
    const database = openDatabase({ url: through, poolSize: 2, statementTimeoutAfter: 0.2 });
    await Promise.all([database.now(), database.now()]);
    network.muteStanding();
    const failures = await Promise.allSettled([database.now(), database.now()]);
    for (const failure of failures) {
      expect(failure.status === 'rejected' && failure.reason).to.include({ code: 'database_unavailable' });
    }
    await Promise.all([database.now(), database.now(), database.now()]);
    await database.close();
    await network.close();
    await drop();
  });
});
