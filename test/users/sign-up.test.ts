import { expect } from 'chai';
import { verifyEmail } from '../../src/users/change-email.js';
import { PasswordChecker } from '../../src/users/check-password.js';
import { acceptInvitation, inviteUser, signUp } from '../../src/users/sign-up.js';
import { UserStore } from '../../src/users/user-store.js';
import { refusalOf } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { auditRows, lastAuditId, rowCounts } from '../support/tables.js';
import {
  NEXT_PASSWORD,
  openedPeople,
  operator,
  PASSWORD,
  type People,
  refusedKeys,
  tokenIn,
  visitor,
} from './people.js';

const store = new UserStore();

forEachDatabase((_name, fresh) => {
  describe('new people', () => {
    let people: People;
    before(async () => {
      people = await openedPeople(fresh);
    });
    beforeEach(() => people.mails());
    after(() => people.opened.close());

    const found = (key: string) => store.findByEmailKey(people.opened.database.reader, key);

    it('sign up, get a mail in their language, and are verified by its link', async () => {
      const input = { email: 'Neu@signup.example', password: PASSWORD, name: 'Neu Mann', locale: 'de' };
      expect(await signUp(people.context, input, visitor)).to.equal(undefined);
      const [mail] = await people.mails();
      expect(mail).to.include({ mail: 'verify-email', to: 'Neu@signup.example', locale: 'de' });
      expect((await found('neu@signup.example'))?.emailVerifiedAt).to.equal(undefined);
      const user = await verifyEmail(people.context, { token: tokenIn(mail) }, visitor);
      expect(user.emailVerifiedAt).to.be.a('number');
      expect(await new PasswordChecker(people.context).check(user.id, PASSWORD)).to.equal(true);
    });

    it('get the same answer for an address that is taken; only its owner is told', async () => {
      const holder = await people.person('taken@signup.example');
      const counts = async () => {
        const { users, email_links } = await rowCounts(people.opened.database);
        return { users, email_links };
      };
      const before = await counts();
      const after = await lastAuditId(people.opened.database);
      const input = { email: 'TAKEN@signup.example', password: NEXT_PASSWORD, locale: 'de' };
      expect(await signUp(people.context, input, visitor)).to.equal(undefined);
      expect((await people.mails()).map(({ mail, to }) => `${mail} ${to}`)).to.deep.equal([
        `already-registered ${holder.email}`,
      ]);
      expect(await counts()).to.deep.equal(before);
      const [row] = await auditRows(people.opened.database, after);
      expect(row).to.include({ event: 'user.created', outcome: 'refused', user_id: holder.id });
      expect(await new PasswordChecker(people.context).check(holder.id, NEXT_PASSWORD)).to.equal(false);
    });

    it('hear of every fault before anybody looks whether the address is taken', async () => {
      await people.person('known@signup.example');
      for (const email of ['known@signup.example', 'unknown@signup.example']) {
        expect(
          await refusedKeys(signUp(people.context, { email, password: 'short' }, visitor)),
        ).to.deep.equal(['password.too_short']);
      }
      const nameless = signUp(people.context, { email: 'x', password: PASSWORD, name: '<i>' }, visitor);
      expect(await refusedKeys(nameless)).to.deep.equal(['email.invalid', 'name.invalid']);
    });

    it('cannot sign up where it is switched off, and can accept an invitation', async () => {
      const closed = people.having({ signUp: false });
      const input = { email: 'closed@signup.example', password: PASSWORD };
      expect((await refusalOf(signUp(closed, input, visitor))).code).to.equal('invalid_request');
      expect(await found('closed@signup.example')).to.equal(undefined);

      const invitation = { email: 'Guest@signup.example', groups: ['guests'], name: 'Guest' };
      const invited = await inviteUser(closed, invitation, operator);
      const [mail] = await people.mails();
      expect(mail).to.include({ mail: 'invitation', to: 'Guest@signup.example' });
      expect(mail?.values).to.include({ days: 7 });
      expect(invited.expiresAt - (await people.opened.database.now())).to.be.closeTo(7 * 86_400_000, 60_000);
      expect(await found('guest@signup.example')).to.equal(undefined);

      const accept = (password: string) =>
        acceptInvitation(closed, { token: tokenIn(mail), password }, visitor);
      expect(await refusedKeys(accept('short'))).to.deep.equal(['password.too_short']);
      const user = await accept(PASSWORD);
      expect(user).to.include({ email: 'Guest@signup.example', hasPassword: true });
      expect(user.groups).to.deep.equal(['guests']);
      expect(user.emailVerifiedAt).to.be.a('number');
      expect(await refusedKeys(accept(PASSWORD))).to.deep.equal(['link.expired']);
    });

    it('are not invited when they have an account, and an invitation is dead once its address has one', async () => {
      await people.person('member@signup.example');
      const again = inviteUser(people.context, { email: 'Member@signup.example' }, operator);
      expect((await refusalOf(again)).code).to.equal('already_exists');
      await inviteUser(people.context, { email: 'late@signup.example' }, operator);
      const token = tokenIn((await people.mails())[0]);
      await people.person('late@signup.example');
      const late = acceptInvitation(people.context, { token, password: NEXT_PASSWORD }, visitor);
      expect(await refusedKeys(late)).to.deep.equal(['link.expired']);
    });

    it('become one account when sixteen accept one invitation at once', async () => {
      await inviteUser(people.context, { email: 'once@signup.example' }, operator);
      const token = tokenIn((await people.mails())[0]);
      const contexts = [people.context, people.another()];
      const outcomes = await Promise.all(
        Array.from({ length: 16 }, (_, index) =>
          acceptInvitation(
            contexts[index % 2] ?? people.context,
            { token, password: PASSWORD },
            visitor,
          ).then(
            () => 'made',
            error => String(error.code),
          ),
        ),
      );
      expect(outcomes.filter(outcome => outcome === 'made')).to.have.length(1);
      expect(outcomes.filter(outcome => outcome === 'invalid_request')).to.have.length(15);
    });
  });
});
