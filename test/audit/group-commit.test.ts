import { expect } from 'chai';
import type { AuditEvent } from '../../src/audit/events.js';
import { GroupCommit, type Operation, type Unit } from '../../src/audit/group-commit.js';
import { recordChange } from '../../src/database/changes.js';
import { AppError } from '../../src/errors.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { auditRows, lastAuditId } from '../support/tables.js';

function told(subject: string): AuditEvent {
  return { event: 'token.issued', outcome: 'success', actor: 'anonymous', subject };
}

const write =
  (job: string): Operation =>
  async trx => {
    await trx('job_leases').insert({ job, holder: 'h', lease_until: 1 });
  };

describe('the group commit', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;
    let commit: GroupCommit;
    let batches: number[];
    let sequence: number;

    before(async () => {
      opened = await openedDatabase(fresh);
    });

    after(() => opened.close());

    beforeEach(async () => {
      batches = [];
      commit = new GroupCommit({
        database: opened.database,
        nodeId: 'n',
        monotonic: () => performance.now(),
        onBatch: units => batches.push(units),
      });
      const row = await opened.database.reader('change_sequence').first('value');
      sequence = Number(row?.value);
    });

    function unit(subject: string, operations: readonly Operation[] = [], at = sequence): Unit {
      return { sequence: at, operations, events: [told(subject)] };
    }

    async function subjectsAfter(last: number): Promise<(string | null)[]> {
      return (await auditRows(opened.database, last)).map(({ subject }) => subject);
    }

    async function jobs(prefix: string): Promise<string[]> {
      const rows = await opened.database
        .reader('job_leases')
        .where('job', 'like', `${prefix}%`)
        .orderBy('job');
      return rows.map(({ job }) => job);
    }

    for (const [what, operations] of [
      ['events alone', [] as Operation[]],
      ['operations', [async () => undefined] as Operation[]],
    ] as const) {
      it(`writes all that arrive together in one transaction (${what})`, async () => {
        const last = await lastAuditId(opened.database);
        const outcomes = await Promise.all(
          Array.from({ length: 100 }, (_, index) => commit.commit(unit(`u${index}`, operations))),
        );
        expect(new Set(outcomes.map(({ status }) => status))).to.deep.equal(new Set(['committed']));
        expect(batches.length).to.be.at.most(3);
        expect(await subjectsAfter(last)).to.have.length(100);
      });

      it(`answers only after what it was given is durable (${what})`, async () => {
        const last = await lastAuditId(opened.database);
        await commit.commit(unit('durable', operations));
        expect(await subjectsAfter(last)).to.deep.equal(['durable']);
      });

      it(`writes nothing of what was judged by an older state, and tells where to catch up to (${what})`, async () => {
        const last = await lastAuditId(opened.database);
        await opened.database.transaction(trx => recordChange(trx, 'client', 'c', 1));
        const outcomes = await Promise.all([
          commit.commit(unit('old', operations)),
          commit.commit(unit('new', operations, sequence + 1)),
        ]);
        expect(outcomes).to.deep.equal([
          { status: 'stale', sequence: sequence + 1 },
          { status: 'committed' },
        ]);
        expect(await subjectsAfter(last)).to.deep.equal(['new']);
      });
    }

    it('writes what tokens with a status tell before a unit that ends grants, and else once at the end', async () => {
      const last = await lastAuditId(opened.database);
      const seen: number[] = [];
      const look: Operation = async trx => {
        seen.push((await trx('audit_events').where('id', '>', last).select('id')).length);
      };
      const status = { listId: 1, index: 1, grantKey: 'g' };
      const issues = (subject: string): Unit => ({
        ...unit(subject, [look]),
        events: [{ ...told(subject), status }],
      });
      const units = [issues('s1'), issues('s2'), issues('s3'), { ...issues('end'), endsGrants: true }];
      await Promise.all(units.map(each => commit.commit(each)));
      expect(seen).to.deep.equal([0, 0, 0, 3]);
      expect(await subjectsAfter(last)).to.deep.equal(['s1', 's2', 's3', 'end']);
    });

    it('lets a refused unit take nothing of the others with it, and leaves nothing of its own', async () => {
      const last = await lastAuditId(opened.database);
      const refusal = new AppError('stale', 'no');
      const outcomes = await Promise.allSettled([
        commit.commit(unit('a', [write('refused-a')])),
        commit.commit(
          unit('b', [
            write('refused-b'),
            async () => {
              throw refusal;
            },
          ]),
        ),
        // The database itself refuses this one: a primary key twice.
        commit.commit(unit('c', [write('refused-c'), write('refused-a')])),
        commit.commit(unit('d', [write('refused-d')])),
      ]);
      expect(outcomes.map(({ status }) => status)).to.deep.equal([
        'fulfilled',
        'rejected',
        'rejected',
        'fulfilled',
      ]);
      expect((outcomes[1] as PromiseRejectedResult).reason).to.equal(refusal);
      expect(await jobs('refused-')).to.deep.equal(['refused-a', 'refused-d']);
      expect(await subjectsAfter(last)).to.deep.equal(['a', 'd']);
    });

    it('gives every operation the database’s time', async () => {
      let seen = 0;
      await commit.commit(
        unit('now', [
          async (_trx, now) => {
            seen = now;
          },
        ]),
      );
      expect(Math.abs(seen - (await opened.database.now()))).to.be.below(10_000);
    });

    it('refuses all with database_unavailable, and answers all, when the audit cannot be written', async () => {
      await opened.database.write(on => on.schema.renameTable('audit_events', 'away'));
      const outcomes = await Promise.allSettled([
        commit.commit(unit('a')),
        commit.commit(unit('b', [write('failed-b')])),
      ]);
      await opened.database.write(on => on.schema.renameTable('away', 'audit_events'));
      expect(outcomes.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected']);
      expect(await jobs('failed-')).to.deep.equal([]);
      expect((await commit.commit(unit('again'))).status).to.equal('committed');
    });

    it('refuses more than 8 192 waiting units, keeps those it took, and goes on afterwards', async function () {
      this.timeout(60_000);
      const last = await lastAuditId(opened.database);
      const waiting = Array.from({ length: 8192 }, (_, index) => commit.commit(unit(`q${index}`)));
      let refusal: unknown;
      await commit.commit(unit('too many')).catch((error: unknown) => {
        refusal = error;
      });
      expect(refusal).to.have.property('code', 'database_unavailable');
      await Promise.all(waiting);
      await commit.settled();
      expect(await subjectsAfter(last)).to.have.length(8192);
      expect((await commit.commit(unit('after'))).status).to.equal('committed');
    });

    it('is settled when nothing waits', async () => {
      await commit.settled();
      const committing = commit.commit(unit('last'));
      await commit.settled();
      let isDone = false;
      void committing.then(() => {
        isDone = true;
      });
      await new Promise(setImmediate);
      expect(isDone).to.equal(true);
    });
  });
});
