import { expect } from 'chai';
import { appendAuditEvents } from '../../src/audit/audit-log.js';
import type { AuditEvent } from '../../src/audit/events.js';
import { GroupCommit } from '../../src/audit/group-commit.js';
import { lockChanges } from '../../src/database/changes.js';
import {
  type ClientLoss,
  continueRevocations,
  revokeStatus,
  revokeStatusesOfClients,
  revokeStatusesOfGrant,
  revokeStatusesOfKey,
} from '../../src/status-lists/revoke-statuses.js';
import { StatusListStore } from '../../src/status-lists/status-list-store.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { figure, rounds, timeLimit } from '../support/scale.js';

const store = new StatusListStore();
/** Tokens of one client. */
const LARGE = rounds({ short: 15_000, long: 1_000_000 });
let names = 0;

describe('revocation in status lists', () => {
  forEachDatabase((name, fresh) => {
    let opened: Opened;

    before(async () => {
      opened = await openedDatabase(fresh);
    });
    after(() => opened.close());

    /** A list that expires in so many seconds. */
    async function makeList(expiresIn = 3600): Promise<{ readonly listId: number; readonly kid: string }> {
      names += 1;
      const kid = `kid-${names}`;
      const { listId } = await opened.database.transaction(async trx => {
        const expiresAt = (await opened.database.now(trx)) + expiresIn * 1000;
        return store.lease(trx, { alg: 'ES256', kid, expiresAt }, 64);
      });
      return { listId, kid };
    }

    interface Issued {
      readonly clientId: string;
      readonly listId: number;
      readonly indices: readonly number[];
      readonly grantKey?: string;
      readonly scope?: string;
    }

    function told({ clientId, listId, indices, grantKey, scope = '' }: Issued): AuditEvent[] {
      return indices.map(index => ({
        event: 'token.issued',
        outcome: 'success',
        actor: `client:${clientId}`,
        clientId,
        detail: { scope },
        status: { listId, index, grantKey },
      }));
    }

    async function issue(...issued: readonly Issued[]): Promise<void> {
      await opened.database.transaction(async trx =>
        appendAuditEvents(opened.database, trx, issued.flatMap(told), 'n', await opened.database.now(trx)),
      );
    }

    async function revoke(losses: readonly ClientLoss[]): Promise<void> {
      await opened.database.transaction(async trx => {
        await lockChanges(trx);
        await revokeStatusesOfClients(trx, losses, await opened.database.now(trx));
      });
    }

    async function revokedIn(listId: number): Promise<number[]> {
      const now = await opened.database.now();
      const revoked = await store.listRevoked(opened.database.reader, 0, now);
      return [...new Set(revoked.flatMap(row => (row.listId === listId ? row.indices : [])))].sort(
        (a, b) => a - b,
      );
    }

    async function pending(): Promise<number> {
      const row = await opened.database.reader('pending_status_revocations').count({ count: '*' }).first();
      return Number(row?.count);
    }

    const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index);
    const now = () => opened.database.now();

    it('of a grant finds its tokens in every list, and no others', async () => {
      const [one, two] = [await makeList(), await makeList()];
      const clientId = 'cl_grant';
      await issue({ clientId, listId: one.listId, indices: [3, 70], grantKey: 'g1' });
      await issue({ clientId, listId: two.listId, indices: [9], grantKey: 'g1' });
      await issue({ clientId, listId: one.listId, indices: [4], grantKey: 'g2' });
      await issue({ clientId, listId: one.listId, indices: [5] });
      const at = await now();
      await opened.database.transaction(trx => revokeStatusesOfGrant(trx, 'g1', at));
      expect([await revokedIn(one.listId), await revokedIn(two.listId)]).to.deep.equal([[3, 70], [9]]);
    });

    it('of one token needs no search, and none for a list that has gone', async () => {
      const [list, gone] = [await makeList(), await makeList(-1)];
      const at = await now();
      await opened.database.transaction(async trx => {
        await revokeStatus(trx, { listId: list.listId, index: 8 }, at);
        await revokeStatus(trx, { listId: gone.listId, index: 8 }, at);
        await revokeStatus(trx, { listId: 987_654, index: 8 }, at);
      });
      expect(await revokedIn(list.listId)).to.deep.equal([8]);
      expect(await opened.database.reader('revoked_statuses').where({ list_id: gone.listId })).to.have.length(
        0,
      );
    });

    it('of a key is one statement, whatever it has signed', async () => {
      const [one, two] = [await makeList(), await makeList()];
      const at = await now();
      await opened.database.transaction(trx => revokeStatusesOfKey(trx, one.kid, at));
      const live = new Map(
        (await store.listLive(opened.database.reader, at)).map(list => [list.listId, list]),
      );
      expect(live.get(one.listId)?.isAllRevoked).to.equal(true);
      expect(live.get(two.listId)?.isAllRevoked).to.equal(false);
    });

    it('of a client’s lost scope spares tokens without it, and other clients', async () => {
      const { listId } = await makeList();
      await issue({ clientId: 'cl_scope', listId, indices: [1], scope: 'orders.read orders.write' });
      await issue({ clientId: 'cl_scope', listId, indices: [2], scope: 'orders.readers' });
      await issue({ clientId: 'cl_scope', listId, indices: [3] });
      await issue({ clientId: 'cl_other', listId, indices: [4], scope: 'orders.read' });
      await revoke([{ clientId: 'cl_scope', scopes: ['orders.read'] }]);
      expect(await revokedIn(listId)).to.deep.equal([1]);
    });

    it(`of a client with ${LARGE} tokens is begun at once and ended by the job, and spares what is issued later`, async function () {
      this.timeout(timeLimit(20_000));
      const [one, two] = [await makeList(), await makeList()];
      const clientId = 'cl_large';
      const [first, second] = [LARGE * 0.8, LARGE * 0.2];
      for (let from = 0; from < first; from += 15_000) {
        await issue({ clientId, listId: one.listId, indices: upTo(Math.min(15_000, first - from), from) });
      }
      for (let from = 0; from < second; from += 10_000) {
        await issue({ clientId, listId: two.listId, indices: upTo(Math.min(10_000, second - from), from) });
      }
      await issue({ clientId: 'cl_small', listId: one.listId, indices: [first] });
      const startedAt = performance.now();
      await revoke([{ clientId }]);
      const begunAt = performance.now();
      expect(await revokedIn(one.listId)).to.deep.equal(upTo(10_000));
      expect(await pending()).to.equal(1);
      await issue({ clientId, listId: two.listId, indices: [second] });
      const resumedAt = performance.now();
      const steps = await continueRevocations(opened);
      const took = [begunAt - startedAt, performance.now() - resumedAt].map(time => `${time.toFixed(0)} ms`);
      figure(
        `status lists: ${LARGE} tokens of a client revoked (${name}): ${took.join(' + ')}, ${steps} steps`,
      );
      expect(await revokedIn(one.listId)).to.deep.equal(upTo(first));
      expect(await revokedIn(two.listId)).to.deep.equal(upTo(second));
      expect(await pending()).to.equal(0);
    });

    it('of many clients at once is begun for twenty and ended by the job for all', async () => {
      const { listId } = await makeList();
      const clients = upTo(50).map(index => ({ clientId: `cl_many_${index}`, index }));
      await issue(
        ...clients.map(({ clientId, index }) => ({ clientId, listId, indices: [index], scope: 'a b' })),
      );
      await revoke(clients.map(({ clientId }) => ({ clientId, scopes: ['b'] })));
      expect(await revokedIn(listId)).to.deep.equal(upTo(20));
      expect(await pending()).to.equal(30);
      await continueRevocations(opened);
      expect(await revokedIn(listId)).to.deep.equal(upTo(50));
      expect(await pending()).to.equal(0);
    });

    it('goes on where a node that was killed has stopped, also when two do it at once', async () => {
      const { listId } = await makeList();
      const clientId = 'cl_killed';
      await issue({ clientId, listId, indices: upTo(22_000) });
      await revoke([{ clientId }]);
      // As far as the last commit of the node that is gone.
      await opened.database.write(on => on('pending_status_revocations').update({ after_index: 10_999 }));
      // Its lease runs still; both take over at once when it has ended.
      opened.moveBy(31);
      const other = opened.another();
      await Promise.all([continueRevocations(opened), continueRevocations(other)]);
      await continueRevocations(opened);
      const done = await revokedIn(listId);
      expect(done.slice(0, 10_000)).to.deep.equal(upTo(10_000));
      expect(done.slice(10_000)).to.deep.equal(upTo(11_000, 11_000));
      expect(await pending()).to.equal(0);
    }).timeout(20_000);

    it('finds the token that was issued a moment before, in the same batch of the group commit', async () => {
      const { listId } = await makeList();
      const commit = new GroupCommit({
        database: opened.database,
        nodeId: 'n',
        monotonic: () => performance.now(),
      });
      const row = await opened.database.reader('change_sequence').first('value');
      const sequence = Number(row?.value);
      const event = told({ clientId: 'cl_batch', listId, indices: [7], grantKey: 'g-batch' });
      await Promise.all([
        commit.commit({ sequence, operations: [async () => undefined], events: event }),
        commit.commit({
          sequence,
          operations: [(trx, at) => revokeStatusesOfGrant(trx, 'g-batch', at)],
          events: [],
          endsGrants: true,
        }),
      ]);
      expect(await revokedIn(listId)).to.deep.equal([7]);
    });

    it('is forgotten with its list, when all its tokens have expired', async () => {
      const { listId } = await makeList(10);
      const at = await now();
      await opened.database.transaction(trx => revokeStatus(trx, { listId, index: 1 }, at));
      await opened.database.transaction(trx => store.sweep(trx, at + 9_000));
      expect(await revokedIn(listId)).to.deep.equal([1]);
      await opened.database.transaction(trx => store.sweep(trx, at + 11_000));
      expect(await opened.database.reader('revoked_statuses').where({ list_id: listId })).to.have.length(0);
    });

    it('costs nothing where nobody has lists', async () => {
      await opened.database.write(on => on('status_lists').delete());
      const asked: string[] = [];
      const at = await now();
      await opened.database.transaction(async trx => {
        trx.on('query', ({ sql }: { sql: string }) => asked.push(sql));
        await revokeStatusesOfGrant(trx, 'g', at);
        await revokeStatusesOfClients(trx, [{ clientId: 'cl' }], at);
      });
      expect(asked.filter(sql => /^select/.test(sql))).to.have.length(2);
    });
  });
});
