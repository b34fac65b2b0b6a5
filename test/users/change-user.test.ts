import { expect } from 'chai';
import {
  createUser,
  deleteUser,
  disableUser,
  enableUser,
  lockUser,
  unlockUser,
  updateUser,
  userOf,
} from '../../src/users/change-user.js';
import { peekLink } from '../../src/users/email-links.js';
import { requestPasswordReset, setPassword } from '../../src/users/set-password.js';
import { isActive, type User } from '../../src/users/user.js';
import { UserStore } from '../../src/users/user-store.js';
import { changesOf, refusalOf } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { auditRows, dumpOf, lastAuditId, rowCounts } from '../support/tables.js';
import {
  actingAs,
  NEXT_PASSWORD,
  openedPeople,
  operator,
  PASSWORD,
  type People,
  refusedKeys,
  tokenIn,
} from './people.js';

const store = new UserStore();

forEachDatabase((_name, fresh) => {
  describe('changing accounts', () => {
    let people: People;
    before(async () => {
      people = await openedPeople(fresh);
    });
    after(() => people.opened.close());

    const read = (user: User) => store.find(people.opened.database.reader, user.id);
    /** The events and the change records that `work` leaves. */
    async function told(work: () => Promise<unknown>) {
      const { database } = people.opened;
      const after = await lastAuditId(database);
      const changes = (await changesOf(database)).length;
      await work();
      const rows = await auditRows(database, after);
      return {
        rows,
        events: rows.map(({ event }) => event),
        changes: (await changesOf(database)).slice(changes),
      };
    }

    it('makes an account and finds it by id and by its address, however it is typed', async () => {
      const input = {
        email: ' Ada.Lovelace@Example.ORG ',
        isEmailVerified: true,
        password: PASSWORD,
        profile: { name: 'Ada Lovelace', locale: 'de', nickname: '' },
        groups: ['staff', 'staff', '/mathematics/engines'],
        customClaims: { employee_number: 42 },
      };
      let made: User | undefined;
      const { rows, changes } = await told(async () => {
        made = await createUser(people.context, input, operator);
      });
      expect(made).to.include({
        email: 'Ada.Lovelace@Example.ORG',
        emailKey: 'ada.lovelace@example.org',
        hasPassword: true,
        hasTotp: false,
      });
      expect(made?.profile).to.deep.equal({ name: 'Ada Lovelace', locale: 'de' });
      expect(made?.groups).to.deep.equal(['/mathematics/engines', 'staff']);
      const { database } = people.opened;
      expect(await userOf(database.reader, made?.id ?? '')).to.deep.equal(made);
      expect(await userOf(database.reader, 'ADA.lovelace@example.org')).to.deep.equal(made);
      expect(rows).to.have.length(1);
      expect(rows[0]).to.include({ event: 'user.created', actor: operator.actor, user_id: made?.id });
      expect(changes).to.deep.equal([`user ${made?.id}`]);
    });

    it('makes one account of an address, also when sixteen ask at once', async () => {
      const contexts = [people.context, people.another()];
      const codes = await Promise.all(
        Array.from({ length: 16 }, (_, index) => {
          const email = index % 2 === 0 ? 'same@example.org' : 'SAME@Example.org';
          return createUser(contexts[index % 2] ?? people.context, { email }, operator).then(
            () => 'made',
            error => String(error.code),
          );
        }),
      );
      expect(codes.filter(code => code === 'made')).to.have.length(1);
      expect(codes.filter(code => code === 'already_exists')).to.have.length(15);
    });

    it('refuses what an account must not hold, all faults at once, and stores nothing', async () => {
      const before = await rowCounts(people.opened.database);
      const input = {
        email: 'ada@example.org, eve@example.org',
        profile: { name: 'x'.repeat(121), picture: 'javascript:alert(1)', iss: 'me' },
        groups: ['', 'ok'],
        customClaims: { sub: 'us_other' },
      };
      const refusal = await refusalOf(createUser(people.context, input, operator));
      expect(refusal.faults.map(({ at }) => at)).to.deep.equal([
        ...['email', 'name', 'picture', 'iss', 'groups', 'custom_claims'],
      ]);
      for (const email of [
        ...[
          '',
          ' ',
          'ada',
          '@example.org',
          'ada@',
          'a b@example.org',
          'ada@-example.org',
          'ada@example..org',
        ],
        ...['ada@example.org\r\nBcc: eve@example.org', '<ada@example.org>', '.ada@example.org', 'a@b@c'],
        ...[
          `${'a'.repeat(65)}@example.org`,
          `a@${'b'.repeat(260)}.org`,
          'ada@exam\u202eple.org',
          'ada@example.org-',
        ],
      ]) {
        const faults = (await refusalOf(createUser(people.context, { email }, operator))).faults;
        expect(
          faults.map(({ at }) => at),
          email,
        ).to.deep.equal(['email']);
      }
      for (const name of ['a\u202eb', 'a\nb', '<b>Ada</b>', 'a\u0000']) {
        const attempt = createUser(people.context, { email: 'x@example.org', profile: { name } }, operator);
        expect(await refusedKeys(attempt), JSON.stringify(name)).to.deep.equal(['name.invalid']);
      }
      const short = createUser(people.context, { email: 'x@example.org', password: 'short' }, operator);
      expect(await refusedKeys(short)).to.deep.equal(['password.too_short']);
      expect(await rowCounts(people.opened.database)).to.deep.equal(before);
    });

    it('changes what is given, keeps the rest, and tells names of what changed and no values', async () => {
      const user = await people.person();
      const first = { name: 'Grace', given_name: 'Grace' };
      await updateUser(people.context, { userId: user.id, profile: first, groups: ['navy'] }, operator);
      const session = await people.session(user);
      const next = { name: 'Grace Hopper', given_name: 'Grace' };
      const { rows } = await told(() =>
        updateUser(people.context, { userId: user.id, profile: next }, actingAs(user)),
      );
      expect((await read(user))?.profile).to.deep.equal(next);
      expect((await read(user))?.groups).to.deep.equal(['navy']);
      expect(rows.map(({ detail }) => detail)).to.deep.equal([{ changed: ['name'] }]);
      expect(await people.liveSessions(user)).to.deep.equal([session]);
      const same = await told(() => updateUser(people.context, { userId: user.id, profile: next }, operator));
      expect(same).to.deep.equal({ rows: [], events: [], changes: [] });
    });

    it('ends sessions and grants of who leaves a group, not of who joins one', async () => {
      const user = await people.person();
      const session = await people.session(user);
      await updateUser(people.context, { userId: user.id, groups: ['a', 'b'] }, operator);
      expect(await people.liveSessions(user)).to.deep.equal([session]);
      await updateUser(people.context, { userId: user.id, groups: ['a'] }, operator);
      expect(await people.liveSessions(user)).to.deep.equal([]);
    });

    for (const [act, undo, event, undone, field] of [
      [disableUser, enableUser, 'user.disabled', 'user.enabled', 'disabledAt'],
      [lockUser, unlockUser, 'user.locked', 'user.unlocked', 'lockedAt'],
    ] as const) {
      it(`${event}: ends every session in the same transaction; again is the same as once; can be undone`, async () => {
        const user = await people.person();
        const other = await people.person();
        await people.session(user);
        await people.session(user);
        const kept = await people.session(other);
        const first = await told(() => act(people.context, { userId: user.id }, operator));
        expect(first.events).to.deep.equal(['session.ended', 'session.ended', event]);
        expect(first.changes).to.include(`user ${user.id}`);
        expect(await people.liveSessions(user)).to.deep.equal([]);
        expect(await people.liveSessions(other)).to.deep.equal([kept]);
        const changed = await read(user);
        expect(changed?.[field]).to.be.a('number');
        expect(changed !== undefined && isActive(changed)).to.equal(false);
        expect((await told(() => act(people.context, { userId: user.id }, operator))).events).to.deep.equal(
          [],
        );

        const back = await told(() => undo(people.context, { userId: user.id }, operator));
        expect(back.events).to.deep.equal([undone]);
        expect(back.changes).to.deep.equal([`user ${user.id}`]);
        const restored = await read(user);
        expect(restored !== undefined && isActive(restored)).to.equal(true);
        expect(await people.liveSessions(user)).to.deep.equal([]);
        expect((await told(() => undo(people.context, { userId: user.id }, operator))).events).to.deep.equal(
          [],
        );
      });

      it(`${event}: links in mails that are on their way open nothing`, async () => {
        const user = await people.person();
        await people.mails();
        await requestPasswordReset(people.context, { email: user.email }, operator);
        const token = tokenIn((await people.mails())[0]);
        await act(people.context, { userId: user.id }, operator);
        expect(await peekLink(people.context, token, 'reset_password')).to.equal(undefined);
      });
    }

    it('deletes a person with everything, says so by mail, and keeps no address in the audit log', async () => {
      const user = await createUser(
        people.context,
        { email: 'charles@analytical.example', password: PASSWORD, profile: { name: 'Charles Babbage' } },
        operator,
      );
      await people.session(user);
      await people.mails();
      const { events, changes } = await told(() => deleteUser(people.context, { userId: user.id }, operator));
      expect(events).to.deep.equal(['session.ended', 'user.deleted']);
      expect(changes).to.include(`user ${user.id}`);
      const mails = await people.mails();
      expect(mails.map(({ mail, to }) => `${mail} ${to}`)).to.deep.equal([
        'account-deleted charles@analytical.example',
      ]);
      expect(await read(user)).to.equal(undefined);
      const dump = await dumpOf(people.opened.database);
      expect(dump).to.not.include('charles@analytical').and.not.include('Babbage');
      expect((await refusalOf(deleteUser(people.context, { userId: user.id }, operator))).code).to.equal(
        'not_found',
      );
    });

    it('undoes everything when access cannot be ended', async () => {
      const user = await people.person();
      const broken = {
        ...people.context,
        endAccess: async () => {
          throw new Error('grants are out of reach');
        },
      };
      const { events } = await told(async () => {
        for (const act of [disableUser, lockUser, deleteUser]) {
          const outcome = await act(broken, { userId: user.id }, operator).catch(
            (error: Error) => error.message,
          );
          expect(outcome).to.equal('grants are out of reach');
        }
        const input = { userId: user.id, password: NEXT_PASSWORD };
        const outcome = await setPassword(broken, input, operator).catch((error: Error) => error.message);
        expect(outcome).to.equal('grants are out of reach');
      });
      expect(events).to.deep.equal([]);
      expect(await read(user)).to.deep.equal(user);
    });

    it('lists by address a page at a time, and by the beginning of an address literally', async () => {
      for (const email of ['p_a@list.example', 'pxa@list.example', 'p%b@list.example'])
        await people.person(email);
      const { reader } = people.opened.database;
      const listed: string[] = [];
      for (let after: string | undefined; ; after = listed.at(-1)) {
        const page = await store.list(reader, { limit: 3, after });
        listed.push(...page.map(({ emailKey }) => emailKey));
        if (page.length < 3) break;
      }
      const count = (await rowCounts(people.opened.database)).users;
      expect(new Set(listed).size).to.equal(count);
      const begins = async (prefix: string) =>
        (await store.list(reader, { limit: 10, prefix })).map(({ emailKey }) => emailKey);
      expect(await begins('p_')).to.deep.equal(['p_a@list.example']);
      expect(await begins('p%')).to.deep.equal(['p%b@list.example']);
      expect(await begins('\\')).to.deep.equal([]);
    });
  });
});
