import { expect } from 'chai';
import { TOTP } from 'otpauth';
import { ACR_ONE_FACTOR, ACR_TWO_FACTORS } from '../../src/protocol.js';
import { limitOf } from '../../src/rate-limits/limits.js';
import { unlockUser } from '../../src/users/change-user.js';
import { KnownDeviceStore } from '../../src/users/known-device-store.js';
import { KnownDevices, newDeviceToken } from '../../src/users/known-devices.js';
import { addPasskey, passkeyQuestion, passkeyRegistration } from '../../src/users/passkeys.js';
import { makeRecoveryCodes } from '../../src/users/recovery-codes.js';
import type { PasswordAttempt } from '../../src/users/sign-in.js';
import { confirmTotp, enrolTotp } from '../../src/users/totp.js';
import type { User } from '../../src/users/user.js';
import { forEachDatabase } from '../support/databases.js';
import { as, factsFrom, ORIGIN, PASSWORD, type SigningPeople, signingPeople } from './signing-people.js';
import { SoftwareAuthenticator } from './software-authenticator.js';

const MOST = limitOf('production', 'account_password').most;
const MOST_PER_NETWORK = limitOf('production', 'account_password_network').most;
const MOST_IN_A_ROW = limitOf('production', 'account_consecutive').most;

describe('a sign-in', () => {
  forEachDatabase((_name, fresh) => {
    let people: SigningPeople;
    let user: User;
    let hosts = 0;
    let persons = 0;

    /** An IPv4 address nobody tried from. */
    const freshIp = (): string => {
      hosts += 1;
      return `198.${18 + (hosts >> 16)}.${(hosts >> 8) & 255}.${hosts & 255}`;
    };
    const attempt = (overrides: Partial<PasswordAttempt> = {}): PasswordAttempt => ({
      email: user.email,
      password: PASSWORD,
      facts: factsFrom(freshIp()),
      ...overrides,
    });
    const setUser = (columns: object): Promise<void> =>
      people.context.database.transaction(async trx => {
        await trx('users').where({ id: user.id }).update(columns);
      });
    const events = (): Promise<{ event: string; user_id: string | null; detail: string }[]> =>
      people.context.database.reader('audit_events').where('event', 'like', 'sign_in.%').orderBy('id');
    async function withTotp(): Promise<() => Promise<string>> {
      const { enrolling, secret } = await enrolTotp(people.context, user);
      const totp = new TOTP({ secret: secret.replaceAll(' ', '') });
      const code = async () => totp.generate({ timestamp: await people.context.database.now() });
      await confirmTotp(people.context, { userId: user.id, enrolling, code: await code() }, as(user));
      people.opened.moveBy(60);
      return code;
    }
    async function withPasskey(): Promise<SoftwareAuthenticator> {
      const authenticator = new SoftwareAuthenticator();
      const options = await passkeyRegistration(people.context, user);
      const response = authenticator.register(options, { origin: ORIGIN });
      const input = { userId: user.id, response, challenge: options.challenge, name: 'Key' };
      await addPasskey(people.context, input, as(user));
      return authenticator;
    }
    async function byPasskey(authenticator: SoftwareAuthenticator, verifiesUser = true, userId?: string) {
      const options = await passkeyQuestion(people.context, { userId });
      const response = authenticator.answer(options, { origin: ORIGIN, verifiesUser });
      const facts = factsFrom(freshIp());
      return people.signIn.passkey({ response, challenge: options.challenge, facts, userId });
    }
    const completed = (deviceToken: string, more: { trustDevice?: boolean; acr?: string } = {}) =>
      people.signIn.completed({
        userId: user.id,
        amr: ['pwd'],
        acr: more.acr ?? ACR_ONE_FACTOR,
        clientId: 'cl_x',
        facts: factsFrom('203.0.113.7'),
        deviceToken,
        trustDevice: more.trustDevice,
      });

    before(async () => {
      people = await signingPeople(fresh);
    });

    beforeEach(async () => {
      persons += 1;
      user = await people.person(`Ada.${persons}@example.com`);
    });

    after(() => people.close());

    it('is accepted by password, however the address is written', async () => {
      for (const email of [user.email, user.email.toUpperCase(), ` ${user.email} `]) {
        const answer = await people.signIn.password(attempt({ email }));
        expect(answer).to.deep.include({ status: 'accepted', amr: ['pwd'], needs: 'nothing' });
      }
    });

    it('is refused with one answer, after one password comparison, whatever the reason (requirement 86)', async () => {
      const none = await people.person(`none.${persons}@example.com`, undefined);
      await people.context.database.transaction(async trx => {
        await trx('users').where({ id: none.id }).update({ password_hash: null });
      });
      const reasons: [Partial<PasswordAttempt>, object][] = [
        [{ email: 'nobody@example.com' }, {}],
        [{ email: '' }, {}],
        [{ password: 'wrong' }, {}],
        [{ email: none.email }, {}],
        [{}, { disabled_at: 1 }],
        [{}, { disabled_at: null, locked_at: 1 }],
      ];
      for (const [overrides, columns] of reasons) {
        if (Object.keys(columns).length > 0) await setUser(columns);
        const before = people.compared();
        const answer = await people.signIn.password(attempt(overrides));
        expect(answer).to.deep.equal({ status: 'refused' });
        expect(people.compared() - before).to.equal(1);
      }
      const told = (await events()).slice(-reasons.length).map(({ detail }) => JSON.parse(detail).reason);
      expect(told).to.deep.equal([
        'unknown_account',
        'unknown_account',
        'wrong_password',
        'wrong_password',
        'disabled',
        'locked',
      ]);
    });

    it('does not tell a known address from an unknown one by its statements (requirement 86)', async () => {
      const statementsOf = async (overrides: Partial<PasswordAttempt>): Promise<string[]> => {
        const statements: string[] = [];
        const listen = ({ sql }: { sql: string }): number => statements.push(sql);
        const { reader } = people.context.database;
        reader.on('query', listen);
        await people.signIn.password(attempt(overrides));
        reader.off('query', listen);
        return statements.filter(sql => !/^(?:begin|commit)/i.test(sql));
      };
      const unknown = await statementsOf({ email: 'nobody@example.com', deviceToken: newDeviceToken() });
      const known = await statementsOf({ password: 'wrong', deviceToken: newDeviceToken() });
      expect(unknown).to.not.be.empty;
      expect(known).to.deep.equal(unknown);
    });

    it('is refused for an unconfirmed address where anybody may sign up', async () => {
      await setUser({ email_verified_at: null });
      const open = people.under({ signUp: true });
      expect((await open.signIn.password(attempt())).status).to.equal('refused');
      expect((await people.signIn.password(attempt())).status).to.equal('accepted');
    });

    it('never writes down what was typed', async () => {
      await people.signIn.password(attempt({ email: 'hunter2 typed here', password: 'my secret pass' }));
      const rows = JSON.stringify(await people.context.database.reader('audit_events'));
      expect(rows).to.not.include('hunter2').and.not.include('my secret pass');
    });

    it('compares exactly N of 300 passwords guessed at once on three nodes (requirement 87)', async function () {
      this.timeout(120_000);
      const nodes = [people, people.another(), people.another()];
      const facts = factsFrom(freshIp());
      const spellings = [user.email, user.email.toUpperCase(), ` ${user.email}`];
      const before = nodes.reduce((sum, node) => sum + node.compared(), 0);
      const answers = await Promise.all(
        Array.from({ length: 300 }, (_, index) => {
          const node = nodes[index % 3] ?? people;
          const email = spellings[index % 3] ?? '';
          return node.signIn.password({ email, password: `guess ${index}`, facts });
        }),
      );
      const after = nodes.reduce((sum, node) => sum + node.compared(), 0);
      expect(after - before).to.equal(MOST);
      expect(answers.filter(({ status }) => status === 'refused')).to.have.length(MOST);
      const throttled = answers.find(({ status }) => status === 'throttled');
      expect(throttled).to.include({ isPaused: false });
      expect((await events()).map(({ event }) => event)).to.include('sign_in.throttled');
    });

    it('that is refused a thousand times does not fill the audit log', async () => {
      const facts = factsFrom(freshIp());
      for (let i = 0; i < MOST + 50; i += 1) await people.signIn.password(attempt({ password: 'x', facts }));
      const told = (await events()).filter(({ user_id }) => user_id === user.id);
      expect(told.filter(({ event }) => event === 'sign_in.throttled')).to.have.length(10);
    });

    it('is throttled for an account that does not exist just as for one that does (requirement 87)', async () => {
      const facts = factsFrom(freshIp());
      const statuses: string[] = [];
      for (let i = 0; i <= MOST; i += 1) {
        const email = i % 2 === 0 ? 'Nobody@example.com' : 'nobody@EXAMPLE.com';
        statuses.push((await people.signIn.password(attempt({ email, facts }))).status);
      }
      expect(statuses).to.deep.equal([...Array<string>(MOST).fill('refused'), 'throttled']);
    });

    it('is throttled by /64, whichever address of it is used (requirement 87)', async () => {
      for (let i = 0; i < MOST; i += 1) {
        await people.signIn.password(
          attempt({ password: 'x', facts: factsFrom(`2001:db8:${persons}:1::${i}`) }),
        );
      }
      const facts = factsFrom(`2001:db8:${persons}:1:ffff::1`);
      expect((await people.signIn.password(attempt({ facts }))).status).to.equal('throttled');
      const elsewhere = factsFrom(`2001:db8:${persons}:2::1`);
      expect((await people.signIn.password(attempt({ facts: elsewhere }))).status).to.equal('accepted');
    });

    it('of a sprayer does not buy new guesses by signing in to an account of their own', async function () {
      this.timeout(120_000);
      const facts = factsFrom(freshIp());
      let evaluated = 0;
      for (let i = 0; evaluated <= MOST_PER_NETWORK; i += 1) {
        if (i % 10 === 0) await people.signIn.password(attempt({ facts }));
        const email = `victim-${i}@example.com`;
        const { status } = await people.signIn.password(attempt({ email, password: 'x', facts }));
        if (status === 'throttled') break;
        evaluated += 1;
      }
      expect(evaluated).to.equal(MOST_PER_NETWORK);
    });

    it('is paused after 100 failures in a row for unknown devices only (requirement 87)', async function () {
      this.timeout(120_000);
      const deviceToken = newDeviceToken();
      await completed(deviceToken);
      const authenticator = await withPasskey();
      for (let i = 0; i < MOST_IN_A_ROW; i += 1) {
        await people.signIn.password(attempt({ password: 'x' }));
      }
      expect(await people.signIn.password(attempt())).to.include({ status: 'throttled', isPaused: true });
      const strange = attempt({ deviceToken: newDeviceToken() });
      expect((await people.signIn.password(strange)).status).to.equal('throttled');
      people.opened.moveBy(24 * 3_600);
      expect((await people.signIn.password(attempt())).status).to.equal('throttled');
      expect((await people.signIn.password(attempt({ deviceToken }))).status).to.equal('accepted');
      expect((await byPasskey(authenticator)).status).to.equal('accepted');
      await unlockUser(people.context, { userId: user.id }, { actor: 'os:test@here' });
      expect((await people.signIn.password(attempt())).status).to.equal('accepted');
    });

    it('of a known device has a budget of its own, for its own account', async () => {
      const deviceToken = newDeviceToken();
      await completed(deviceToken);
      const facts = factsFrom(freshIp());
      for (let i = 0; i < MOST; i += 1) await people.signIn.password(attempt({ password: 'x', facts }));
      expect((await people.signIn.password(attempt({ facts }))).status).to.equal('throttled');
      expect((await people.signIn.password(attempt({ facts, deviceToken }))).status).to.equal('accepted');
      for (let i = 0; i < MOST; i += 1) {
        await people.signIn.password(attempt({ password: 'x', deviceToken }));
      }
      expect((await people.signIn.password(attempt({ deviceToken }))).status).to.equal('throttled');
      const other = await people.person(`other.${persons}@example.com`);
      for (let i = 0; i < MOST; i += 1) {
        await people.signIn.password(attempt({ email: other.email, password: 'x', facts, deviceToken }));
      }
      const stolen = await people.signIn.password(attempt({ email: other.email, facts, deviceToken }));
      expect(stolen.status).to.equal('throttled');
    });

    it('needs a second factor that was set up, except on a device that its owner trusts', async () => {
      const code = await withTotp();
      const answer = await people.signIn.password(attempt());
      expect(answer).to.include({ status: 'accepted', needs: 'second_factor' });
      const facts = factsFrom(freshIp());
      const second = await people.signIn.totp({ userId: user.id, code: await code(), facts });
      expect(second).to.deep.include({ status: 'accepted', amr: ['otp'], needs: 'nothing' });
      const deviceToken = newDeviceToken();
      await completed(deviceToken);
      expect(await people.signIn.password(attempt({ deviceToken }))).to.include({ needs: 'second_factor' });
      await completed(deviceToken, { trustDevice: true });
      expect(await people.signIn.password(attempt({ deviceToken }))).to.include({ needs: 'second_factor' });
      await completed(deviceToken, { trustDevice: true, acr: ACR_TWO_FACTORS });
      expect(await people.signIn.needsOf({ ...user, hasTotp: true }, { deviceToken })).to.include({
        needs: 'nothing',
      });
      expect(await people.signIn.password(attempt({ deviceToken }))).to.include({ needs: 'nothing' });
      const stepUp = attempt({ deviceToken, demandsSecondFactor: true });
      expect(await people.signIn.password(stepUp)).to.include({ needs: 'second_factor' });
      people.opened.moveBy(30 * 24 * 3_600 + 1);
      expect(await people.signIn.password(attempt({ deviceToken }))).to.include({ needs: 'second_factor' });
    });

    it('needs enrolment where a second factor is required and none is there (requirement 90)', async () => {
      const strict = people.under({ requireSecondFactor: true });
      expect(await strict.signIn.password(attempt())).to.include({ needs: 'enrolment' });
      expect(await people.signIn.password(attempt({ demandsSecondFactor: true }))).to.include({
        needs: 'enrolment',
      });
      const authenticator = await withPasskey();
      expect(await strict.signIn.password(attempt())).to.include({ needs: 'second_factor' });
      expect(await people.signIn.password(attempt())).to.include({ needs: 'nothing' });
      expect(await byPasskey(authenticator, false, user.id)).to.deep.include({
        amr: ['pop'],
        needs: 'nothing',
      });
    });

    it('by passkey is two factors only if the authenticator verified its user', async () => {
      const authenticator = await withPasskey();
      expect(await byPasskey(authenticator)).to.deep.include({ amr: ['pop', 'user'], needs: 'nothing' });
      await withTotp();
      expect(await byPasskey(authenticator)).to.deep.include({ needs: 'nothing' });
      expect(await byPasskey(authenticator, false)).to.deep.include({ amr: ['pop'], needs: 'second_factor' });
      await setUser({ disabled_at: 1 });
      expect(await byPasskey(authenticator)).to.deep.equal({ status: 'refused' });
      const stranger = new SoftwareAuthenticator();
      expect(await byPasskey(stranger)).to.deep.equal({ status: 'refused' });
      expect(JSON.parse((await events()).at(-1)?.detail ?? '').reason).to.equal('unknown_passkey');
    });

    it('is throttled at its one-time code, on all nodes together (requirement 88)', async () => {
      const code = await withTotp();
      const most = limitOf('production', 'second_factor').most;
      const nodes = [people, people.another(), people.another()];
      const guesses = await Promise.all(
        Array.from({ length: 90 }, (_, index) =>
          (nodes[index % 3] ?? people).signIn.totp({
            userId: user.id,
            code: 'abcdef',
            facts: factsFrom(freshIp()),
          }),
        ),
      );
      expect(guesses.filter(({ status }) => status === 'refused')).to.have.length(most);
      const facts = factsFrom(freshIp());
      const late = { userId: user.id, code: await code(), facts };
      expect((await people.signIn.totp(late)).status).to.equal('throttled');
      people.opened.moveBy(901);
      expect((await people.signIn.totp({ ...late, code: await code() })).status).to.equal('accepted');
    });

    it('is paused at its one-time code after 100 failures in a row, until another factor proves the owner', async function () {
      this.timeout(120_000);
      const code = await withTotp();
      const facts = factsFrom(freshIp());
      const codes = await makeRecoveryCodes(people.context, user.id, as(user));
      const { most } = limitOf('production', 'second_factor');
      for (let window = 0; window < 100 / most; window += 1) {
        for (let i = 0; i < most; i += 1) await people.signIn.totp({ userId: user.id, code: '-', facts });
        people.opened.moveBy(901);
      }
      const paused = await people.signIn.totp({ userId: user.id, code: await code(), facts });
      expect(paused).to.include({ status: 'throttled', isPaused: true });
      const recovery = await people.signIn.recoveryCode({ userId: user.id, code: codes[0] ?? '', facts });
      expect(recovery.status).to.equal('accepted');
      expect((await people.signIn.totp({ userId: user.id, code: await code(), facts })).status).to.equal(
        'accepted',
      );
    });

    it('is throttled at its recovery codes, and one opens it once under a 16-way race (requirements 88, 89)', async () => {
      const codes = await makeRecoveryCodes(people.context, user.id, as(user));
      const facts = factsFrom(freshIp());
      const other = people.another();
      const race = await Promise.all(
        Array.from({ length: 16 }, (_, index) =>
          (index % 2 === 0 ? people : other).signIn.recoveryCode({
            userId: user.id,
            code: codes[0] ?? '',
            facts,
          }),
        ),
      );
      expect(race.filter(({ status }) => status === 'accepted')).to.have.length(1);
      people.opened.moveBy(3_601);
      const most = limitOf('production', 'recovery_code').most;
      for (let i = 0; i < most; i += 1) {
        const wrong = await people.signIn.recoveryCode({ userId: user.id, code: 'wrong', facts });
        expect(wrong.status).to.equal('refused');
      }
      const late = await people.signIn.recoveryCode({ userId: user.id, code: codes[1] ?? '', facts });
      expect(late.status).to.equal('throttled');
    });

    it('does not accept a code for an account that was disabled after its password', async () => {
      const code = await withTotp();
      await setUser({ disabled_at: 1 });
      const facts = factsFrom(freshIp());
      const answer = await people.signIn.totp({ userId: user.id, code: await code(), facts });
      expect(answer).to.deep.equal({ status: 'refused' });
    });

    it('that is completed is told to the owner from a new device, but not the first one', async () => {
      const deviceToken = newDeviceToken();
      const mailsToUser = async () => (await people.mails()).filter(({ to }) => to === user.email);
      expect(await completed(deviceToken)).to.include({ id: user.id });
      expect(await mailsToUser()).to.deep.equal([]);
      await completed(deviceToken);
      expect(await mailsToUser()).to.deep.equal([]);
      await completed(newDeviceToken());
      expect((await mailsToUser()).map(({ mail, values }) => [mail, values])).to.deep.equal([
        ['new-sign-in', { browser: 'Firefox / Linux', ip: '203.0.113.7' }],
      ]);
      const succeeded = (await events()).filter(({ event, user_id }) => {
        return event === 'sign_in.succeeded' && user_id === user.id;
      });
      expect(succeeded.map(({ detail }) => JSON.parse(detail).is_new_device)).to.deep.equal([
        true,
        false,
        true,
      ]);
      const row = await people.context.database.reader('users').where({ id: user.id }).first();
      expect(row.last_sign_in_at).to.not.equal(null);
    });

    it('is not completed for an account that was locked meanwhile', async () => {
      await setUser({ locked_at: 1 });
      expect(await completed(newDeviceToken())).to.equal(undefined);
    });

    it('forgets devices when told to, and each serves several people', async () => {
      const { database, hasher } = people.context;
      const devices = new KnownDevices(database, hasher);
      const other = await people.person(`second.${persons}@example.com`);
      const token = newDeviceToken();
      await database.transaction(async trx => {
        const now = await database.now(trx);
        await devices.remember(trx, { userId: user.id, token, trustedFor: 60 }, now);
        await devices.remember(trx, { userId: other.id, token, trustedFor: 0 }, now);
      });
      expect(await devices.isTrusted(user.id, token)).to.equal(true);
      expect(await devices.isKnown(other.id, token)).to.equal(true);
      expect(await devices.isTrusted(other.id, token)).to.equal(false);
      expect(JSON.stringify(await database.reader('known_devices'))).to.not.include(token);
      await database.transaction(trx => new KnownDeviceStore().deleteAll(trx, user.id));
      expect(await devices.isKnown(user.id, token)).to.equal(false);
      expect(await devices.isKnown(other.id, token)).to.equal(true);
      people.opened.moveBy(401 * 24 * 3_600);
      expect(await devices.isKnown(other.id, token)).to.equal(false);
      await database.transaction(async trx => devices.sweep(trx, await database.now(trx)));
      const left = await database.reader('known_devices').where({ user_id: other.id });
      expect(left).to.deep.equal([]);
    });
  });
});
