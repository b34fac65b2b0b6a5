import { expect } from 'chai';
import { ChangeFeed } from '../../src/database/change-feed.js';
import { type Change, recordChange, recordChanges, sweepChanges } from '../../src/database/changes.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

describe('the change feed', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;

    beforeEach(async () => {
      opened = await openedDatabase(fresh);
    });

    afterEach(() => opened.close());

    async function change(id: string, on = opened): Promise<void> {
      await on.database.transaction(trx => recordChange(trx, 'client', id, 1));
    }

    function reader(on = opened) {
      const told: (Change | undefined)[] = [];
      const feed = new ChangeFeed(on.database);
      feed.listen(one => {
        told.push(one);
      });
      return { feed, told, ids: () => told.map(one => one?.subjectId) };
    }

    it('begins by forgetting everything, and then tells each change once, in order', async () => {
      await change('before');
      const { feed, ids } = reader();
      await feed.catchUp();
      expect(ids()).to.deep.equal([undefined]);
      await change('a');
      await opened.database.transaction(trx => recordChanges(trx, 'client', ['b', 'c'], 1));
      await feed.catchUp();
      await feed.catchUp();
      expect(ids()).to.deep.equal([undefined, 'a', 'b', 'c']);
      expect(feed.sequence).to.equal(4);
    });

    it('numbers changes in the order of their commits, whoever makes them, without a gap', async () => {
      const { feed, told } = reader();
      await feed.catchUp();
      const nodes = [opened, opened.another(), opened.another()];
      let isDone = false;
      const reading = (async () => {
        while (!isDone) await feed.catchUp();
      })();
      await Promise.all(
        nodes.map(async (node, index) => {
          for (let count = 0; count < 30; count += 1) await change(`${index}-${count}`, node);
        }),
      );
      isDone = true;
      await reading;
      await feed.catchUp();
      const sequences = told.flatMap(one => (one === undefined ? [] : [one.sequence]));
      expect(told.slice(1)).to.not.include(undefined);
      expect(sequences).to.deep.equal(Array.from({ length: 90 }, (_, index) => index + 1));
    });

    it('says nothing of a change that was rolled back', async () => {
      const { feed, ids } = reader();
      await feed.catchUp();
      await opened.database
        .transaction(async trx => {
          await recordChange(trx, 'client', 'never', 1);
          throw new Error('no');
        })
        .catch(() => undefined);
      await change('real');
      await feed.catchUp();
      expect(ids()).to.deep.equal([undefined, 'real']);
    });

    it('forgets everything when changes were swept before it read them', async () => {
      const { feed, ids } = reader();
      await feed.catchUp();
      await change('lost');
      await opened.database.transaction(trx => sweepChanges(trx, 10));
      await change('kept');
      await feed.catchUp();
      expect(ids()).to.deep.equal([undefined, undefined]);
      expect(feed.sequence).to.equal(2);
    });

    it('forgets everything when more has changed than it reads at once', async () => {
      const { feed, ids } = reader();
      await feed.catchUp();
      const many = Array.from({ length: 501 }, (_, index) => `m${index}`);
      await opened.database.transaction(trx => recordChanges(trx, 'client', many, 1));
      await feed.catchUp();
      expect(ids()).to.deep.equal([undefined, undefined]);
      expect(feed.sequence).to.equal(501);
    });

    it('forgets everything when the database went back', async () => {
      await change('a');
      await change('b');
      const { feed, ids } = reader();
      await feed.catchUp();
      await opened.database.write(on => on('changes').where({ sequence: 2 }).delete());
      await opened.database.write(on => on('change_sequence').update({ value: 1 }));
      await feed.catchUp();
      expect(ids()).to.deep.equal([undefined, undefined]);
      expect(feed.sequence).to.equal(1);
    });

    it('moves its number only after every listener has finished', async () => {
      const { feed } = reader();
      await feed.catchUp();
      const seen: number[] = [];
      feed.listen(async () => {
        await new Promise(setImmediate);
        seen.push(feed.sequence);
      });
      await change('a');
      await feed.catchUp();
      expect(seen).to.deep.equal([0]);
      expect(feed.sequence).to.equal(1);
    });

    it('tells a change again when a listener failed at it', async () => {
      const { feed, ids } = reader();
      await feed.catchUp();
      let isBroken = true;
      feed.listen(() => {
        if (isBroken) throw new Error('broken');
      });
      await change('a');
      let failure: unknown;
      await feed.catchUp().catch((error: unknown) => {
        failure = error;
      });
      expect(failure).to.have.property('message', 'broken');
      expect(feed.sequence).to.equal(0);
      isBroken = false;
      await feed.catchUp();
      expect(ids()).to.deep.equal([undefined, 'a', 'a']);
      expect(feed.sequence).to.equal(1);
    });

    it('catches up to a number that another node has told', async () => {
      const { feed } = reader();
      await feed.catchUp();
      for (const id of ['a', 'b', 'c']) await change(id, opened.another());
      await Promise.all([feed.catchUpTo(3), feed.catchUpTo(2), feed.catchUp()]);
      expect(feed.sequence).to.equal(3);
    });
  });
});
