import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { GroupCommit, type Operation } from '../../src/audit/group-commit.js';
import { Envelope } from '../../src/crypto/envelope.js';
import { ArtifactStore } from '../../src/oidc/artifact-store.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { rounds } from '../support/rounds.js';
import { dumpOf } from '../support/tables.js';

const PARALLEL = 16;

describe('the artifact store', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;
    let nodes: readonly Opened[];
    let commits: readonly GroupCommit[];
    let store: ArtifactStore;

    before(async () => {
      opened = await openedDatabase(fresh);
      nodes = [opened, opened.another(), opened.another()];
      commits = nodes.map(
        ({ database, nodeId }) => new GroupCommit({ database, nodeId, monotonic: () => performance.now() }),
      );
      store = new ArtifactStore({
        hasher: opened.hasher,
        envelope: new Envelope({ id: 'e', key: randomBytes(32) }),
      });
    });

    after(() => opened.close());

    async function sequenceOf(): Promise<number> {
      const row = await opened.database.reader('change_sequence').first('value');
      return Number(row?.value);
    }

    /** As a request would: on one of three nodes, through its committer. */
    async function commit(which: number, ...operations: Operation[]): Promise<boolean> {
      const sequence = await sequenceOf();
      try {
        const outcome = await (commits[which % 3] as GroupCommit).commit({
          sequence,
          operations,
          events: [],
        });
        return outcome.status === 'committed';
      } catch (error) {
        expect(error).to.have.property('code', 'stale');
        return false;
      }
    }

    async function put(model: string, id: string, payload: Record<string, unknown> = {}): Promise<boolean> {
      return commit(0, (trx, now) => store.upsert(trx, model, id, payload, 600, now));
    }

    for (const model of ['AuthorizationCode', 'RefreshToken']) {
      it(`lets exactly one of ${PARALLEL} parallel uses on three nodes consume a ${model}`, async function () {
        this.timeout(600_000);
        for (let round = 0; round < rounds(20, 200); round += 1) {
          const id = `${model}-${round}`;
          await put(model, id, { grantId: `g${round}` });
          const won = await Promise.all(
            Array.from({ length: PARALLEL }, (_, which) =>
              commit(
                which,
                (trx, now) => store.consume(trx, model, id, now),
                // What the winner stores, its losers must not.
                (trx, now) => store.upsert(trx, 'AccessToken', `${id}-${which}`, {}, 600, now),
              ),
            ),
          );
          expect(won.filter(Boolean)).to.have.length(1);
          const stored = await Promise.all(
            won.map((_, which) => store.find(opened.database.reader, 'AccessToken', `${id}-${which}`)),
          );
          expect(stored.map(token => token !== undefined)).to.deep.equal(won);
          expect(await store.find(opened.database.reader, model, id)).to.have.property('consumed');
        }
      });
    }

    it('lets exactly one of 16 parallel uses on three nodes store an id that may be seen once', async function () {
      this.timeout(600_000);
      for (let round = 0; round < rounds(20, 200); round += 1) {
        const won = await Promise.all(
          Array.from({ length: PARALLEL }, (_, which) =>
            commit(which, (trx, now) =>
              store.insertOnce(trx, 'ReplayDetection', `jti-${round}`, now + 600_000, now),
            ),
          ),
        );
        expect(won.filter(Boolean)).to.have.length(1);
      }
    });

    it('would let several win if it looked first and consumed then (control: the WHERE is what protects)', async () => {
      let most = 0;
      for (let round = 0; round < 20 && most < 2; round += 1) {
        const id = `control-${round}`;
        await put('AuthorizationCode', id);
        const wins = await Promise.all(
          Array.from({ length: PARALLEL }, async (_, which) => {
            const { database } = nodes[which % 3] as Opened;
            const found = await store.find(database.reader, 'AuthorizationCode', id);
            if (found?.consumed !== undefined) return false;
            await database.transaction(trx =>
              trx('artifacts')
                .where({ id: store.rowId('AuthorizationCode', id) })
                .update({ consumed_at: 1 }),
            );
            return true;
          }),
        );
        most = Math.max(most, wins.filter(Boolean).length);
      }
      expect(most).to.be.above(1);
    });

    it('leaves no live token of a grant whose revocation races with the token’s insert', async function () {
      this.timeout(600_000);
      for (let round = 0; round < rounds(40, 400); round += 1) {
        const grantId = `race-${round}`;
        await put('Grant', grantId, {});
        await Promise.all([
          commit(round, (trx, now) => store.upsert(trx, 'AccessToken', `at-${round}`, { grantId }, 600, now)),
          commit(round + 1, (trx, now) => store.revokeByGrantId(trx, grantId, now)),
          commit(round + 2, (trx, now) =>
            store.upsert(trx, 'RefreshToken', `rt-${round}`, { grantId }, 600, now),
          ),
        ]);
        for (const { database } of nodes) {
          expect(await store.find(database.reader, 'AccessToken', `at-${round}`)).to.equal(undefined);
          expect(await store.find(database.reader, 'RefreshToken', `rt-${round}`)).to.equal(undefined);
          expect(await store.find(database.reader, 'Grant', grantId)).to.equal(undefined);
          expect(await store.isGrantRevoked(database.reader, grantId)).to.equal(true);
        }
      }
    });

    it('stores nothing for a grant that has been revoked', async () => {
      await put('Grant', 'dead', {});
      await commit(0, (trx, now) => store.revokeByGrantId(trx, 'dead', now));
      expect(await put('AccessToken', 'late', { grantId: 'dead' })).to.equal(false);
      expect(await put('Grant', 'dead', {})).to.equal(false);
      expect(await put('AccessToken', 'other', { grantId: 'alive' })).to.equal(true);
    });

    it('refuses to revoke the grant with an empty id, which would end what belongs to no grant', async () => {
      await put('ClientCredentials', 'no-grant', {});
      for (const grantId of ['', undefined, null, 0]) {
        let refusal: unknown;
        await opened.database
          .transaction(trx => store.revokeByGrantId(trx, grantId as string, 1))
          .catch((error: unknown) => {
            refusal = error;
          });
        expect(refusal).to.be.instanceOf(TypeError);
      }
      expect(await store.find(opened.database.reader, 'ClientCredentials', 'no-grant')).to.not.equal(
        undefined,
      );
      expect(await opened.database.reader('grant_tombstones').where({ grant_key: '' })).to.deep.equal([]);
    });

    it('finds nothing by an empty or missing uid or user code', async () => {
      await put('Session', 's1', {});
      await put('DeviceCode', 'd1', {});
      const on = opened.database.reader;
      for (const missing of ['', undefined as unknown as string]) {
        expect(await store.findByUid(on, 'Session', missing)).to.equal(undefined);
        expect(await store.findByUserCode(on, 'DeviceCode', missing)).to.equal(undefined);
      }
    });

    it('finds by uid and user code, and keeps models apart', async () => {
      await put('Session', 's2', { uid: 'u2' });
      await put('DeviceCode', 'd2', { userCode: 'ABCD' });
      const on = opened.database.reader;
      expect(await store.findByUid(on, 'Session', 'u2')).to.include({ uid: 'u2' });
      expect(await store.findByUserCode(on, 'DeviceCode', 'ABCD')).to.include({ userCode: 'ABCD' });
      expect(await store.findByUid(on, 'Interaction', 'u2')).to.equal(undefined);
      expect(await store.find(on, 'AccessToken', 's2')).to.equal(undefined);
    });

    it('keeps neither an id nor a payload readable', async () => {
      await put('Interaction', 'the-readable-id', {
        cookie: 'the-readable-cookie',
        grantId: 'the-readable-grant',
      });
      const dump = await dumpOf(opened.database);
      expect(dump).to.include(store.rowId('Interaction', 'the-readable-id'));
      expect(dump).to.not.match(/the-readable/);
    });

    it('opens no payload that was moved to another row', async () => {
      await put('AccessToken', 'mine', { scope: 'little' });
      await put('AccessToken', 'theirs', { scope: 'everything' });
      const rows = opened.database.reader('artifacts');
      const { payload } = await rows
        .clone()
        .where({ id: store.rowId('AccessToken', 'theirs') })
        .first('payload');
      await opened.database.write(on =>
        on('artifacts')
          .where({ id: store.rowId('AccessToken', 'mine') })
          .update({ payload }),
      );
      let refusal: unknown;
      await store.find(opened.database.reader, 'AccessToken', 'mine').catch((error: unknown) => {
        refusal = error;
      });
      expect(refusal).to.have.property('code', 'sealed_value_damaged');
    });

    it('sweeps what has ended, a bounded number at a time, and nothing else', async () => {
      await opened.database.write(on => on('artifacts').delete());
      for (let index = 0; index < 5; index += 1) await put('AccessToken', `sweep-${index}`);
      await commit(0, (trx, now) => store.upsert(trx, 'Grant', 'forever', {}, undefined, now));
      const later = (await opened.database.now()) + 601_000;
      const swept = () => opened.database.transaction(trx => store.sweep(trx, later, 3));
      expect([await swept(), await swept(), await swept()]).to.deep.equal([3, 2, 0]);
      expect(await store.find(opened.database.reader, 'Grant', 'forever')).to.not.equal(undefined);
    });
  });
});
