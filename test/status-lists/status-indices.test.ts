import { fork } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { isAppError } from '../../src/errors.js';
import { StatusIndices } from '../../src/status-lists/status-indices.js';
import { LIST_SIZE, listExpiryOf, type StatusPlace } from '../../src/status-lists/status-list.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import type { FreshDatabase } from '../support/postgres.js';
import { figure, rounds, timeLimit } from '../support/scale.js';
import type { LeasingAssignment } from './leasing-node.js';

const ROUNDS = rounds({ short: 20, long: 200 });
const HOUR = Date.UTC(2026, 10, 25, 12) / 1000;

function nameOf({ listId, index }: StatusPlace): string {
  return `${listId}:${index}`;
}

describe('places in status lists', () => {
  forEachDatabase((_name, fresh) => {
    let made: FreshDatabase;
    let opened: Opened;
    let nodes: readonly Opened[];

    before(async () => {
      made = await fresh();
      opened = await openedDatabase(async () => made);
      nodes = [opened, opened.another(), opened.another()];
    });
    after(() => opened.close());

    function indicesOf(node: Opened, options: { readonly monotonic?: () => number } = {}): StatusIndices {
      const { monotonic = () => performance.now() } = options;
      return new StatusIndices({ database: node.database, log: { warn: () => undefined }, monotonic });
    }

    async function leased(kid: string): Promise<number[]> {
      const rows = await opened.database.reader('status_lists').where({ kid }).orderBy('part');
      return rows.map(row => Number(row.leased));
    }

    it(`are given once, whichever of three nodes takes them at the same instant (${ROUNDS} rounds)`, async function () {
      this.timeout(timeLimit(20_000));
      const seen = new Set<string>();
      let taken = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        // Each round begins with nodes that hold nothing and meet in a list that may not exist yet.
        const key = { alg: 'ES256', kid: `race-${round}` } as const;
        const places = await Promise.all(
          nodes.flatMap(node => {
            const indices = indicesOf(node);
            return Array.from({ length: 40 }, async () => indices.take(key, HOUR));
          }),
        );
        for (const place of places) seen.add(nameOf(place));
        taken += places.length;
        expect(await leased(key.kid), 'one list for all').to.have.length(1);
      }
      expect(seen.size).to.equal(taken);
      figure(`status list places: ${taken} taken in ${ROUNDS} rounds by 3 nodes, none twice`);
    });

    it('control: counted by a read and a write, some are given twice', async () => {
      const naive = async (node: Opened): Promise<number> => {
        const on = node.database.reader;
        const row = await on('status_lists').where({ kid: 'naive' }).first('leased');
        await node.database.write(writer =>
          writer('status_lists')
            .where({ kid: 'naive' })
            .update({ leased: Number(row?.leased) + 64 }),
        );
        return Number(row?.leased);
      };
      await indicesOf(opened).take({ alg: 'ES256', kid: 'naive' }, HOUR);
      const firsts = await Promise.all(nodes.flatMap(node => [naive(node), naive(node), naive(node)]));
      expect(new Set(firsts).size).to.be.below(firsts.length);
    });

    it('are lost with a node that is killed, and given to nobody else', async function () {
      this.timeout(20_000);
      const assignment: LeasingAssignment = { url: made.url, exp: HOUR };
      const child = fork(join(import.meta.dirname, 'leasing-node.ts'), [JSON.stringify(assignment)], {
        execArgv: ['--import', 'tsx'],
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      const place = await new Promise<StatusPlace>(resolve => child.once('message', resolve as never));
      const ended = new Promise(resolve => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      const indices = indicesOf(opened);
      const later = await Promise.all(
        Array.from({ length: 200 }, async () => indices.take({ alg: 'ES256', kid: 'killed' }, HOUR)),
      );
      expect(place.index).to.be.below(64);
      expect(Math.min(...later.map(({ index }) => index))).to.be.at.least(64);
      expect(new Set(later.map(nameOf)).size).to.equal(200);
    });

    it('are taken from memory, and the next block is there before the last one is used up', async () => {
      const indices = indicesOf(opened);
      const key = { alg: 'ES256', kid: 'stock' } as const;
      let waited = 0;
      for (let count = 0; count < 5000; count += 1) {
        const place = indices.take(key, HOUR);
        if (place instanceof Promise) waited += 1;
        await place;
        // As between two requests.
        if (count % 20 === 0) await opened.database.reader.raw('select 1');
      }
      expect(waited).to.be.at.most(2);
      const [count = 0] = await leased('stock');
      expect(count, 'leases grow with the rate, up to 10 000').to.be.within(5000, 26_000);
    });

    it('stand in shuffled order, so that neighbours in a list do not tell who came when', async () => {
      const indices = indicesOf(opened);
      const places = await Promise.all(
        Array.from({ length: 64 }, async () => indices.take({ alg: 'ES256', kid: 'shuffled' }, HOUR)),
      );
      const order = places.map(({ index }) => index);
      expect(new Set(order).size).to.equal(64);
      expect(order).not.to.deep.equal([...order].sort((a, b) => a - b));
    });

    it('of the next hour are there before its first token', async () => {
      const indices = indicesOf(opened);
      const key = { alg: 'ES256', kid: 'hours' } as const;
      await indices.take(key, HOUR - 121);
      expect(await leased('hours')).to.have.length(1);
      await indices.take(key, HOUR - 120);
      while ((await leased('hours')).length < 2);
      expect(indices.take(key, HOUR)).not.to.be.instanceOf(Promise);
      const rows = await opened.database.reader('status_lists').where({ kid: 'hours' }).orderBy('expires_at');
      expect(rows.map(row => Number(row.expires_at))).to.deep.equal([
        listExpiryOf(HOUR - 1),
        listExpiryOf(HOUR),
      ]);
    });

    it('of another key, algorithm or hour are in another list, and so is what a full list cannot hold', async () => {
      const indices = indicesOf(opened);
      const take = async (kid: string, exp: number) =>
        (await indices.take({ alg: 'ES256', kid }, exp)).listId;
      const lists = [await take('one', HOUR), await take('two', HOUR), await take('one', HOUR + 3600)];
      await opened.database.write(on =>
        on('status_lists')
          .where({ kid: 'one' })
          .update({ leased: LIST_SIZE - 63 }),
      );
      lists.push((await indicesOf(opened).take({ alg: 'ES256', kid: 'one' }, HOUR)).listId);
      expect(new Set(lists).size).to.equal(4);
    });

    it('are waited for within bounds while the database is away, and nobody waits after a failure', async () => {
      const gone = opened.another();
      await gone.database.close();
      let now = 0;
      const indices = indicesOf(gone, { monotonic: () => now });
      const take = async (): Promise<unknown> => {
        const taken = await Promise.all([
          Promise.resolve(indices.take({ alg: 'ES256', kid: 'away' }, HOUR)).catch((error: unknown) => error),
        ]);
        return taken[0];
      };
      const refused = await Promise.all(Array.from({ length: 3000 }, take));
      expect(refused.every(error => isAppError(error, 'not_ready'))).to.equal(true);
      const startedAt = performance.now();
      expect(isAppError(await take(), 'not_ready')).to.equal(true);
      expect(performance.now() - startedAt).to.be.below(100);
      now += 1000;
      expect(isAppError(await take(), 'not_ready')).to.equal(true);
    });
  });
});
