import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import { expect } from 'chai';
import type { RunningServer } from '../../src/server.js';
import { basic, Cluster, get, post, type SeededClient, token } from '../support/nodes.js';
import { type FreshDatabase, freshDatabase } from '../support/postgres.js';

/** A way to the database that can be cut. */
async function cuttable(
  target: string,
): Promise<{ url: string; cut(): void; mend(): void; close(): Promise<void> }> {
  const to = new URL(target);
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer(socket => {
    if (isCut) {
      socket.destroy();
      return;
    }
    const onward = connect(Number(to.port), to.hostname);
    for (const one of [socket, onward]) {
      sockets.add(one);
      one.on('error', () => undefined);
      one.once('close', () => {
        sockets.delete(one);
        socket.destroy();
        onward.destroy();
      });
    }
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  const url = new URL(target);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    cut() {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend() {
      isCut = false;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise(done => server.close(done));
    },
  };
}

describe('a node that is cut off from its database', () => {
  let database: FreshDatabase;
  let line: Awaited<ReturnType<typeof cuttable>>;
  let cluster: Cluster;
  let node: RunningServer;
  let client: SeededClient;
  const form = { grant_type: 'client_credentials', token: 'x' };

  before(async () => {
    database = await freshDatabase();
    line = await cuttable(database.url);
    cluster = new Cluster({ url: line.url });
    node = await cluster.start({ hasTimers: false });
    await cluster.resourceServer();
    client = await cluster.client();
    await token(node, client);
  });

  after(async () => {
    await cluster.close();
    await line.close();
    await database.drop();
  });

  afterEach(() => line.mend());

  it('issues nothing: 503 temporarily_unavailable with Retry-After on every endpoint, and no wait', async function () {
    this.timeout(60_000);
    line.cut();
    for (const path of ['/oauth2/token', '/oauth2/introspect', '/oauth2/revoke']) {
      const started = performance.now();
      const answer = await post(node, path, form, basic(client));
      expect([answer.status, answer.json.error], path).to.deep.equal([503, 'temporarily_unavailable']);
      expect(answer.headers.get('retry-after')).to.equal('1');
      expect(answer.headers.get('www-authenticate')).to.equal(null);
      expect(answer.text).to.not.match(/postgres|ECONN|127\.0\.0\.1/);
      expect(performance.now() - started).to.be.below(8_000);
    }
  });

  it('answers 503, not 401, for a client that it does not hold in memory', async function () {
    this.timeout(60_000);
    const other = await cluster.client();
    line.cut();
    const answer = await post(node, '/oauth2/token', form, basic(other));
    expect([answer.status, answer.json.error]).to.deep.equal([503, 'temporarily_unavailable']);
  });

  it('goes on serving its key set and its metadata, lives, and is not ready', async function () {
    this.timeout(60_000);
    line.cut();
    expect((await get(node, '/.well-known/jwks.json')).status).to.equal(200);
    expect((await get(node, '/.well-known/openid-configuration')).status).to.equal(200);
    expect((await get(node, '/livez')).status).to.equal(200);
    expect((await get(node, '/readyz')).status).to.equal(503);
  });

  it('serves again by itself when the database is back, and the same request succeeds', async function () {
    this.timeout(60_000);
    line.cut();
    expect((await post(node, '/oauth2/token', form, basic(client))).status).to.equal(503);
    line.mend();
    await token(node, client);
    expect((await get(node, '/readyz')).status).to.equal(200);
  });
});
