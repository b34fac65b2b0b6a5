import { hash as bcrypt } from '@node-rs/bcrypt';
import { expect } from 'chai';
import { updateUser, userOf } from '../../src/users/change-user.js';
import { PasswordChecker } from '../../src/users/check-password.js';
import { exportUser, exportUsers } from '../../src/users/export-user.js';
import { importUsers } from '../../src/users/import-users.js';
import { UserStore } from '../../src/users/user-store.js';
import { changesOf, refusalOf } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { auditRows, lastAuditId, rowCounts } from '../support/tables.js';
import { actingAs, openedPeople, operator, PASSWORD, type People } from './people.js';

const store = new UserStore();

forEachDatabase((_name, fresh) => {
  describe('moving people in and out', () => {
    let people: People;
    let other: People;
    before(async () => {
      people = await openedPeople(fresh);
      other = await openedPeople(fresh);
    });
    after(async () => {
      await people.opened.close();
      await other.opened.close();
    });

    const lines = (...rows: unknown[]) => rows.map(row => JSON.stringify(row)).join('\n');
    const bringIn = (text: string, isDryRun = false) =>
      importUsers(people.context, { text, isDryRun }, operator);
    async function all(from: People, withPasswordHashes = false): Promise<unknown[]> {
      const rows: unknown[] = [];
      for await (const row of exportUsers(from.context, { withPasswordHashes }, operator)) rows.push(row);
      return rows;
    }

    it('takes over accounts whose passwords work at once', async () => {
      const row = {
        email: 'Moved@move.example',
        email_verified: true,
        name: 'Moved In',
        address: { locality: 'Ulm', street_address: 'Münsterplatz 1\n89073' },
        groups: ['staff'],
        custom_claims: { employee_number: '7' },
        password_hash: await bcrypt(PASSWORD, 5),
      };
      const { database } = people.opened;
      const after = await lastAuditId(database);
      const text = `${lines(row)}\r\n\n${lines({ email: 'off@move.example', disabled: true })}\n`;
      const imported = await bringIn(text);
      expect(imported.map(({ line, email, outcome }) => ({ line, email, outcome }))).to.deep.equal([
        { line: 1, email: 'Moved@move.example', outcome: 'imported' },
        { line: 3, email: 'off@move.example', outcome: 'imported' },
      ]);
      const user = await userOf(database.reader, 'moved@move.example');
      expect(user.id).to.equal(imported[0]?.userId);
      expect(user.emailVerifiedAt).to.be.a('number');
      expect(user.profile).to.deep.equal({ name: 'Moved In', address: row.address });
      expect(user.groups).to.deep.equal(['staff']);
      expect(user.customClaims).to.deep.equal({ employee_number: '7' });
      expect(await new PasswordChecker(people.context).check(user.id, PASSWORD)).to.equal(true);
      expect((await userOf(database.reader, 'off@move.example')).disabledAt).to.be.a('number');
      const rows = await auditRows(database, after);
      expect(rows.map(({ event, outcome }) => `${event} ${outcome}`)).to.deep.equal([
        'user.imported success',
        'user.imported success',
      ]);
      expect((await changesOf(database)).slice(-2)).to.have.members(
        imported.map(({ userId }) => `user ${userId}`),
      );
    });

    it('leaves an account that exists as it is, so that it can be run again', async () => {
      const user = await people.person('exists@move.example');
      const text = lines({ email: 'EXISTS@move.example', name: 'Eve' }, { email: 'fresh@move.example' });
      expect((await bringIn(text)).map(({ outcome }) => outcome)).to.deep.equal(['exists', 'imported']);
      expect((await bringIn(text)).map(({ outcome }) => outcome)).to.deep.equal(['exists', 'exists']);
      expect(await userOf(people.opened.database.reader, user.id)).to.deep.equal(user);
    });

    it('tells the faults of all lines with their numbers and stores nothing', async () => {
      const before = await rowCounts(people.opened.database);
      const text = [
        lines({ email: 'good@move.example' }),
        'not json',
        '[]',
        lines({ email: 'nobody', password_hash: 'hunter2-in-plain-text' }),
        lines({ email: 'x@move.example', password: 'secret', groups: 'staff' }),
        lines({ email: 'GOOD@move.example', email_verified: 'yes', custom_claims: { iss: 'x' } }),
        lines({ email: 'GOOD@move.example' }),
        '{"email":"p@move.example","__proto__":{"disabled":true}}',
        'x'.repeat(40_000),
      ].join('\n');
      const refusal = await refusalOf(bringIn(text));
      expect(refusal.faults.map(({ at }) => at)).to.deep.equal([
        ...[
          'line 2',
          'line 3',
          'line 4, email',
          'line 4, password_hash',
          'line 5, groups',
          'line 5, password',
        ],
        ...[
          'line 6, custom_claims',
          'line 6, email_verified',
          'line 7, email',
          'line 8, __proto__',
          'line 9',
        ],
      ]);
      expect(refusal.message).to.not.include('hunter2').and.not.include('secret');
      expect(await rowCounts(people.opened.database)).to.deep.equal(before);
    });

    it('only looks when it is a dry run', async () => {
      const before = await rowCounts(people.opened.database);
      const text = lines({ email: 'dry@move.example' }, { email: 'exists@move.example' });
      const seen = await bringIn(text, true);
      expect(seen.map(({ outcome, userId }) => [outcome, userId])).to.deep.equal([
        ['imported', undefined],
        ['exists', undefined],
      ]);
      expect(await rowCounts(people.opened.database)).to.deep.equal(before);
    });

    it('takes over many, and gives out every account as it takes them in: there and back changes nothing', async () => {
      const many = Array.from({ length: 1203 }, (_, index) => ({
        email: `many-${index}@move.example`,
        name: `${index}`,
      }));
      await bringIn(lines(...many));
      const count = Number((await rowCounts(people.opened.database)).users);
      const given = await all(people, true);
      expect(given).to.have.length(count);
      const taken = await importUsers(other.context, { text: lines(...given) }, operator);
      expect(taken.every(({ outcome }) => outcome === 'imported')).to.equal(true);
      expect(await all(other, true)).to.deep.equal(given);
      const user = await userOf(other.opened.database.reader, 'moved@move.example');
      expect(await new PasswordChecker(other.context).check(user.id, PASSWORD)).to.equal(true);
      expect(JSON.stringify(await all(people))).to.not.include('$argon2');
    });

    it('gives a person everything about them and nothing that opens a door', async () => {
      const user = await people.person('me@move.example');
      const admin = await people.person();
      const office = {
        ...actingAs(admin),
        facts: { requestId: 'rq-2', ip: '203.0.113.9', userAgent: 'Office/1' },
      };
      await updateUser(people.context, { userId: user.id, profile: { name: 'Me' } }, office);
      await updateUser(people.context, { userId: user.id, groups: ['g'] }, operator);
      await people.session(user);
      const { database } = people.opened;
      await database.transaction(async trx => {
        const now = await database.now(trx);
        const common = { user_id: user.id, created_at: now };
        await trx('recovery_codes').insert({ ...common, id: 'rc', hash: 'HASH-OF-CODE' });
        await trx('federated_identities').insert({ ...common, provider: 'corp', subject: 'corp-7' });
        await trx('known_devices').insert({
          ...common,
          id: 'DEVICE-HASH',
          last_seen_at: now,
          expires_at: now,
        });
        await trx('passkeys').insert({
          ...common,
          ...{ credential_id: 'CREDENTIAL', name: 'Laptop', public_key: 'PUBLIC', counter: 0 },
          ...{ transports: '[]', is_backed_up: false },
        });
        await trx('users').where({ id: user.id }).update({ sealed_totp: 'SEALED-TOTP' });
      });
      const after = await lastAuditId(database);
      const given = await exportUser(people.context, { userId: user.id }, actingAs(user));
      expect(given.account).to.include({
        id: user.id,
        email: 'me@move.example',
        name: 'Me',
        recovery_codes_left: 1,
      });
      for (const list of ['passkeys', 'identities', 'devices', 'sessions']) {
        expect(given[list], list).to.have.length(1);
      }
      expect(given.identities).to.have.nested.property('[0].subject', 'corp-7');
      expect(given.sessions).to.have.nested.property('[0].amr').that.deep.equals(['pwd']);
      expect(given.consents).to.deep.equal([]);
      const text = JSON.stringify(given);
      for (const secret of [
        '$argon2',
        'HASH-OF-CODE',
        'CREDENTIAL',
        'DEVICE-HASH',
        'SEALED-TOTP',
        'session-',
      ]) {
        expect(text, secret).to.not.include(secret);
      }
      // An operator's name, and where they sit, is theirs.
      expect(text).to.include('"user.updated"');
      for (const theirs of ['ada@example', admin.id, '203.0.113.9', 'Office/1']) {
        expect(text, theirs).to.not.include(theirs);
      }
      const [row] = await auditRows(database, after);
      expect(row).to.include({ event: 'user.exported', user_id: user.id, actor: `user:${user.id}` });
    });

    it('gives the password hash to an operator who asks for it, never to anybody else', async () => {
      const user = await people.person();
      const input = { userId: user.id, withPasswordHash: true };
      const hash = await store.passwordHashOf(people.opened.database.reader, user.id);
      const given = await exportUser(people.context, input, operator);
      expect(given.account).to.include({ password_hash: hash });
      expect((await refusalOf(exportUser(people.context, input, actingAs(user)))).code).to.equal(
        'invalid_request',
      );
      const everybody = exportUsers(people.context, { withPasswordHashes: true }, actingAs(user));
      expect((await refusalOf(everybody.next())).code).to.equal('invalid_request');
      expect(JSON.stringify(await auditRows(people.opened.database))).to.not.include(hash);
    });
  });
});
