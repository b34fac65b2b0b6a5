import { inflateSync } from 'node:zlib';
import { expect } from 'chai';
import { decodeJwt, UnsecuredJWT } from 'jose';
import { PublishedLists } from '../../src/status-lists/published-lists.js';
import { revokeStatus, revokeStatusesOfKey } from '../../src/status-lists/revoke-statuses.js';
import { StatusListStore } from '../../src/status-lists/status-list-store.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

const ISSUER = 'https://as.example';
const store = new StatusListStore();

describe('published status lists', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;
    let reads: number;
    let moved: number;
    let mayPublish: boolean;
    let canSign: boolean;
    let signed: number;

    before(async () => {
      opened = await openedDatabase(fresh);
      opened.database.reader.on('query', () => {
        reads += 1;
      });
    });
    after(() => opened.close());
    beforeEach(() => {
      [reads, moved, signed, mayPublish, canSign] = [0, 0, 0, true, true];
    });

    function publishedBy(node: Opened = opened): PublishedLists {
      const { database } = node;
      return new PublishedLists({
        database,
        issuer: ISSUER,
        sign: async (_alg, claims) => {
          if (!canSign) throw new TypeError('no key');
          signed += 1;
          return new UnsecuredJWT({ ...claims }).encode();
        },
        mayPublish: () => mayPublish,
        databaseNow: () => Date.now() + moved,
        monotonic: () => performance.now() + moved,
      });
    }

    let lists = 0;
    async function makeList(): Promise<{
      readonly id: string;
      readonly listId: number;
      readonly kid: string;
    }> {
      lists += 1;
      const kid = `kid-${lists}`;
      const lease = await opened.database.transaction(trx =>
        store.lease(trx, { alg: 'ES256', kid, expiresAt: Date.now() + 7_200_000 }, 64),
      );
      return { id: String(lease.listId), listId: lease.listId, kid };
    }

    async function revoke(listId: number, index: number, at?: number): Promise<void> {
      const now = at ?? (await opened.database.now());
      await opened.database.transaction(trx => revokeStatus(trx, { listId, index }, now));
    }

    async function found(published: PublishedLists, id: string) {
      const answer = await published.find(id);
      if (answer.outcome !== 'found') throw new Error(answer.outcome);
      const claims = decodeJwt<{ status_list: { bits: number; lst: string }; ttl: number }>(
        answer.document.body.toString(),
      );
      const bits = inflateSync(Buffer.from(claims.status_list.lst, 'base64url'));
      const isSet = (index: number) => (((bits[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
      return { claims, isSet, etag: answer.document.etag, bits };
    }

    it('say what the draft asks for, in one bit for each of a million tokens', async () => {
      const { id, listId } = await makeList();
      await revoke(listId, 1000);
      const { claims, isSet, bits } = await found(publishedBy(), id);
      expect(claims).to.include({ iss: ISSUER, sub: `${ISSUER}/status-lists/${id}`, ttl: 10 });
      expect(Number(claims.exp) - Number(claims.iat)).to.equal(300);
      expect(claims.status_list.bits).to.equal(1);
      expect(bits.length).to.equal(2 ** 17);
      expect([isSet(999), isSet(1000), isSet(1001)]).to.deep.equal([false, true, false]);
    });

    it('are signed once while nothing changes, and read at most four times a second however many ask', async () => {
      const { id } = await makeList();
      const published = publishedBy();
      const first = await found(published, id);
      const before = reads;
      const ask = async () => {
        const answer = await published.find(id);
        return answer.outcome === 'found' ? answer.document.etag : answer.outcome;
      };
      const etags = await Promise.all(Array.from({ length: 500 }, ask));
      expect(new Set(etags)).to.deep.equal(new Set([first.etag]));
      expect([reads - before, signed]).to.deep.equal([0, 1]);
      moved += 501;
      await Promise.all(Array.from({ length: 500 }, ask));
      expect(reads - before).to.be.below(8);
      expect(signed).to.equal(1);
    });

    it('change within a second of a revocation on another node, and are signed anew after ten', async () => {
      const { id, listId } = await makeList();
      const published = publishedBy();
      const before = await found(published, id);
      await revoke(listId, 5);
      moved += 501;
      const after = await found(published, id);
      expect([before.isSet(5), after.isSet(5)]).to.deep.equal([false, true]);
      expect(after.etag).not.to.equal(before.etag);
      moved += 9_000;
      expect((await found(published, id)).etag).to.equal(after.etag);
      expect(signed).to.equal(2);
      moved += 1_000;
      await found(published, id);
      expect(signed).to.equal(3);
    });

    it('hold what a transaction commits that began half a minute ago', async () => {
      const { id, listId } = await makeList();
      const published = publishedBy();
      await found(published, id);
      await revoke(listId, 6, (await opened.database.now()) - 30_000);
      moved += 501;
      expect((await found(published, id)).isSet(6)).to.equal(true);
    });

    it('hold within a minute what a node commits that was paused for an hour', async () => {
      const { id, listId } = await makeList();
      const published = publishedBy();
      await found(published, id);
      await revoke(listId, 7, (await opened.database.now()) - 3_600_000);
      moved += 60_000;
      expect((await found(published, id)).isSet(7)).to.equal(true);
    });

    it('of a revoked key are revoked whole', async () => {
      const { id, kid } = await makeList();
      const published = publishedBy();
      expect((await found(published, id)).isSet(0)).to.equal(false);
      const now = await opened.database.now();
      await opened.database.transaction(trx => revokeStatusesOfKey(trx, kid, now));
      moved += 501;
      const { bits } = await found(published, id);
      expect(new Set(bits)).to.deep.equal(new Set([255]));
    });

    it('that another node has just begun are found at once, though this one has read a moment ago', async () => {
      const published = publishedBy();
      await published.find('1');
      const { id } = await makeList();
      expect((await published.find(id)).outcome).to.equal('found');
    });

    it('that do not exist cost a thousand callers one or two readings', async () => {
      const published = publishedBy();
      const answers = await Promise.all(
        Array.from({ length: 1000 }, (_, index) => published.find(String(900_000 + index))),
      );
      expect(new Set(answers.map(({ outcome }) => outcome))).to.deep.equal(new Set(['unknown']));
      expect(reads).to.be.at.most(2 * 3);
      await published.find('no-number');
      expect(reads).to.be.at.most(2 * 3);
    });

    it('that have expired are unknown', async () => {
      const { id } = await makeList();
      const published = publishedBy();
      await found(published, id);
      moved += 7_200_000;
      expect((await published.find(id)).outcome).to.equal('unknown');
    });

    it('are not published by a node that may not publish its keys, or has none to sign with', async () => {
      const { id } = await makeList();
      const published = publishedBy();
      mayPublish = false;
      expect((await published.find(id)).outcome).to.equal('unavailable');
      [mayPublish, canSign] = [true, false];
      expect((await published.find(id)).outcome).to.equal('unavailable');
      canSign = true;
      expect((await published.find(id)).outcome).to.equal('found');
    });

    it('begun for a key after it was revoked, by a node that had not heard, are revoked whole', async () => {
      const { id, kid } = await makeList();
      const published = publishedBy();
      expect((await found(published, id)).isSet(0)).to.equal(false);
      await opened.database.transaction(async trx => {
        const row = { kid, alg: 'ES256', state: 'revoked', announced_version: 1, public_jwk: '{}' } as const;
        await trx('signing_keys').insert({ ...row, created_at: 1, announced_at: 1, revoked_at: 1 });
      });
      moved += 501;
      expect(new Set((await found(published, id)).bits)).to.deep.equal(new Set([255]));
    });

    it('are dated by what the node knows, so that one that is cut off never looks newer than the others', async () => {
      const [{ id }, { id: unsigned }] = [await makeList(), await makeList()];
      const node = opened.another();
      const published = publishedBy(node);
      await found(published, id);
      await node.database.close();
      const knownAt = Math.floor(Date.now() / 1000);
      moved += 9_500;
      const { iat, exp } = (await found(published, unsigned)).claims;
      expect(signed).to.equal(2);
      expect(Number(iat)).to.be.at.most(knownAt + 1);
      expect(Number(exp) - Number(iat)).to.equal(300);
    });

    it('are published for ten seconds while the database is away, and then not', async () => {
      const { id } = await makeList();
      const node = opened.another();
      const published = publishedBy(node);
      await found(published, id);
      await node.database.close();
      moved += 9_000;
      expect((await published.find(id)).outcome).to.equal('found');
      expect((await published.find(`${id}0`)).outcome, 'nobody knows').to.equal('unavailable');
      moved += 1_500;
      expect((await published.find(id)).outcome).to.equal('unavailable');
    });
  });
});
