import { expect } from 'chai';
import { Limiter } from '../../src/rate-limits/limiter.js';
import { limitOf } from '../../src/rate-limits/limits.js';
import { confirmEmailChange, requestEmailChange } from '../../src/users/change-email.js';
import { disableUser, lockUser } from '../../src/users/change-user.js';
import { PasswordChecker } from '../../src/users/check-password.js';
import { KnownDevices, newDeviceToken } from '../../src/users/known-devices.js';
import { requestPasswordReset, resetPassword, setPassword } from '../../src/users/set-password.js';
import { UserStore } from '../../src/users/user-store.js';
import { forEachDatabase } from '../support/databases.js';
import { auditRows, dumpOf, lastAuditId } from '../support/tables.js';
import {
  actingAs,
  ISSUER,
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
  describe('passwords', () => {
    let people: People;
    let checker: PasswordChecker;
    before(async () => {
      people = await openedPeople(fresh);
      checker = new PasswordChecker(people.context);
    });
    beforeEach(() => people.mails());
    after(() => people.opened.close());

    async function resetToken(email: string): Promise<string> {
      await requestPasswordReset(people.context, { email }, visitor);
      return tokenIn((await people.mails()).find(({ mail }) => mail === 'reset-password'));
    }
    const reset = (token: string, password = NEXT_PASSWORD) =>
      resetPassword(people.context, { token, password }, visitor);

    it('changed by their owner end every other session, keep this one, and are told by mail', async () => {
      const user = await people.person();
      const [here] = [await people.session(user), await people.session(user), await people.session(user)];
      const after = await lastAuditId(people.opened.database);
      const input = { userId: user.id, password: NEXT_PASSWORD };
      const changed = await setPassword(people.context, input, actingAs(user, here));
      expect(changed.passwordChangedAt).to.be.a('number');
      expect(await people.liveSessions(user)).to.deep.equal([here]);
      expect(await checker.check(user.id, PASSWORD)).to.equal(false);
      expect(await checker.check(user.id, NEXT_PASSWORD)).to.equal(true);
      const mails = await people.mails();
      expect(mails.map(({ mail, to }) => `${mail} ${to}`)).to.deep.equal([`password-changed ${user.email}`]);
      const rows = await auditRows(people.opened.database, after);
      expect(rows.map(({ event }) => event)).to.deep.equal([
        ...['session.ended', 'session.ended', 'user.password_changed'],
      ]);
      expect(rows.at(-1)).to.include({ actor: `user:${user.id}`, user_id: user.id, ip: '192.0.2.7' });
    });

    it('set by mail end the pause of the old one and make every device unknown, in the same transaction', async () => {
      const user = await people.person();
      const { database, hasher } = people.context;
      const limiter = new Limiter(database, hasher, 'production');
      const devices = new KnownDevices(database, hasher);
      const deviceToken = newDeviceToken();
      await database.transaction(async trx => {
        const device = { userId: user.id, token: deviceToken, trustedFor: 60 };
        await devices.remember(trx, device, await database.now(trx));
      });
      const { most } = limitOf('production', 'account_consecutive');
      for (let count = 0; count < most; count += 1) await limiter.reserve('account_consecutive', user.id);
      const isPaused = async () => !(await limiter.reserve('account_consecutive', user.id)).allowed;
      expect(await isPaused()).to.equal(true);
      const token = await resetToken(user.email);
      // A password that is refused leaves everything as it was.
      await reset(token, 'short').catch(() => undefined);
      expect(await isPaused()).to.equal(true);
      expect(await devices.isKnown(user.id, deviceToken)).to.equal(true);
      await reset(token);
      expect(await isPaused()).to.equal(false);
      expect(await devices.isKnown(user.id, deviceToken)).to.equal(false);
    });

    it('are not changed by who proved the one before the last', async () => {
      const user = await people.person();
      const provedAt = await people.context.database.now();
      await setPassword(people.context, { userId: user.id, password: NEXT_PASSWORD }, actingAs(user));
      const late = { userId: user.id, password: 'three dull pianos waited', provedAt: provedAt - 1 };
      const refusal = await setPassword(people.context, late, actingAs(user)).catch(
        (error: { code?: string }) => error.code,
      );
      expect(refusal).to.equal('stale');
      expect(await checker.check(user.id, NEXT_PASSWORD)).to.equal(true);
    });

    it('changed with keepOtherSessions leave sessions alone', async () => {
      const user = await people.person();
      const sessions = [await people.session(user), await people.session(user)].sort();
      const input = { userId: user.id, password: NEXT_PASSWORD, keepOtherSessions: true };
      await setPassword(people.context, input, actingAs(user, sessions[0]));
      expect(await people.liveSessions(user)).to.deep.equal(sessions);
    });

    it('set by an operator end every session', async () => {
      const user = await people.person();
      await people.session(user);
      await setPassword(people.context, { userId: user.id, password: NEXT_PASSWORD }, operator);
      expect(await people.liveSessions(user)).to.deep.equal([]);
    });

    it('may be shorter once there is a second factor (requirement 86)', async () => {
      const user = await people.person();
      const set = () => setPassword(people.context, { userId: user.id, password: 'ten potato' }, operator);
      expect(await refusedKeys(set())).to.deep.equal(['password.too_short']);
      const { database } = people.context;
      await database.transaction(trx => trx('users').where({ id: user.id }).update({ totp_confirmed_at: 1 }));
      expect((await set()).hasTotp).to.equal(true);
    });

    it('are reset by a link that works once, ends every session and verifies the address', async () => {
      const user = await people.person();
      await people.opened.database.transaction(trx =>
        trx('users').where({ id: user.id }).update({ email_verified_at: null }),
      );
      await people.session(user);
      const token = await resetToken(` ${user.email.toUpperCase()}`);
      const after = await lastAuditId(people.opened.database);
      const changed = await reset(token);
      expect(changed.emailVerifiedAt).to.be.a('number');
      expect(await people.liveSessions(user)).to.deep.equal([]);
      expect(await checker.check(user.id, NEXT_PASSWORD)).to.equal(true);
      expect(await refusedKeys(reset(token, PASSWORD))).to.deep.equal(['link.expired']);
      expect((await people.mails()).map(({ mail }) => mail)).to.deep.equal(['password-changed']);
      const events = (await auditRows(people.opened.database, after)).map(({ event }) => event);
      expect(events).to.deep.equal(['session.ended', 'user.password_changed', 'user.email_verified']);
    });

    it('are reset by one of sixteen who hold the same link (requirement 92)', async () => {
      const user = await people.person();
      const token = await resetToken(user.email);
      const contexts = [people.context, people.another()];
      const all = await Promise.all(
        Array.from({ length: 16 }, (_, index) => {
          const input = { token, password: `${NEXT_PASSWORD} ${index}` };
          const context = contexts[index % 2] ?? people.context;
          return resetPassword(context, input, visitor).then(
            () => 'reset',
            error => String(error.code),
          );
        }),
      );
      expect(all.filter(outcome => outcome === 'reset')).to.have.length(1);
      expect((await people.mails()).map(({ mail }) => mail)).to.deep.equal(['password-changed']);
    });

    it('keep their link when the new one is refused, and lose it after 15 minutes (requirement 92)', async () => {
      const user = await people.person();
      const token = await resetToken(user.email);
      expect(await refusedKeys(reset(token, 'short'))).to.deep.equal(['password.too_short']);
      people.opened.moveBy(899);
      expect(await refusedKeys(reset(token, 'short'))).to.deep.equal(['password.too_short']);
      people.opened.moveBy(2);
      expect(await refusedKeys(reset(token))).to.deep.equal(['link.expired']);
    });

    it('are reset by the newest link only', async () => {
      const user = await people.person();
      const [older, newer] = [await resetToken(user.email), await resetToken(user.email)];
      expect(await refusedKeys(reset(older))).to.deep.equal(['link.expired']);
      await reset(newer);
    });

    it('unlock a locked account when they are reset, never a disabled one', async () => {
      const locked = await people.person();
      await lockUser(people.context, { userId: locked.id }, operator);
      const after = await lastAuditId(people.opened.database);
      expect((await reset(await resetToken(locked.email))).lockedAt).to.equal(undefined);
      const events = (await auditRows(people.opened.database, after)).map(({ event }) => event);
      expect(events).to.include('user.unlocked');

      const disabled = await people.person();
      const token = await resetToken(disabled.email);
      await disableUser(people.context, { userId: disabled.id }, operator);
      expect(await refusedKeys(reset(token))).to.deep.equal(['link.expired']);
      await requestPasswordReset(people.context, { email: disabled.email }, visitor);
      expect(await people.mails()).to.deep.equal([]);
    });

    it('are not reset by the mailbox an account has left', async () => {
      const user = await people.person();
      await requestEmailChange(
        people.context,
        { userId: user.id, email: 'moved@reset.example' },
        actingAs(user),
      );
      const change = tokenIn((await people.mails())[0]);
      const token = await resetToken(user.email);
      await confirmEmailChange(people.context, { token: change }, visitor);
      expect(await refusedKeys(reset(token))).to.deep.equal(['link.expired']);
    });

    it('ask the account and nobody else: same answer for an unknown address, mail to the stored one, our address in it (requirement 92)', async () => {
      const user = await people.person('Kelvin@reset.example');
      const after = await lastAuditId(people.opened.database);
      const answer = await requestPasswordReset(people.context, { email: 'nobody@reset.example' }, visitor);
      expect(await people.mails()).to.deep.equal([]);
      // U+212A is composed to K: an address that looks alike must not get the mail.
      expect(
        await requestPasswordReset(people.context, { email: '\u212aELVIN@reset.example' }, visitor),
      ).to.equal(answer);
      const [mail] = await people.mails();
      expect(mail).to.include({ to: user.email, userId: user.id, locale: 'en' });
      expect(JSON.stringify(mail?.values)).to.include(`${ISSUER}/link?token=`);
      const rows = await auditRows(people.opened.database, after);
      expect(rows.map(({ event, outcome }) => `${event} ${outcome}`)).to.deep.equal([
        'user.password_reset_requested refused',
        'user.password_reset_requested success',
      ]);
    });

    it('are asked for with anything in place of an address, and the answer is the same', async () => {
      for (const email of ['', 'a\0@b.example', '\ud800@b.example', "' or 1=1 --", 'x'.repeat(50_000)]) {
        expect(await requestPasswordReset(people.context, { email }, visitor)).to.equal(undefined);
      }
      expect(await people.mails()).to.deep.equal([]);
      for (const token of ['', 'a\0', '%', 'x'.repeat(50_000)]) {
        expect(await refusedKeys(reset(token))).to.deep.equal(['link.expired']);
      }
    });

    it('stand nowhere readable: not in the database, the audit log, the outbox or a link', async () => {
      const user = await people.person('secret@reset.example', 'a password nobody stores 1');
      await setPassword(
        people.context,
        { userId: user.id, password: 'a password nobody stores 2' },
        operator,
      );
      await requestPasswordReset(people.context, { email: user.email }, visitor);
      const dump = await dumpOf(people.opened.database);
      expect(dump).to.not.include('nobody stores');
      const token = tokenIn((await people.mails()).find(({ mail }) => mail === 'reset-password'));
      expect(dump).to.not.include(token);
      const hash = await store.passwordHashOf(people.opened.database.reader, user.id);
      expect(JSON.stringify(await auditRows(people.opened.database))).to.not.include(hash);
    });
  });
});
