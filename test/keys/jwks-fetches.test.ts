import { expect } from 'chai';
import { clientOfBasic } from '../../src/clients/basic-credentials.js';
import { createClient, disableClient } from '../../src/clients/change-client.js';
import { ClientStore } from '../../src/clients/client-store.js';
import type { FetchSource, JwksFetch } from '../../src/keys/jwks-fetch.js';
import { JwksFetchStore } from '../../src/keys/jwks-fetch-store.js';
import { JwksFetches, MOST_NOTED } from '../../src/keys/jwks-fetches.js';
import { createResourceServer } from '../../src/resources/change-resource-server.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

const ACTOR = 'os:ada@example';
const ORDERS = { identifier: 'https://api.example.com/orders', scopes: ['read'] };
const LISTED = '10.0.0.0/8';

const basicOf = (clientId: string, secret: string) =>
  `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}`;

function from(of: Partial<FetchSource> = {}): FetchSource {
  return { address: '192.0.2.7', userAgent: 'jose/v6.2.18', authorization: undefined, ...of };
}

describe('JWKS fetches, as a node notes them', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;
    let now: number;
    let clientId: string;
    let right: string;
    let checked: string[];
    let canCheck: (authorization: string) => boolean;

    before(async () => {
      opened = await openedDatabase(fresh);
      await createResourceServer(opened, { ...ORDERS, accessTokenFor: 600 }, ACTOR);
      const created = await createClient(opened, { name: 'gateway', resources: [ORDERS] }, ACTOR);
      clientId = created.client.clientId;
      right = basicOf(clientId, created.secret?.clientSecret ?? '');
    });
    after(() => opened.close());
    beforeEach(async () => {
      now = 1_800_000_000_000;
      checked = [];
      canCheck = () => true;
      await opened.database.write(on => on('jwks_fetches').delete());
    });

    function fetchesOf({ database, hasher }: Opened = opened): JwksFetches {
      const clients = {
        find: (id: string) => database.read(on => new ClientStore().find(on, id)),
      };
      return new JwksFetches({
        database,
        networks: [LISTED, '2001:db8::/32'],
        authenticate: async authorization => {
          checked.push(authorization);
          if (!canCheck(authorization)) throw new Error('it cannot be checked');
          return clientOfBasic(authorization, { clients, hasher, databaseNow: () => now });
        },
        databaseNow: () => now,
      });
    }

    const rows = () => opened.database.read(on => new JwksFetchStore().list(on, 0));
    const whoOf = (found: readonly JwksFetch[]) =>
      found.map(row => row.clientId ?? row.listedAs ?? 'anonymous').sort();

    async function statementsOf(work: () => unknown): Promise<string[]> {
      const told: string[] = [];
      const tell = ({ sql }: { sql: string }) => told.push(sql);
      const { database } = opened;
      await database.write(async writer => {
        const pools = new Set([writer, database.reader]);
        for (const pool of pools) pool.on('query', tell);
        await work();
        for (const pool of pools) pool.removeListener('query', tell);
      });
      return told;
    }

    it('are kept in memory, coalesced, and written by each node in one statement', async () => {
      const nodes = [opened, opened.another(), opened.another()].map(fetchesOf);
      const noted = await statementsOf(() => {
        for (const [index, node] of nodes.entries()) {
          for (let round = 0; round < 100; round += 1) {
            now += 1;
            node.note(from({ address: `192.0.2.${round}` }), index + 1);
            node.note(from({ address: '198.51.100.1', userAgent: undefined }), index + 1);
          }
        }
      });
      expect(noted).to.deep.equal([]);
      expect(await rows()).to.deep.equal([]);
      const [first, ...others] = nodes;
      expect(await statementsOf(() => first?.flush())).to.have.length(1);
      await Promise.all(others.map(node => node.flush()));
      const found = await rows();
      expect(found.map(row => row.network)).to.have.members(['192.0.2.0/24', '198.51.100.0/24']);
      for (const row of found) {
        expect(row).to.include({ ringVersion: 3, fetches: 300, lastSeenAt: now });
        expect(row.lastSeenAt - row.firstSeenAt).to.equal(299);
      }
      expect(await statementsOf(() => first?.flush()), 'nothing new').to.deep.equal([]);
    });

    it('keep the newest version that a fetcher was given, in whatever order answers are noted', async () => {
      const node = fetchesOf();
      for (const version of [4, 6, 5]) node.note(from(), version);
      await node.flush();
      node.note(from(), 3);
      await node.flush();
      expect((await rows())[0]).to.include({ ringVersion: 6, fetches: 4 });
    });

    it('have room of their own for listed and authenticated verifiers, which no flood of names fills', async () => {
      const node = fetchesOf();
      node.note(from({ address: '10.1.2.3' }), 1);
      node.note(from({ address: '203.0.113.9', userAgent: 'without standing' }), 1);
      node.note(from({ authorization: right }), 1);
      await node.flush();
      await opened.database.write(on => on('jwks_fetches').delete());
      for (const at of [{ address: '10.1.2.3' }, { address: '203.0.113.9', userAgent: 'without standing' }]) {
        node.note(from(at), 2);
      }
      node.note(from({ authorization: right }), 2);
      for (let index = 0; index < 3000; index += 1) {
        node.note(from({ address: `198.51.100.${index % 250}`, userAgent: `invented ${index}` }), 2);
      }
      await node.flush();
      const found = await rows();
      expect(found).to.have.length(MOST_NOTED.anonymous + 2);
      expect(whoOf(found.slice(0, 2))).to.deep.equal([LISTED, clientId].sort());
      // Control: the same fetch by somebody without a standing is what the flood pushed out.
      expect(found.some(row => row.userAgent === 'without standing')).to.equal(false);
    });

    it('let a client that invents names push out its own fetchers only', async () => {
      const node = fetchesOf();
      const { client, secret } = await createClient(opened, { name: 'other', resources: [ORDERS] }, ACTOR);
      const other = basicOf(client.clientId, secret?.clientSecret ?? '');
      node.note(from({ authorization: right }), 1);
      node.note(from({ authorization: other }), 1);
      await node.flush();
      await opened.database.write(on => on('jwks_fetches').delete());
      node.note(from({ authorization: right }), 2);
      for (let index = 0; index < MOST_NOTED.known + 10; index += 1) {
        node.note(from({ authorization: other, userAgent: `invented ${index}` }), 2);
      }
      await node.flush();
      const found = await rows();
      expect(found.filter(row => row.clientId === clientId)).to.have.length(1);
      expect(found.filter(row => row.clientId === client.clientId)).to.have.length(20);
    });

    it('are those of a client when its credentials are right, and anonymous when they are wrong', async () => {
      const node = fetchesOf();
      const wrong = [
        basicOf(clientId, `${clientId}-wrong`),
        basicOf('cl_unknown', 'x'),
        basicOf('cl_\0', '%00'),
        basicOf('%E0%A4%A', 'x'),
        'Basic !!!',
        'Basic ',
        `Basic ${'A'.repeat(100_000)}`,
        'Bearer x',
      ];
      for (const [index, authorization] of [right, ...wrong].entries()) {
        node.note(from({ authorization, address: `192.0.${index}.1` }), 1);
      }
      expect(checked, 'on the way of the answer').to.deep.equal([]);
      await node.flush();
      const found = await rows();
      expect(found).to.have.length(wrong.length + 1);
      const known = found.filter(row => row.clientId !== undefined);
      expect(known).to.have.length(1);
      expect(known[0]).to.include({ clientId, network: '192.0.0.0/24' });
    });

    it('are not believed for a client that has been disabled or registered for another method', async () => {
      const node = fetchesOf();
      const input = { name: 'posts', resources: [ORDERS], authMethod: 'client_secret_post' } as const;
      const { client, secret } = await createClient(opened, input, ACTOR);
      const gone = await createClient(opened, { name: 'gone', resources: [ORDERS] }, ACTOR);
      await disableClient(opened, { clientId: gone.client.clientId }, ACTOR);
      node.note(from({ authorization: basicOf(client.clientId, secret?.clientSecret ?? '') }), 1);
      const disabled = basicOf(gone.client.clientId, gone.secret?.clientSecret ?? '');
      node.note(from({ authorization: disabled, userAgent: 'gone' }), 1);
      await node.flush();
      expect(whoOf(await rows())).to.deep.equal(['anonymous', 'anonymous']);
    });

    it('check few credentials of one network at a time, and leave room for the others', async () => {
      const node = fetchesOf();
      for (let index = 0; index < 500; index += 1) {
        node.note(from({ address: '203.0.113.5', authorization: basicOf(clientId, `guess${index}`) }), 1);
      }
      node.note(from({ authorization: right }), 1);
      await node.flush();
      expect(checked).to.have.length(MOST_NOTED.claimsOfOneNetwork + 1);
      expect(whoOf(await rows())).to.deep.equal([clientId, 'anonymous'].sort());
      const guesses = (await rows()).find(row => row.clientId === undefined);
      expect(guesses?.fetches, 'all of them are counted').to.equal(500);
      // However many networks there are.
      checked = [];
      for (let index = 0; index < 250; index += 1) {
        node.note(
          from({ address: `198.51.${index}.5`, authorization: basicOf(clientId, `more${index}`) }),
          1,
        );
      }
      await node.flush();
      expect(checked).to.have.length(MOST_NOTED.claims);
    });

    it('check the same credentials again only after a minute when wrong, and ten when right', async () => {
      const node = fetchesOf();
      const wrong = basicOf(clientId, 'guess');
      const both = async () => {
        checked = [];
        for (const authorization of [right, wrong]) node.note(from({ authorization }), 1);
        await node.flush();
        return checked;
      };
      expect(await both()).to.deep.equal([right, wrong]);
      now += 59_000;
      expect(await both()).to.deep.equal([]);
      now += 1_000;
      expect(await both()).to.deep.equal([wrong]);
      now += 540_000;
      expect(await both()).to.deep.equal([right, wrong]);
      expect((await rows()).map(row => row.fetches)).to.deep.equal([4, 4]);
    });

    it('keep what could not be written, with what came in since', async () => {
      const node = fetchesOf();
      node.note(from({ authorization: right }), 3);
      node.note(from({ address: '10.1.2.3' }), 1);
      node.note(from(), 1);
      await opened.database.write(on => on.schema.renameTable('jwks_fetches', 'jwks_fetches_away'));
      try {
        const failed = await node.flush().then(
          () => undefined,
          error => error,
        );
        expect(failed).to.be.instanceOf(Error);
        now += 5000;
        node.note(from({ authorization: right }), 2);
        node.note(from({ address: '10.1.2.3' }), 2);
        for (let index = 0; index < MOST_NOTED.anonymous; index += 1) {
          node.note(from({ userAgent: `invented ${index}` }), 2);
        }
        await node.flush().catch(() => undefined);
      } finally {
        await opened.database.write(on => on.schema.renameTable('jwks_fetches_away', 'jwks_fetches'));
      }
      await node.flush();
      const found = await rows();
      const [client, listed] = [found.find(row => row.clientId), found.find(row => row.listedAs)];
      expect(client).to.include({ ringVersion: 3, fetches: 2, firstSeenAt: now - 5000, lastSeenAt: now });
      expect(listed).to.include({ ringVersion: 2, fetches: 2, firstSeenAt: now - 5000, lastSeenAt: now });
      expect(found, 'what is kept has a bound too').to.have.length(MOST_NOTED.anonymous + 2);
      await node.flush();
      expect(
        (await rows()).find(row => row.clientId),
        'nothing is written twice',
      ).to.include({ fetches: 2 });
    });

    it('are written although one claim cannot be checked, which is checked again, after the others', async () => {
      const node = fetchesOf();
      const damaged = basicOf('cl_damaged', 'x');
      canCheck = authorization => authorization !== damaged;
      node.note(from({ address: '203.0.113.5', authorization: damaged }), 1);
      node.note(from({ authorization: right }), 1);
      node.note(from({ userAgent: 'stranger' }), 1);
      const failed = await node.flush().then(
        () => undefined,
        error => error,
      );
      expect(String(failed)).to.include('cannot be checked');
      expect((await rows()).map(row => row.userAgent)).to.deep.equal(['stranger']);
      await node.flush().catch(() => undefined);
      expect(whoOf(await rows())).to.deep.equal([clientId, 'anonymous'].sort());
      canCheck = () => true;
      await node.flush();
      expect(await rows()).to.have.length(3);
    });

    it('name the network by block, never by address, and escape what could move a cursor', async () => {
      const node = fetchesOf();
      const agent = `jose\u001b[2J\r\n${'x'.repeat(500)}`;
      for (const address of [
        '192.0.2.77',
        '::ffff:192.0.2.78',
        '2001:db8:1:2:3:4:5:6',
        undefined,
        'fe80::1%eth0',
      ]) {
        node.note(from({ address, userAgent: agent }), 1);
      }
      await node.flush();
      const found = await rows();
      expect(found.map(row => row.network)).to.have.members([
        '192.0.2.0/24',
        '2001:db8:1:2::/64',
        'unknown',
        'fe80::/64',
      ]);
      for (const row of found) expect(row.userAgent).to.match(/^jose\\x1b\[2J\\x0d\\x0ax{1,110}$/);
      expect(found.find(row => row.network === '2001:db8:1:2::/64')?.listedAs).to.equal('2001:db8::/32');
    });
  });
});
