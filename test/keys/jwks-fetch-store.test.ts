import { expect } from 'chai';
import type { JwksFetch } from '../../src/keys/jwks-fetch.js';
import { JwksFetchStore, MOST_FETCHERS } from '../../src/keys/jwks-fetch-store.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

const NOW = 1_800_000_000_000;
const store = new JwksFetchStore();

function fetched(of: Partial<JwksFetch> = {}): JwksFetch {
  const counted = { ringVersion: 1, firstSeenAt: NOW, lastSeenAt: NOW, fetches: 1 };
  return { network: '192.0.2.0/24', userAgent: 'jose/v6.2.18', ...counted, ...of };
}

const invented = (count: number, of: Partial<JwksFetch>, prefix = 'invented'): JwksFetch[] =>
  Array.from({ length: count }, (_, index) => fetched({ userAgent: `${prefix} ${index}`, ...of }));

describe('the table of JWKS fetches', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;

    before(async () => {
      opened = await openedDatabase(fresh);
    });
    after(() => opened.close());
    beforeEach(() => opened.database.write(on => on('jwks_fetches').delete()));

    const record = (...fetches: JwksFetch[]) => opened.database.write(on => store.record(on, fetches));
    const list = (since = 0) => opened.database.read(on => store.list(on, since));
    const sweep = (before = 0) => opened.database.transaction(trx => store.sweep(trx, before));

    it('has one row for each fetcher, which nodes write at once, in any order and without a deadlock', async () => {
      let attempts = 0;
      const nodes = [opened, opened.another(), opened.another()];
      const fetchers = invented(600, {});
      await Promise.all(
        nodes.flatMap(({ database }, index) =>
          [1, 2, 3, 4].map(round => {
            const lastSeenAt = NOW + index * 10 + round;
            const seen = fetchers.map(each => ({ ...each, ringVersion: index + 1, lastSeenAt, fetches: 2 }));
            return database.write(on => {
              attempts += 1;
              return store.record(on, index === 1 ? seen.reverse() : seen);
            });
          }),
        ),
      );
      expect(attempts, 'none had to be repeated').to.equal(12);
      const rows = await list();
      expect(rows).to.have.length(600);
      for (const row of rows) {
        expect(row).to.include({ ringVersion: 3, firstSeenAt: NOW, lastSeenAt: NOW + 24, fetches: 24 });
      }
    });

    it('is written by one statement, however many fetchers there are', async () => {
      const statements: string[] = [];
      const tell = ({ sql }: { sql: string }) => statements.push(sql);
      await opened.database.write(async on => {
        on.on('query', tell);
        await store.record(on, [...invented(1200, {}), fetched({ clientId: 'cl_a' })]);
        await store.record(on, []);
        on.removeListener('query', tell);
      });
      expect(statements).to.have.length(1);
      expect(await list()).to.have.length(1201);
    });

    it('never goes back to an older version or instant, when a slow node reports late', async () => {
      await record(fetched({ ringVersion: 5, lastSeenAt: NOW + 500 }));
      await record(fetched({ ringVersion: 3, lastSeenAt: NOW + 100 }));
      expect(await list()).to.deep.include.members([
        {
          ...fetched(),
          clientId: undefined,
          listedAs: undefined,
          ringVersion: 5,
          lastSeenAt: NOW + 500,
          fetches: 2,
        },
      ]);
      await record(fetched({ ringVersion: 6, lastSeenAt: NOW + 200 }));
      expect((await list())[0]).to.include({ ringVersion: 6, lastSeenAt: NOW + 500 });
    });

    it('lets nothing that a fetcher calls itself make it another one', async () => {
      await record(
        fetched({ clientId: 'cl_a' }),
        fetched({ userAgent: 'jose/v6.2.18","cl_a' }),
        fetched({ userAgent: 'jose/v6.2.18\ncl_a' }),
        fetched({ listedAs: 'cl_a' }),
        fetched(),
      );
      expect(await list()).to.have.length(5);
    });

    it('lists whoever is known before strangers, the latest first, and strangers only when asked', async () => {
      await record(
        fetched({ userAgent: 'stranger', lastSeenAt: NOW + 9 }),
        fetched({ clientId: 'cl_a', lastSeenAt: NOW + 1 }),
        fetched({ listedAs: '192.0.2.0/24', lastSeenAt: NOW + 2 }),
        fetched({ clientId: 'cl_gone', lastSeenAt: NOW - 1 }),
      );
      const who = (rows: readonly JwksFetch[]) =>
        rows.map(row => row.clientId ?? row.listedAs ?? row.userAgent);
      expect(who(await list(NOW))).to.deep.equal(['192.0.2.0/24', 'cl_a', 'stranger']);
      const known = await opened.database.read(on => store.list(on, NOW, { isAnonymousWanted: false }));
      expect(who(known)).to.deep.equal(['192.0.2.0/24', 'cl_a']);
    });

    it('keeps every listed and every authenticated verifier, whatever names strangers invent', async () => {
      // All of them were seen long before the flood.
      const quiet = { lastSeenAt: NOW - 86_400_000, firstSeenAt: NOW - 86_400_000 };
      await record(
        fetched({ ...quiet, clientId: 'cl_a' }),
        fetched({ ...quiet, listedAs: '192.0.2.0/24' }),
        fetched({ ...quiet, userAgent: 'without standing' }),
      );
      await record(...invented(MOST_FETCHERS.anonymous, {}));
      expect(await sweep()).to.equal(1);
      const left = await list();
      expect(left).to.have.length(MOST_FETCHERS.anonymous + 2);
      expect(left.slice(0, 2).map(row => row.clientId ?? row.listedAs)).to.have.members([
        'cl_a',
        '192.0.2.0/24',
      ]);
      // Control: the same fetcher without a standing is what the flood pushed out.
      expect(left.some(row => row.userAgent === 'without standing')).to.equal(false);
      expect(await sweep()).to.equal(0);
    });

    it('keeps the latest 20 fetchers of a client, so that it pushes out none of another', async () => {
      await record(fetched({ clientId: 'cl_a', lastSeenAt: NOW - 1 }));
      await record(
        ...invented(MOST_FETCHERS.ofOneClient + 5, { clientId: 'cl_b' }).map((each, index) => ({
          ...each,
          lastSeenAt: NOW + index,
        })),
      );
      expect(await sweep()).to.equal(5);
      const left = await list();
      expect(left.filter(row => row.clientId === 'cl_a')).to.have.length(1);
      const others = left.filter(row => row.clientId === 'cl_b').map(row => row.lastSeenAt - NOW);
      expect(others).to.have.length(MOST_FETCHERS.ofOneClient);
      expect(Math.min(...others)).to.equal(5);
    });

    it('forgets whoever has not come for as long as rows are kept, known or not', async () => {
      await record(
        fetched({ clientId: 'cl_a', lastSeenAt: NOW - 1 }),
        fetched({ userAgent: 'old', lastSeenAt: NOW - 1 }),
        fetched({ userAgent: 'young' }),
      );
      expect(await sweep(NOW)).to.equal(2);
      expect((await list()).map(row => row.userAgent)).to.deep.equal(['young']);
    });
  });
});
