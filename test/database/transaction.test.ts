import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect } from 'chai';
import knexModule from 'knex';
import { type Database, openDatabase } from '../../src/database/connect.js';
import { forEachDatabase, freshSqlite } from '../support/databases.js';
import { rounds } from '../support/rounds.js';

const CHILD = new URL('./read-then-write.ts', import.meta.url).pathname;

describe('a transaction', () => {
  describe('on SQLite, written to by several processes', () => {
    /** Two processes that each read a counter and write it back, many times; how often each was refused. */
    async function race(kind: 'ours' | 'plain'): Promise<{ counted: number; busy: number; written: number }> {
      const fresh = await freshSqlite();
      const database = openDatabase({ url: fresh.url });
      await database.transaction(trx => trx.schema.createTable('counter', table => table.integer('value')));
      await database.transaction(trx => trx('counter').insert({ value: 0 }));
      const count = rounds(150, 2000);
      const children = [1, 2].map(() =>
        fork(CHILD, [kind, fresh.url, String(count)], { execArgv: ['--import=tsx'] }),
      );
      await Promise.all(children.map(child => once(child, 'message')));
      for (const child of children) child.send('go');
      const results = await Promise.all(
        children.map(async child => (await once(child, 'message'))[0] as { busy: number; written: number }),
      );
      const row = await database.reader('counter').first('value');
      await database.close();
      await fresh.drop();
      return {
        counted: Number(row?.value),
        busy: results.reduce((sum, { busy }) => sum + busy, 0),
        written: results.reduce((sum, { written }) => sum + written, 0),
      };
    }

    it('takes the write lock first: read-then-write of two processes meets no SQLITE_BUSY and loses no update', async function () {
      this.timeout(120_000);
      const { counted, busy, written } = await race('ours');
      expect(busy).to.equal(0);
      expect(written).to.equal(rounds(150, 2000) * 2);
      expect(counted).to.equal(written);
    });

    it('would meet SQLITE_BUSY with the plain BEGIN of knex (control)', async function () {
      this.timeout(120_000);
      const { busy } = await race('plain');
      process.stdout.write(`      plain BEGIN: ${busy} of ${rounds(150, 2000) * 2} refused as busy\n`);
      expect(busy).to.be.above(0);
    });

    it('keeps durability on: WAL, synchronous FULL, foreign keys, on every connection', async () => {
      const fresh = await freshSqlite();
      const database = openDatabase({ url: fresh.url });
      const settingOf = async (name: string): Promise<unknown[]> => {
        const read = async (on: Database['reader']) => Object.values((await on.raw(`PRAGMA ${name}`))[0])[0];
        return [await database.transaction(trx => read(trx)), await read(database.reader)];
      };
      expect(await settingOf('journal_mode')).to.deep.equal(['wal', 'wal']);
      expect(await settingOf('synchronous')).to.deep.equal([2, 2]);
      expect(await settingOf('foreign_keys')).to.deep.equal([1, 1]);
      await database.close();
      await fresh.drop();
    });
  });

  forEachDatabase((_name, fresh) => {
    let database: Database;

    before(async () => {
      database = openDatabase({ url: (await fresh()).url });
      await database.transaction(trx =>
        trx.schema.createTable('things', table => table.text('id').primary()),
      );
    });

    after(() => database.close());

    it('leaves nothing when its work throws', async () => {
      let caught: unknown;
      await database
        .transaction(async trx => {
          await trx('things').insert({ id: 'a' });
          throw new Error('no');
        })
        .catch((error: unknown) => {
          caught = error;
        });
      expect(caught).to.have.property('message', 'no');
      expect(await database.reader('things')).to.deep.equal([]);
    });

    it('is run again when another writer was in the way, and only then', async () => {
      for (const [code, runs] of [
        // Each of these attempts has already waited for the lock.
        ['SQLITE_BUSY', 2],
        ['40001', 3],
        ['40P01', 3],
        ['23505', 1],
      ] as const) {
        let count = 0;
        await database
          .transaction(async () => {
            count += 1;
            if (count < 3) throw Object.assign(new Error('x'), { code });
          })
          .catch(() => undefined);
        expect(count, code).to.equal(runs);
      }
    });

    it('tells the time of the database, moved by the offset alone', async () => {
      const started = Date.now();
      const now = await database.now();
      expect(now).to.be.within(started - 1500, Date.now() + 1500);
      expect(now % 1).to.equal(0);
    });
  });

  it('is refused with database_unavailable when a server takes the connection and says nothing', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>(done => silent.listen(0, '127.0.0.1', done));
    const { port } = silent.address() as AddressInfo;
    const database = openDatabase({ url: `postgres://x:y@127.0.0.1:${port}/none` });
    const refusal: unknown = await database.now().catch((error: unknown) => error);
    expect(refusal).to.have.property('code', 'database_unavailable');
    await database.close();
    silent.close();
  });

  it('is refused with database_unavailable when nobody answers', async () => {
    const database = openDatabase({ url: 'postgres://x:y@127.0.0.1:1/none' });
    for (const work of [
      database.transaction(trx => trx.raw('select 1')),
      database.read(on => on.raw('select 1')),
      database.write(on => on.raw('select 1')),
      database.now(),
    ]) {
      let refusal: unknown;
      await work.catch((error: unknown) => {
        refusal = error;
      });
      expect(refusal).to.have.property('code', 'database_unavailable');
    }
    await database.close();
  });

  it('of knex itself begins without the lock (what the control above stands on)', async () => {
    const fresh = await freshSqlite();
    const plain = knexModule.knex({
      client: 'sqlite3',
      connection: { filename: fresh.url.slice('sqlite:'.length) },
      useNullAsDefault: true,
    });
    const queries: string[] = [];
    plain.on('query', ({ sql }: { sql: string }) => queries.push(sql));
    await plain.transaction(async trx => trx.raw('select 1'));
    expect(queries[0]).to.equal('BEGIN;');
    await plain.destroy();
    await fresh.drop();
  });
});
