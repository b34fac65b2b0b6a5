import { expect } from 'chai';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { ProofKey } from '../support/dpop.js';
import { basic, Cluster, post, type SeededClient } from '../support/nodes.js';
import { rounds } from '../support/rounds.js';
import { auditRows, lastAuditId } from '../support/tables.js';

const PARALLEL = 16;

describe('a DPoP proof (RFC 9449 §11.1)', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let nodes: readonly RunningServer[];
    let client: SeededClient;
    let key: ProofKey;

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      for (let count = 0; count < 3; count += 1) await cluster.start();
      nodes = [...cluster.nodes];
      await cluster.resourceServer();
      client = await cluster.client();
      key = await ProofKey.generate();
    });

    after(() => cluster.close());

    function use(proof: string, which: number, as = client) {
      const node = nodes[which % nodes.length] as RunningServer;
      return post(node, '/oauth2/token', { grant_type: 'client_credentials' }, { ...basic(as), dpop: proof });
    }

    it(`is accepted once, however it is sent to three nodes ${PARALLEL} times at once; losers get 4xx`, async function () {
      this.timeout(900_000);
      const { database } = await cluster.operator();
      const last = await lastAuditId(database);
      let [wins, unavailable] = [0, 0];
      const count = rounds(20, 200);
      for (let round = 0; round < count; round += 1) {
        const proof = await key.proof();
        const answers = await Promise.all(Array.from({ length: PARALLEL }, (_, which) => use(proof, which)));
        const statuses = answers.map(({ status }) => status);
        const won = statuses.filter(status => status === 200).length;
        expect(won, statuses.join(' ')).to.be.at.most(1);
        wins += won;
        unavailable += statuses.filter(status => status >= 500).length;
        for (const answer of answers)
          if (answer.status !== 200) expect(answer.text).to.not.include('access_token');
      }
      expect(unavailable, 'answers that were 5xx').to.equal(0);
      expect(wins, 'rounds with a winner').to.equal(count);
      const rows = await auditRows(database, last);
      expect(rows.filter(row => row.event === 'token.issued')).to.have.length(count);
      expect(rows).to.have.length(count * PARALLEL);
    });

    it('is refused when it comes again later, on any node', async () => {
      const proof = await key.proof();
      expect((await use(proof, 0)).status).to.equal(200);
      for (const which of [0, 1, 2]) expect((await use(proof, which)).status).to.equal(400);
    });

    it('of one client uses up nothing of another’s', async () => {
      const other = await cluster.client();
      const proof = await key.proof();
      expect((await use(proof, 0)).status).to.equal(200);
      expect((await use(proof, 1, other)).status).to.equal(200);
    });
  });
});
