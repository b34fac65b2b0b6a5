import { expect } from 'chai';
import { EmailLinkStore } from '../../src/users/email-link-store.js';
import { linkUrl, makeLink, peekLink, useLink } from '../../src/users/email-links.js';
import { forEachDatabase } from '../support/databases.js';
import { rowCounts } from '../support/tables.js';
import { ISSUER, openedPeople, type People } from './people.js';

forEachDatabase((_name, fresh) => {
  describe('links in mails', () => {
    let people: People;
    let userId: string;
    before(async () => {
      people = await openedPeople(fresh);
      userId = (await people.person()).id;
    });
    after(() => people.opened.close());

    const make = (expiresIn = 900): Promise<string> =>
      people.context.database.transaction(async trx => {
        const now = await people.context.database.now(trx);
        const payload = { email: 'ada@example.org' };
        return makeLink(trx, people.context, { kind: 'reset_password', userId, payload, expiresIn, now });
      });
    const use = (
      token: string,
      context = people.context,
      kind: 'reset_password' | 'verify_email' = 'reset_password',
    ) =>
      context.database.transaction(async trx =>
        useLink(trx, context, token, kind, await context.database.now(trx)),
      );

    it('lead to the configured issuer and nowhere else (requirement 92)', () => {
      expect(linkUrl(ISSUER, 'abc')).to.equal('https://id.example.org/link?token=abc');
    });

    it('carry 256 random bits, of which the database holds an HMAC and a sealed payload', async () => {
      const token = await make();
      expect(token).to.match(/^[A-Za-z0-9_-]{43}$/);
      expect(await make()).to.not.equal(token);
      const rows = await people.context.database.reader('email_links').where({ user_id: userId });
      expect(JSON.stringify(rows)).to.not.include(token).and.not.include('ada@example.org');
    });

    it('can be looked at any number of times and used once', async () => {
      const token = await make();
      for (let look = 0; look < 3; look += 1) {
        const link = await peekLink(people.context, token, 'reset_password');
        expect(link).to.include({ kind: 'reset_password', userId });
        expect(link?.payload).to.deep.equal({ email: 'ada@example.org' });
      }
      expect((await use(token))?.payload).to.deep.equal({ email: 'ada@example.org' });
      expect(await use(token)).to.equal(undefined);
      expect(await peekLink(people.context, token, 'reset_password')).to.equal(undefined);
    });

    it('open nothing of another kind, mistyped, or when their time is over', async () => {
      const token = await make();
      expect(await use(token, people.context, 'verify_email')).to.equal(undefined);
      expect(await peekLink(people.context, token, 'verify_email')).to.equal(undefined);
      for (const wrong of ['', 'x', `${token}x`, token.slice(1), `A${token.slice(1)}`, `${token}\0`]) {
        if (wrong !== token) expect(await use(wrong), wrong).to.equal(undefined);
      }
      people.opened.moveBy(899);
      expect(await peekLink(people.context, token, 'reset_password')).to.not.equal(undefined);
      people.opened.moveBy(2);
      expect(await peekLink(people.context, token, 'reset_password')).to.equal(undefined);
      expect(await use(token)).to.equal(undefined);
    });

    it('open for one of sixteen who come at the same instant on two nodes (requirement 92)', async () => {
      const contexts = [people.context, people.another()];
      for (let round = 0; round < 5; round += 1) {
        const token = await make();
        const all = await Promise.all(
          Array.from({ length: 16 }, (_, index) => use(token, contexts[index % 2])),
        );
        expect(all.filter(link => link !== undefined)).to.have.length(1);
      }
    });

    it('would open for several if they were looked at first and used up then (control: the WHERE is what protects)', async () => {
      const contexts = [people.context, people.another()];
      let most = 0;
      for (let round = 0; round < 20 && most < 2; round += 1) {
        const token = await make();
        const id = people.context.hasher.hashOf('email_link', token);
        const all = await Promise.all(
          Array.from({ length: 16 }, async (_, index) => {
            const context = contexts[index % 2] ?? people.context;
            const link = await peekLink(context, token, 'reset_password');
            if (link === undefined) return undefined;
            await context.database.transaction(trx =>
              trx('email_links').where({ id }).update({ used_at: link.expiresAt }),
            );
            return link;
          }),
        );
        most = Math.max(most, all.filter(link => link !== undefined).length);
      }
      expect(most).to.be.above(1);
    });

    it('are not used up by work that fails', async () => {
      const token = await make();
      const failed = people.context.database
        .transaction(async trx => {
          await useLink(trx, people.context, token, 'reset_password', await people.context.database.now(trx));
          throw new Error('what it was for failed');
        })
        .catch((error: Error) => error.message);
      expect(await failed).to.equal('what it was for failed');
      expect(await use(token)).to.not.equal(undefined);
    });

    it('are swept when their time is over', async () => {
      people.opened.moveBy(10_000);
      const kept = await make();
      const { database } = people.context;
      const now = await database.now();
      expect(await database.transaction(trx => new EmailLinkStore().sweep(trx, now))).to.be.greaterThan(3);
      expect((await rowCounts(database)).email_links).to.equal(1);
      expect(await use(kept)).to.not.equal(undefined);
    });
  });
});
