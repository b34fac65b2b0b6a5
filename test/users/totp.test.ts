import { expect } from 'chai';
import { TOTP } from 'otpauth';
import { makeRecoveryCodes, recoveryCodesLeft, useRecoveryCode } from '../../src/users/recovery-codes.js';
import { confirmTotp, enrolTotp, removeTotp, resumeTotpEnrolment, verifyTotp } from '../../src/users/totp.js';
import type { User } from '../../src/users/user.js';
import { refusalOf } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { as, type SigningPeople, signingPeople } from './signing-people.js';

function count(answers: readonly boolean[]): number {
  return answers.filter(Boolean).length;
}

describe('one-time codes', () => {
  forEachDatabase((_name, fresh) => {
    let people: SigningPeople;
    let user: User;

    const now = (): Promise<number> => people.context.database.now();
    async function codeOf(secret: string, steps = 0): Promise<string> {
      const timestamp = (await now()) + steps * 30_000;
      return new TOTP({ secret: secret.replaceAll(' ', '') }).generate({ timestamp });
    }
    async function enrolled(): Promise<string> {
      const { enrolling, secret } = await enrolTotp(people.context, user);
      const code = await codeOf(secret);
      expect(await confirmTotp(people.context, { userId: user.id, enrolling, code }, as(user))).to.equal(
        true,
      );
      people.opened.moveBy(90);
      return secret;
    }

    before(async () => {
      people = await signingPeople(fresh);
      user = await people.person('ada@example.com');
    });

    after(() => people.close());

    it('are enrolled by a code of the new secret, and told to the owner', async () => {
      const { enrolling, secret, uri, qrSvg } = await enrolTotp(people.context, user);
      expect(secret).to.match(/^(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}$/);
      expect(uri).to.match(/^otpauth:\/\/totp\/Keys%20%20and%20more:ada%40example\.com\?/);
      expect(qrSvg)
        .to.match(/^<svg /)
        .and.to.not.match(/style|script|\son\w+=/);
      const wrong = { userId: user.id, enrolling, code: '000000' };
      expect(await confirmTotp(people.context, wrong, as(user))).to.equal(false);
      const again = await resumeTotpEnrolment(people.context, user, enrolling);
      expect(again?.secret).to.equal(secret);
      const right = { userId: user.id, enrolling, code: await codeOf(secret) };
      expect(await confirmTotp(people.context, right, as(user))).to.equal(true);
      const mails = await people.mails();
      expect(mails.map(({ mail, values }) => `${mail} ${values.factor}`)).to.include('factor-added totp');
      const events = await people.context.database.reader('audit_events').where({ user_id: user.id });
      expect(events.map(({ event }) => event)).to.include('user.factor_added');
    });

    it('are enrolled by nobody else, and not a quarter of an hour later', async () => {
      const other = await people.person('other@example.com');
      const { enrolling, secret } = await enrolTotp(people.context, user);
      const code = await codeOf(secret);
      expect(await confirmTotp(people.context, { userId: other.id, enrolling, code }, as(other))).to.equal(
        false,
      );
      expect(
        await confirmTotp(people.context, { userId: other.id, enrolling: 'x', code }, as(other)),
      ).to.equal(false);
      people.opened.moveBy(901);
      const late = { userId: user.id, enrolling, code: await codeOf(secret) };
      expect(await confirmTotp(people.context, late, as(user))).to.equal(false);
    });

    it('are accepted one step early or late, and no more (requirement 89)', async () => {
      const secret = await enrolled();
      expect(await verifyTotp(people.context, user.id, await codeOf(secret, -2))).to.equal(false);
      expect(await verifyTotp(people.context, user.id, await codeOf(secret, 2))).to.equal(false);
      expect(await verifyTotp(people.context, user.id, await codeOf(secret, -1))).to.equal(true);
      expect(await verifyTotp(people.context, user.id, await codeOf(secret, 1))).to.equal(true);
      // RFC 6238 §5.2: and nothing before a step that was accepted.
      expect(await verifyTotp(people.context, user.id, await codeOf(secret, 0))).to.equal(false);
    });

    it('count once when 16 requests on two nodes bring the same (requirement 89)', async () => {
      const secret = await enrolled();
      const other = people.another();
      for (let round = 0; round < 5; round += 1) {
        people.opened.moveBy(90);
        const code = await codeOf(secret);
        const answers = await Promise.all(
          Array.from({ length: 16 }, (_, index) =>
            verifyTotp(index % 2 === 0 ? people.context : other.context, user.id, code),
          ),
        );
        expect(count(answers)).to.equal(1);
      }
    });

    it('would count several times if the step were read first and written then (control: the WHERE is what protects)', async () => {
      await enrolled();
      const nodes = [people.context, people.another().context];
      let most = 0;
      for (let step = 1; step <= 20 && most < 2; step += 1) {
        await people.context.database.write(on =>
          on('users').where({ id: user.id }).update({ totp_last_step: 0 }),
        );
        const answers = await Promise.all(
          Array.from({ length: 16 }, async (_, index) => {
            const { database } = nodes[index % 2] ?? people.context;
            const row = await database.read(on => on('users').where({ id: user.id }).first('totp_last_step'));
            if (Number(row?.totp_last_step) >= step) return false;
            await database.transaction(trx =>
              trx('users').where({ id: user.id }).update({ totp_last_step: step }),
            );
            return true;
          }),
        );
        most = Math.max(most, count(answers));
      }
      expect(most).to.be.above(1);
    });

    it('do not count again for the code that enrolled them', async () => {
      const { enrolling, secret } = await enrolTotp(people.context, user);
      const code = await codeOf(secret);
      await confirmTotp(people.context, { userId: user.id, enrolling, code }, as(user));
      expect(await verifyTotp(people.context, user.id, code)).to.equal(false);
    });

    it('store no secret that can be read', async () => {
      const secret = await enrolled();
      const row = await people.context.database.reader('users').where({ id: user.id }).first();
      expect(row.sealed_totp).to.match(/^v1\./).and.not.include(secret.replaceAll(' ', ''));
    });

    it('are gone when they are removed, with the recovery codes that stood in for them', async () => {
      const secret = await enrolled();
      await makeRecoveryCodes(people.context, user.id, as(user));
      expect(await removeTotp(people.context, user.id, as(user))).to.equal(true);
      expect(await removeTotp(people.context, user.id, as(user))).to.equal(false);
      expect(await verifyTotp(people.context, user.id, await codeOf(secret))).to.equal(false);
      expect(await recoveryCodesLeft(people.context, user.id)).to.equal(0);
      const mails = await people.mails();
      expect(mails.map(({ mail }) => mail)).to.include('factor-removed');
    });

    it('are not enrolled in an account that was locked meanwhile', async () => {
      const locked = await people.person('locked@example.com');
      const { enrolling, secret } = await enrolTotp(people.context, locked);
      await people.context.database.transaction(async trx => {
        await trx('users').where({ id: locked.id }).update({ locked_at: 1 });
      });
      const code = await codeOf(secret);
      const refused = await refusalOf(
        confirmTotp(people.context, { userId: locked.id, enrolling, code }, as(locked)),
      );
      expect(refused.code).to.equal('not_found');
    });
  });
});

describe('recovery codes', () => {
  forEachDatabase((_name, fresh) => {
    let people: SigningPeople;
    let user: User;

    before(async () => {
      people = await signingPeople(fresh);
      user = await people.person('ada@example.com');
    });

    after(() => people.close());

    it('count once under a 16-way race on two nodes (requirement 89)', async () => {
      const codes = await makeRecoveryCodes(people.context, user.id, as(user));
      const other = people.another();
      for (const code of codes.slice(0, 3)) {
        const answers = await Promise.all(
          Array.from({ length: 16 }, (_, index) =>
            useRecoveryCode(index % 2 === 0 ? people.context : other.context, user.id, code),
          ),
        );
        expect(count(answers)).to.equal(1);
      }
      expect(await recoveryCodesLeft(people.context, user.id)).to.equal(7);
    });

    it('would count several times if they were looked up first and crossed off then (control: the WHERE is what protects)', async () => {
      await makeRecoveryCodes(people.context, user.id, as(user));
      const nodes = [people.context, people.another().context];
      let most = 0;
      const { reader } = people.context.database;
      for (const { id } of await reader('recovery_codes').where({ user_id: user.id })) {
        if (most > 1) break;
        const answers = await Promise.all(
          Array.from({ length: 16 }, async (_, index) => {
            const { database } = nodes[index % 2] ?? people.context;
            const row = await database.read(on =>
              on('recovery_codes').where({ id, used_at: null }).first('id'),
            );
            if (row === undefined) return false;
            await database.transaction(trx => trx('recovery_codes').where({ id }).update({ used_at: 1 }));
            return true;
          }),
        );
        most = Math.max(most, count(answers));
      }
      expect(most).to.be.above(1);
    });

    it('are ten of 80 bits, taken as people type them', async () => {
      const codes = await makeRecoveryCodes(people.context, user.id, as(user));
      expect(new Set(codes)).to.have.property('size', 10);
      for (const code of codes) expect(code).to.match(/^(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
      const typed = ` ${codes[0]?.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l')} `;
      expect(await useRecoveryCode(people.context, user.id, typed)).to.equal(true);
      expect(await useRecoveryCode(people.context, user.id, '')).to.equal(false);
      expect(await useRecoveryCode(people.context, user.id, 'x'.repeat(1_000))).to.equal(false);
    });

    it('end with the next ones, open no other account, and are stored unreadable', async () => {
      const other = await people.person('other@example.com');
      const old = await makeRecoveryCodes(people.context, user.id, as(user));
      const codes = await makeRecoveryCodes(people.context, user.id, as(user));
      expect(await useRecoveryCode(people.context, user.id, old[0] ?? '')).to.equal(false);
      expect(await useRecoveryCode(people.context, other.id, codes[0] ?? '')).to.equal(false);
      const rows = JSON.stringify(await people.context.database.reader('recovery_codes'));
      for (const code of codes) expect(rows).to.not.include(code).and.not.include(code.replaceAll('-', ''));
      const events = await people.context.database.reader('audit_events').where({ user_id: user.id });
      expect(events.map(({ event }) => event)).to.include('user.recovery_codes_made');
    });
  });
});
