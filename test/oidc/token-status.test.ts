import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { appendAuditEvents } from '../../src/audit/audit-log.js';
import { Envelope } from '../../src/crypto/envelope.js';
import { ArtifactStore } from '../../src/oidc/artifact-store.js';
import { StatusListStore } from '../../src/status-lists/status-list-store.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { type FreshDatabase, freshDatabase } from '../support/postgres.js';

const lists = new StatusListStore();

// On SQLite a transaction has the database to itself from its start.
describe('a token and the revocation of its grant, in two transactions on PostgreSQL', () => {
  let fresh: FreshDatabase;
  let opened: Opened;
  let store: ArtifactStore;

  before(async () => {
    fresh = await freshDatabase();
    opened = await openedDatabase(async () => fresh);
    store = new ArtifactStore({
      hasher: opened.hasher,
      envelope: new Envelope({ id: 'e', key: randomBytes(32) }),
    });
  });
  after(async () => {
    await opened.close();
    await fresh.drop();
  });

  /** @returns whether the token's bit is set, after the revocation began between the token's check and its record. */
  async function isRevoked(grantId: string, holdsGrant: boolean): Promise<boolean> {
    const { database } = opened;
    const now = await database.now();
    const { listId } = await database.transaction(async trx => {
      await store.upsert(trx, 'Grant', grantId, { accountId: 'us_1' }, 3600, now);
      return lists.lease(trx, { alg: 'ES256', kid: grantId, expiresAt: now + 3_600_000 }, 64);
    });
    let revocation: Promise<void> | undefined;
    let isOver = false;
    await database.transaction(async trx => {
      if (holdsGrant) expect(await store.holdsGrant(trx, grantId)).to.equal(true);
      revocation = database
        .transaction(other => store.revokeByGrantId(other, grantId, now))
        .finally(() => {
          isOver = true;
        });
      while (!isOver && !(await isSomebodyWaiting()));
      const status = { listId, index: 7, grantKey: store.grantHandle(grantId) };
      const event = { event: 'token.issued', outcome: 'success', actor: 'anonymous', status } as const;
      await appendAuditEvents(database, trx, [event], 'n', now);
    });
    await revocation;
    const revoked = await lists.listRevoked(database.reader, 0, now);
    return revoked.some(row => row.listId === listId && row.indices.includes(7));
  }

  async function isSomebodyWaiting(): Promise<boolean> {
    const waiting = { wait_event_type: 'Lock', datname: new URL(fresh.url).pathname.slice(1) };
    return (await opened.database.reader('pg_stat_activity').where(waiting).first('pid')) !== undefined;
  }

  it('wait for each other by the grant’s row, so that the bit is found and set', async () => {
    expect(await isRevoked('held', true)).to.equal(true);
  });

  it('control: without it the revocation is over before the token is in the record, and the token escapes', async () => {
    expect(await isRevoked('escaped', false)).to.equal(false);
  });

  it('leave a token of a grant that was revoked before nothing to hold', async () => {
    const { database } = opened;
    expect(await database.transaction(trx => store.holdsGrant(trx, 'held'))).to.equal(false);
  });
});
