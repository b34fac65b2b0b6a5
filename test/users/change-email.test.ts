import { expect } from 'chai';
import {
  confirmEmailChange,
  requestEmailChange,
  requestEmailVerification,
  verifyEmail,
} from '../../src/users/change-email.js';
import { createUser, lockUser, userOf } from '../../src/users/change-user.js';
import { forEachDatabase } from '../support/databases.js';
import { auditRows, lastAuditId } from '../support/tables.js';
import { actingAs, openedPeople, operator, type People, refusedKeys, tokenIn, visitor } from './people.js';

forEachDatabase((_name, fresh) => {
  describe('mail addresses', () => {
    let people: People;
    before(async () => {
      people = await openedPeople(fresh);
    });
    beforeEach(() => people.mails());
    after(() => people.opened.close());

    const request = (userId: string, email: string) =>
      requestEmailChange(people.context, { userId, email }, operator);
    const confirm = (token: string) => confirmEmailChange(people.context, { token }, visitor);

    it('are verified by a link that was sent there, once', async () => {
      const user = await createUser(people.context, { email: 'new@mail.example' }, operator);
      await requestEmailVerification(people.context, { userId: user.id }, actingAs(user));
      const [mail] = await people.mails();
      expect(mail).to.include({ mail: 'verify-email', to: 'new@mail.example' });
      const after = await lastAuditId(people.opened.database);
      const verified = await verifyEmail(people.context, { token: tokenIn(mail) }, visitor);
      expect(verified.emailVerifiedAt).to.be.a('number');
      const [row] = await auditRows(people.opened.database, after);
      expect(row).to.include({ event: 'user.email_verified', user_id: user.id });
      expect(await refusedKeys(verifyEmail(people.context, { token: tokenIn(mail) }, visitor))).to.deep.equal(
        ['link.expired'],
      );
      await requestEmailVerification(people.context, { userId: user.id }, actingAs(user));
      expect(await people.mails()).to.deep.equal([]);
    });

    it('change when the new mailbox answers; the old one is told (requirement 94)', async () => {
      const user = await people.person('old@mail.example');
      await request(user.id, 'Next@Mail.example');
      const [mail] = await people.mails();
      expect(mail).to.include({ mail: 'change-email', to: 'Next@Mail.example' });
      expect((await userOf(people.opened.database.reader, user.id)).email).to.equal('old@mail.example');
      const after = await lastAuditId(people.opened.database);
      const changed = await confirm(tokenIn(mail));
      expect(changed).to.include({ email: 'Next@Mail.example', emailKey: 'next@mail.example' });
      expect((await people.mails()).map(({ mail, to, values }) => ({ mail, to, values }))).to.deep.equal([
        { mail: 'email-changed', to: 'old@mail.example', values: { newEmail: 'Next@Mail.example' } },
      ]);
      const rows = await auditRows(people.opened.database, after);
      expect(rows.map(({ event, user_id }) => ({ event, user_id }))).to.deep.equal([
        { event: 'user.email_changed', user_id: user.id },
      ]);
      expect(await refusedKeys(confirm(tokenIn(mail)))).to.deep.equal(['link.expired']);
    });

    it('do not tell whether another account has them: its owner gets a mail, the asker the same answer', async () => {
      const holder = await people.person('taken@mail.example');
      const user = await people.person();
      expect(await request(user.id, 'TAKEN@mail.example')).to.equal(undefined);
      expect((await people.mails()).map(({ mail, to }) => `${mail} ${to}`)).to.deep.equal([
        `already-registered ${holder.email}`,
      ]);
    });

    it('go to one of two who ask for the same', async () => {
      const [one, two] = [await people.person(), await people.person()];
      const tokens: string[] = [];
      for (const { id } of [one, two]) {
        await request(id, 'wanted@mail.example');
        tokens.push(tokenIn((await people.mails())[0]));
      }
      const outcomes = await Promise.all(
        tokens.map(token =>
          confirm(token).then(
            () => 'changed',
            error => String(error.code),
          ),
        ),
      );
      expect(outcomes.sort()).to.deep.equal(['changed', 'invalid_request']);
    });

    it('are not changed by an older link, to themselves, to nonsense, or while the account is locked', async () => {
      const user = await people.person('stay@mail.example');
      expect(await refusedKeys(request(user.id, 'STAY@mail.example'))).to.deep.equal(['email.unchanged']);
      expect(await refusedKeys(request(user.id, 'nonsense'))).to.deep.equal(['email.invalid']);
      await request(user.id, 'first@mail.example');
      const first = tokenIn((await people.mails())[0]);
      await request(user.id, 'second@mail.example');
      const second = tokenIn((await people.mails())[0]);
      expect(await refusedKeys(confirm(first))).to.deep.equal(['link.expired']);
      await lockUser(people.context, { userId: user.id }, operator);
      expect(await refusedKeys(confirm(second))).to.deep.equal(['link.expired']);
      expect((await userOf(people.opened.database.reader, user.id)).email).to.equal('stay@mail.example');
    });
  });
});
