import { hash as bcrypt } from '@node-rs/bcrypt';
import { expect } from 'chai';
import { PasswordHasher } from '../../src/crypto/password-hash.js';
import { disableUser } from '../../src/users/change-user.js';
import { PasswordChecker } from '../../src/users/check-password.js';
import { importUsers } from '../../src/users/import-users.js';
import { setPassword } from '../../src/users/set-password.js';
import { UserStore } from '../../src/users/user-store.js';
import { forEachDatabase } from '../support/databases.js';
import { NEXT_PASSWORD, openedPeople, operator, PASSWORD, type People } from './people.js';

const store = new UserStore();

/** Counts what costs time. */
class CountingHasher extends PasswordHasher {
  slowRuns = 0;
  override inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.slowRuns += 1;
    return super.inTurn(work);
  }
}

forEachDatabase((_name, fresh) => {
  describe('checking a password', () => {
    let people: People;
    before(async () => {
      people = await openedPeople(fresh);
    });
    after(() => people.opened.close());

    const hashOf = (userId: string) => store.passwordHashOf(people.opened.database.reader, userId);
    async function imported(email: string, password: string): Promise<string> {
      const line = JSON.stringify({ email, password_hash: await bcrypt(password, 5) });
      const [row] = await importUsers(people.context, { text: line }, operator);
      return row?.userId ?? '';
    }

    it('accepts the password, however its characters were composed, and nothing else', async () => {
      const checker = new PasswordChecker(people.context);
      const user = await people.person('nfc@example.org', 'f\u00fcnf m\u00fcde Dachse tanzen');
      expect(await checker.check(user.id, 'f\u00fcnf m\u00fcde Dachse tanzen')).to.equal(true);
      expect(await checker.check(user.id, 'fu\u0308nf mu\u0308de Dachse tanzen')).to.equal(true);
      expect(await checker.check(user.id, 'funf mude Dachse tanzen')).to.equal(false);
      expect(await checker.check(user.id, '')).to.equal(false);
    });

    it('costs one argon2 verification for a known, an unknown, a passwordless and a disabled account', async () => {
      const passwords = new CountingHasher();
      const checker = new PasswordChecker({ database: people.opened.database, passwords });
      const known = await people.person();
      const disabled = await people.person();
      await disableUser(people.context, { userId: disabled.id }, operator);
      const [bare] = await importUsers(people.context, { text: '{"email":"bare@example.org"}' }, operator);
      await checker.check(undefined, 'warm up');
      for (const userId of [known.id, undefined, bare?.userId, disabled.id, 'us_0000000000000000000000']) {
        passwords.slowRuns = 0;
        expect(await checker.check(userId, NEXT_PASSWORD)).to.equal(false);
        expect(passwords.slowRuns, String(userId)).to.equal(1);
      }
    });

    it('answers false for an account that does not exist, whatever is tried', async () => {
      const checker = new PasswordChecker(people.context);
      expect(await checker.check(undefined, '')).to.equal(false);
      expect(await checker.check(undefined, PASSWORD)).to.equal(false);
    });

    it('replaces an imported hash at the first right password, and only then', async () => {
      const checker = new PasswordChecker(people.context);
      const userId = await imported('moved@example.org', PASSWORD);
      const before = await hashOf(userId);
      expect(await checker.check(userId, NEXT_PASSWORD)).to.equal(false);
      expect(await hashOf(userId)).to.equal(before);
      expect(await checker.check(userId, PASSWORD)).to.equal(true);
      const after = await hashOf(userId);
      expect(before).to.match(/^\$2[aby]\$/);
      expect(after).to.match(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
      expect(await checker.check(userId, PASSWORD)).to.equal(true);
      expect(await hashOf(userId)).to.equal(after);
    });

    it('never brings an old password back: who rehashes after a change loses', async () => {
      const userId = await imported('raced@example.org', PASSWORD);
      class SlowHasher extends PasswordHasher {
        override async hash(password: string): Promise<string> {
          // Between the verification and the new hash somebody changes the password.
          if (password === PASSWORD) {
            await setPassword(people.context, { userId, password: NEXT_PASSWORD }, operator);
          }
          return super.hash(password);
        }
      }
      const { database } = people.opened;
      const raced = new PasswordChecker({ database, passwords: new SlowHasher() });
      expect(await raced.check(userId, PASSWORD)).to.equal(true);
      const checker = new PasswordChecker(people.context);
      expect(await checker.check(userId, PASSWORD)).to.equal(false);
      expect(await checker.check(userId, NEXT_PASSWORD)).to.equal(true);
    });

    it('tells passwords of 100 characters apart that differ at the 80th (requirement 86)', async () => {
      const long = Array.from({ length: 20 }, (_, index) => `w${index + 10}qx`).join('');
      const user = await people.person('long@example.org', long);
      const checker = new PasswordChecker(people.context);
      expect(long).to.have.length(100);
      expect(await checker.check(user.id, long)).to.equal(true);
      expect(await checker.check(user.id, `${long.slice(0, 79)}#${long.slice(80)}`)).to.equal(false);
    });
  });
});
