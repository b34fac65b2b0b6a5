import { Agent, type IncomingMessage, request } from 'node:http';
import { expect } from 'chai';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { send, startLoad } from '../support/load.js';
import { basic, Cluster, get, type SeededClient, urlOf } from '../support/nodes.js';
import { auditRows } from '../support/tables.js';

const HEADERS = { 'content-type': 'application/x-www-form-urlencoded' };
const BODY = 'grant_type=client_credentials';

describe('a running node', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let node: RunningServer;
    let client: SeededClient;

    beforeEach(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      node = await cluster.start();
      await cluster.resourceServer();
      client = await cluster.client();
    });

    afterEach(() => cluster.close());

    it('answers /livez and /readyz on both ports, and /metrics on the operations port only', async () => {
      const operations = (path: string) => fetch(`http://127.0.0.1:${node.operationsPort}${path}`);
      for (const path of ['/livez', '/readyz']) {
        expect((await get(node, path)).status).to.equal(200);
        expect((await operations(path)).status).to.equal(200);
      }
      expect((await get(node, '/metrics')).status).to.equal(404);
      const metrics = await operations('/metrics');
      expect(metrics.status).to.equal(200);
      expect(await metrics.text()).to.match(/^# HELP /m);
      // What issues tokens is not to be reached past the edge that limits it.
      expect((await operations('/oauth2/token')).status).to.equal(404);
    });

    it('gives every request under way its answer when it is stopped, and takes no new ones', async function () {
      this.timeout(30_000);
      let refused = 0;
      const load = startLoad({
        connections: 16,
        next: () => ({
          url: urlOf(node, '/oauth2/token'),
          method: 'POST',
          headers: { ...HEADERS, ...basic(client) },
          body: BODY,
        }),
        onResponse: ({ status }) => {
          if (status !== 200) refused += 1;
        },
      });
      while (load.responses < 50) await new Promise(done => setImmediate(done));
      const started = performance.now();
      const closing = node.close();
      // Each connection has a request on its way now; it ends that one and sends no other.
      const { statuses, errors } = await load.stop();
      await closing;
      cluster.nodes.splice(0);
      expect(performance.now() - started, 'milliseconds to stop').to.be.below(5_000);
      expect(refused).to.equal(0);
      expect(errors).to.deep.equal([]);
      const late = await fetch(urlOf(node, '/livez')).catch((error: Error) => error.cause);
      expect(late).to.have.property('code', 'ECONNREFUSED');
      const rows = await auditRows((await cluster.operator()).database);
      expect(rows.filter(({ event }) => event === 'token.issued')).to.have.length(Number(statuses.get(200)));
    });

    it('waits for a request whose body is still coming, and answers it', async function () {
      this.timeout(30_000);
      const agent = new Agent({ keepAlive: true });
      const slow = request(urlOf(node, '/oauth2/token'), {
        method: 'POST',
        agent,
        headers: { ...HEADERS, ...basic(client), 'content-length': String(BODY.length) },
      });
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        slow.once('response', resolve);
        slow.once('error', reject);
      });
      slow.write(BODY.slice(0, 5));
      // The server has seen the head of the slow one when it has answered one that came later.
      await send(agent, { url: urlOf(node, '/livez') });
      await send(agent, { url: urlOf(node, '/livez') });
      const started = performance.now();
      const closing = node.close();
      cluster.nodes.splice(0);
      slow.end(BODY.slice(5));
      const answer = await answered;
      answer.resume();
      expect(answer.statusCode).to.equal(200);
      await closing;
      expect(performance.now() - started, 'milliseconds to stop').to.be.below(5_000);
      agent.destroy();
    });
  });
});
