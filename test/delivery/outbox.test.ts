import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { Envelope } from '../../src/crypto/envelope.js';
import { type ClaimedDelivery, type Delivery, Outbox, retryAfter } from '../../src/delivery/outbox.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { dumpOf } from '../support/tables.js';

const CHILD = new URL('./claiming-node.ts', import.meta.url).pathname;
const HOUR = 3600;

function mailTo(to: string): Delivery {
  return { kind: 'mail', to, locale: 'en', mail: 'password-changed', values: {} };
}

const LOGOUT: Delivery = { kind: 'backchannel_logout', clientId: 'cl_1', subject: 'us_1', sid: 'sid-1' };

describe('the outbox', () => {
  it('waits 5 s after the first failure, then twice as long each time, up to half an hour', () => {
    const shortest = [1, 2, 3, 4, 8, 9, 10, 5000].map(attempts => retryAfter(attempts, 0) / 1000);
    expect(shortest).to.deep.equal([5, 10, 20, 40, 640, 1200, 1200, 1200]);
    const longest = [1, 2, 10].map(attempts => retryAfter(attempts, 1) / 1000);
    expect(longest).to.deep.equal([7.5, 15, 1800]);
  });

  forEachDatabase((_name, fresh) => {
    const key = randomBytes(32);
    const newOutbox = () => new Outbox(new Envelope({ id: 'e', key }));
    let opened: Opened;
    let outbox: Outbox;
    let url: string;

    before(async () => {
      opened = await openedDatabase(async () => {
        const made = await fresh();
        url = made.url;
        return made;
      });
      outbox = newOutbox();
    });

    beforeEach(() => opened.database.write(on => on('outbox').delete()));

    after(() => opened.close());

    async function enqueue(...deliveries: Delivery[]): Promise<void> {
      await opened.database.transaction(async trx => {
        const now = await opened.database.now(trx);
        for (const delivery of deliveries) await outbox.enqueue(trx, delivery, now);
      });
    }

    const take = (kind: Delivery['kind'] = 'mail', limit = 10): Promise<ClaimedDelivery[]> =>
      outbox.take(opened.database, kind, limit);

    async function takeOne(): Promise<ClaimedDelivery> {
      const [claimed, ...more] = await take();
      expect(more).to.have.length(0);
      if (claimed === undefined) throw new Error('nothing is due');
      return claimed;
    }

    const failed = (claimed: ClaimedDelivery) =>
      opened.database.transaction(async trx => outbox.failed(trx, claimed, await opened.database.now(trx)));
    const done = (claimed: ClaimedDelivery) => opened.database.transaction(trx => outbox.done(trx, claimed));
    const stored = async () => Number((await opened.database.reader('outbox').count({ n: '*' }).first())?.n);

    it('gives back what was put in, and keeps it sealed meanwhile', async () => {
      await enqueue(mailTo('ada@example.com'), LOGOUT);
      expect(await dumpOf(opened.database))
        .not.to.contain('ada@example.com')
        .and.not.to.contain('sid-1');
      expect(outbox.open(await takeOne())).to.deep.equal(mailTo('ada@example.com'));
      const [logout] = await take('backchannel_logout');
      expect(logout && outbox.open(logout)).to.deep.equal(LOGOUT);
    });

    it('does not open a payload that was moved to another row', async () => {
      await enqueue(mailTo('ada@example.com'));
      const claimed = await takeOne();
      expect(() => outbox.open({ ...claimed, id: 'another' }))
        .to.throw()
        .with.property('code', 'sealed_value_damaged');
    });

    it('stores nothing when its transaction is rolled back', async () => {
      const work = opened.database.transaction(async trx => {
        await outbox.enqueue(trx, LOGOUT, await opened.database.now(trx));
        throw new RangeError('no');
      });
      expect(await work.catch((error: unknown) => error)).to.be.instanceOf(RangeError);
      expect(await stored()).to.equal(0);
    });

    it('loses none of 200 deliveries and gives none out twice, with three nodes taking at once', async function () {
      this.timeout(60_000);
      await enqueue(...Array.from({ length: 200 }, (_, n) => mailTo(`p${n}@example.com`)));
      const nodes = [opened, opened.another(), opened.another()];
      const taken: string[] = [];
      await Promise.all(
        nodes.map(async ({ database }) => {
          const own = newOutbox();
          for (let empty = 0; empty < 3; ) {
            const claimed = await own.take(database, 'mail', 7);
            if (claimed.length === 0) empty += 1;
            for (const each of claimed) {
              const delivery = own.open(each);
              if (delivery.kind === 'mail') taken.push(delivery.to);
              await database.transaction(trx => own.done(trx, each));
            }
          }
        }),
      );
      expect(taken).to.have.length(200);
      expect(new Set(taken).size).to.equal(200);
      expect(await stored()).to.equal(0);
    });

    it('gives a claim that nobody finished to another node when its lease ends', async () => {
      await enqueue(LOGOUT);
      expect(await take('backchannel_logout')).to.have.length(1);
      opened.moveBy(59);
      expect(await take('backchannel_logout')).to.have.length(0);
      opened.moveBy(2);
      const [again] = await take('backchannel_logout');
      expect(again).to.include({ attempts: 2, isExpired: false });
    });

    it('brings back what a node had claimed when it was killed by SIGKILL', async function () {
      this.timeout(60_000);
      await enqueue(LOGOUT, LOGOUT, LOGOUT);
      const child = fork(CHILD, [url, key.toString('base64url'), String(opened.database.clockOffset)], {
        execArgv: ['--import', 'tsx'],
      });
      const claimed = await new Promise(tell => child.once('message', tell));
      const exit = new Promise(ended => child.once('exit', (_code, signal) => ended(signal)));
      child.kill('SIGKILL');
      expect(await exit).to.equal('SIGKILL');
      expect(claimed).to.equal(3);
      expect(await take('backchannel_logout')).to.have.length(0);
      opened.moveBy(61);
      expect(await take('backchannel_logout')).to.have.length(3);
    });

    it('plans the next attempt later each time', async () => {
      await enqueue(LOGOUT);
      for (const shortest of [5, 10, 20]) {
        const [claimed] = await take('backchannel_logout');
        expect(await failed(claimed as ClaimedDelivery)).to.equal('planned');
        opened.moveBy(shortest - 1);
        expect(await take('backchannel_logout')).to.have.length(0);
        opened.moveBy(shortest / 2 + 2);
      }
    });

    for (const [delivery, hours] of [
      [LOGOUT, 24],
      [mailTo('ada@example.com'), 48],
    ] as const) {
      it(`tries a ${delivery.kind} for ${hours} hours, then gives it up`, async () => {
        await enqueue(delivery);
        opened.moveBy(hours * HOUR - 3);
        const [last] = await take(delivery.kind);
        expect(last?.isExpired).to.equal(false);
        expect(await failed(last as ClaimedDelivery)).to.equal('given_up');
        expect(await stored()).to.equal(0);

        await enqueue(delivery);
        opened.moveBy(hours * HOUR);
        const [late] = await take(delivery.kind);
        expect(late?.isExpired).to.equal(true);
      });
    }

    it('lets a slow attempt neither undo nor delay the one that took over', async () => {
      await enqueue(LOGOUT);
      const [slow] = (await take('backchannel_logout')) as [ClaimedDelivery];
      opened.moveBy(61);
      const [next] = (await take('backchannel_logout')) as [ClaimedDelivery];
      expect(await failed(slow)).to.equal('taken_over');
      expect(await stored()).to.equal(1);
      // It has arrived by either.
      expect(await done(slow)).to.equal(true);
      expect(await done(next)).to.equal(false);
    });
  });
});
