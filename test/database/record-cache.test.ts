import { expect } from 'chai';
import { ChangeFeed } from '../../src/database/change-feed.js';
import { recordChange } from '../../src/database/changes.js';
import { takeJobLease } from '../../src/database/job-leases.js';
import { RecordCache } from '../../src/database/record-cache.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

interface Thing {
  readonly version: number;
}

describe('the record cache', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;
    let feed: ChangeFeed;
    let version: number | undefined;
    let loads: number;
    /** Between a read and its result, as a slow network would. */
    let onRead: () => Promise<void>;
    let cache: RecordCache<Thing>;

    before(async () => {
      opened = await openedDatabase(fresh);
    });

    after(() => opened.close());

    beforeEach(async () => {
      feed = new ChangeFeed(opened.database);
      version = 1;
      loads = 0;
      onRead = async () => undefined;
      cache = new RecordCache<Thing>({
        database: opened.database,
        feed,
        kinds: ['client'],
        size: 2,
        load: async () => {
          loads += 1;
          const read = version;
          await onRead();
          return read === undefined ? undefined : { version: read };
        },
      });
      await feed.catchUp();
    });

    async function change(id: string, kind: 'client' | 'resource_server' = 'client'): Promise<void> {
      await opened.database.transaction(trx => recordChange(trx, kind, id, 1));
      await feed.catchUp();
    }

    it('reads a record once, for all who ask at once', async () => {
      const found = await Promise.all([cache.find('a'), cache.find('a'), cache.find('a')]);
      expect(new Set(found).size).to.equal(1);
      expect(loads).to.equal(1);
      expect(cache.peek('a')).to.deep.equal({ version: 1 });
    });

    it('drops a record that the feed names, and no other', async () => {
      await cache.find('a');
      await cache.find('b');
      version = 2;
      await change('a');
      expect(cache.peek('a')).to.equal(undefined);
      expect(cache.peek('b')).to.deep.equal({ version: 1 });
      expect(await cache.find('a')).to.deep.equal({ version: 2 });
    });

    it('keeps a record when something of another kind has changed', async () => {
      await cache.find('a');
      await change('a', 'resource_server');
      expect(cache.peek('a')).to.deep.equal({ version: 1 });
    });

    it('does not keep what was read while the feed moved', async () => {
      onRead = async () => {
        version = 2;
        onRead = async () => undefined;
        await change('a');
      };
      expect(await cache.find('a')).to.deep.equal({ version: 1 });
      expect(cache.peek('a')).to.equal(undefined);
      expect(await cache.find('a')).to.deep.equal({ version: 2 });
    });

    it('does not remember "there is none" when one was made while it read', async () => {
      version = undefined;
      onRead = async () => {
        version = 2;
        onRead = async () => undefined;
        await change('a');
      };
      expect(await cache.find('a')).to.equal(undefined);
      expect(await cache.find('a')).to.deep.equal({ version: 2 });
    });

    it('gives who asks after a change nothing that was read before it', async () => {
      let release = (): void => undefined;
      onRead = () =>
        new Promise(resolve => {
          release = resolve;
          onRead = async () => undefined;
        });
      const early = cache.find('a');
      while (loads === 0) await new Promise(setImmediate);
      version = 2;
      await change('a');
      expect(await cache.find('a')).to.deep.equal({ version: 2 });
      release();
      expect(await early).to.deep.equal({ version: 1 });
      expect(await cache.find('a')).to.deep.equal({ version: 2 });
    });

    it('remembers that there is none, until one is made', async () => {
      version = undefined;
      await cache.find('a');
      await cache.find('a');
      expect(loads).to.equal(1);
      version = 1;
      await change('a');
      expect(await cache.find('a')).to.deep.equal({ version: 1 });
    });

    it('holds no more than its size', async () => {
      for (const id of ['a', 'b', 'c']) await cache.find(id);
      expect(['a', 'b', 'c'].filter(id => cache.peek(id) !== undefined)).to.deep.equal(['b', 'c']);
    });

    it('keeps no failure', async () => {
      onRead = async () => {
        onRead = async () => undefined;
        throw new Error('network');
      };
      let failure: unknown;
      await cache.find('a').catch((error: unknown) => {
        failure = error;
      });
      expect(failure).to.have.property('message', 'network');
      expect(await cache.find('a')).to.deep.equal({ version: 1 });
    });
  });
});

describe('a job lease', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;

    before(async () => {
      opened = await openedDatabase(fresh);
    });

    after(() => opened.close());

    it('goes to one of many who ask at once, and stays with it', async () => {
      const nodes = Array.from({ length: 3 }, () => opened.another());
      const take = () =>
        Promise.all(nodes.map(({ database }, index) => takeJobLease(database, 'job', `n${index}`, 30)));
      const first = await take();
      expect(first.filter(Boolean)).to.have.length(1);
      expect(await take()).to.deep.equal(first);
    });

    it('goes to another when it has run out, by the database’s clock', async () => {
      const { database } = opened;
      expect(await takeJobLease(database, 'other', 'a', 30)).to.equal(true);
      opened.moveBy(29);
      expect(await takeJobLease(database, 'other', 'b', 30)).to.equal(false);
      opened.moveBy(2);
      expect(await takeJobLease(database, 'other', 'b', 30)).to.equal(true);
      expect(await takeJobLease(database, 'other', 'a', 30)).to.equal(false);
    });
  });
});
