import { expect } from 'chai';
import { Limiter } from '../../src/rate-limits/limiter.js';
import { limitOf } from '../../src/rate-limits/limits.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

const MOST = limitOf('production', 'account_password').most;

describe('failure budgets', () => {
  forEachDatabase((_name, fresh) => {
    let node: Opened;
    let limiters: Limiter[];

    before(async () => {
      node = await openedDatabase(fresh);
      limiters = [node, node.another(), node.another()].map(
        each => new Limiter(each.database, each.hasher, 'production'),
      );
    });

    after(() => node.close());

    const first = (): Limiter => limiters[0] as Limiter;

    it('evaluate exactly N of 2 000 guesses, 200 at once on three nodes (requirement 87)', async function () {
      this.timeout(120_000);
      let evaluated = 0;
      for (let wave = 0; wave < 10; wave += 1) {
        const guesses = Array.from({ length: 200 }, (_, index) =>
          (limiters[index % 3] as Limiter).reserve('account_password', ['us_a', '192.0.2.1']),
        );
        evaluated += (await Promise.all(guesses)).filter(({ allowed }) => allowed).length;
      }
      expect(evaluated).to.equal(MOST);
    });

    it('would not, if an attempt were counted after it was evaluated', async () => {
      // The control: reading first and counting afterwards is what the statement must not be.
      const evaluated = await Promise.all(
        Array.from({ length: 64 }, async (_, index) => {
          const { database } = node;
          const row = await database.reader('limit_counters').where({ limit_name: 'control' }).first();
          if (Number(row?.count ?? 0) >= MOST) return 0;
          await database.write(on =>
            on('limit_counters')
              .insert({ limit_name: 'control', counted_key: 'x', count: 1, window_ends_at: index })
              .onConflict(['limit_name', 'counted_key'])
              .merge({ count: on.raw('limit_counters.count + 1') }),
          );
          return 1;
        }),
      );
      expect(evaluated.filter(Boolean).length).to.be.above(MOST);
    });

    it('begin anew when the window has passed by the database clock, and say when', async () => {
      const key = ['us_b', '192.0.2.1'];
      for (let i = 0; i < MOST; i += 1) await first().reserve('account_password', key);
      const refused = await first().reserve('account_password', key);
      if (refused.allowed) throw new Error('not refused');
      expect(refused.retryAfter).to.be.within(890, 900);
      node.moveBy(refused.retryAfter - 10);
      expect((await first().reserve('account_password', key)).allowed).to.equal(false);
      node.moveBy(11);
      expect((await first().reserve('account_password', key)).allowed).to.equal(true);
    });

    it('do not count at one limit what another refuses', async () => {
      const flood = async (): Promise<boolean> => {
        const { allowed } = await first().reserveAll([
          ['account_password_network', 'shared'],
          ['account_password', ['us_c', 'shared']],
        ]);
        return allowed;
      };
      for (let i = 0; i < MOST + 200; i += 1) await flood();
      const others = await first().reserveAll([
        ['account_password_network', 'shared'],
        ['account_password', ['us_d', 'shared']],
      ]);
      expect(others.allowed).to.equal(true);
    });

    it('forget the failures of an account after its success, and only the success where a key is shared', async () => {
      const attempt = (userId: string) =>
        first().reserveAll([
          ['account_password_network', 'n'],
          ['account_password', [userId, 'n']],
        ]);
      for (let i = 0; i < 5; i += 1) await attempt('us_e');
      await first().forgive(await attempt('us_e'));
      const counts = await node.database
        .reader('limit_counters')
        .where({
          limit_name: 'account_password_network',
          counted_key: node.hasher.hashOf('limit:account_password_network', '"n"'),
        })
        .select('count');
      expect(counts.map(row => Number(row.count))).to.deep.equal([5]);
      const left = await node.database.reader('limit_counters').where({
        limit_name: 'account_password',
        counted_key: node.hasher.hashOf('limit:account_password', '["us_e","n"]'),
      });
      expect(left).to.deep.equal([]);
    });

    it('take nothing back from a window that has not seen the attempt', async () => {
      const before = await first().reserve('sign_up', 'w');
      node.moveBy(3_601);
      await first().reserve('sign_up', 'w');
      await first().forgive(before);
      const row = await node.database
        .reader('limit_counters')
        .where({ limit_name: 'sign_up', counted_key: node.hasher.hashOf('limit:sign_up', '"w"') })
        .first();
      expect(Number(row?.count)).to.equal(1);
    });

    it('store no key that can be read', async () => {
      await first().reserve('reset_mail', 'ada@example.com');
      const rows = await node.database.reader('limit_counters').select('counted_key');
      expect(JSON.stringify(rows)).to.not.include('ada').and.not.include('us_a');
    });

    it('are swept when their window has ended, and not before', async () => {
      node.moveBy(2 * 24 * 3_600);
      await first().reserve('sign_up', 'kept');
      await node.database.transaction(async trx => {
        await first().forget(trx, 'account_consecutive', 'nobody');
        await first().sweep(trx, await node.database.now(trx));
      });
      const left = await node.database.reader('limit_counters').select('limit_name');
      expect(left).to.deep.equal([{ limit_name: 'sign_up' }]);
    });
  });

  it('are ten times as wide in development, except that a challenge counts once', () => {
    expect(limitOf('development', 'second_factor').most).to.equal(
      10 * limitOf('production', 'second_factor').most,
    );
    expect(limitOf('development', 'passkey_challenge').most).to.equal(1);
  });

  it('allow no more than 100 failures in a row on an account (NIST SP 800-63B-4 §3.2.2)', () => {
    for (const name of ['account_consecutive', 'device_consecutive', 'second_factor_consecutive'] as const) {
      expect(limitOf('production', name).most).to.be.at.most(100);
    }
  });
});
