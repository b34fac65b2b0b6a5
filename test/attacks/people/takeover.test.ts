import { expect } from 'chai';
import { TOTP } from 'otpauth';
import { isAppError } from '../../../src/errors.js';
import { requestEmailChange } from '../../../src/users/change-email.js';
import { deleteUser } from '../../../src/users/change-user.js';
import { makeRecoveryCodes } from '../../../src/users/recovery-codes.js';
import { setPassword } from '../../../src/users/set-password.js';
import { confirmTotp, enrolTotp } from '../../../src/users/totp.js';
import type { Person } from '../../flows/authorization/relying-party.js';
import { heading, NEXT_PASSWORD, PeopleScene, signIn } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import { OPERATOR } from '../../support/nodes.js';

describe('an account that was in foreign hands', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url, nodes: 2 });
      ada = await people.scene.person();
    });

    after(() => people.close());

    it('is not lost to a change of address that was asked for before its owner set a new password', async () => {
      const thief = 'thief@evil.example';
      await requestEmailChange(
        await people.scene.context(),
        { userId: ada.userId, email: thief },
        { actor: `user:${ada.userId}` },
      );
      const planted = await people.link('change-email', thief);
      const owner = people.scene.browser();
      await owner.get('/forgot');
      await owner.submit('main form', { email: ada.email });
      await owner.get(await people.link('reset-password', ada.email));
      await owner.submit('main form', { password: NEXT_PASSWORD });
      expect(heading(owner)).to.equal('Password changed');

      const stranger = people.scene.browser();
      await stranger.get(planted);
      expect(stranger.landing.status, stranger.describe()).to.equal(410);
      const { database } = await people.scene.cluster.operator();
      const user = await database.reader('users').where({ id: ada.userId }).first('email');
      expect(user.email).to.equal(ada.email);
    });

    it('keeps the password of whoever was first: another that was proved by the old one is too late', async () => {
      const eve = await people.scene.person();
      const browsers = [people.scene.browser(), people.scene.browser()];
      for (const browser of browsers) {
        await browser.get('/account/security');
        await signIn(browser, eve.email, eve.password);
      }
      const field = 'input[name="current_password"]';
      const next = [NEXT_PASSWORD, 'nine loud turnips danced'];
      await Promise.all(
        browsers.map((browser, index) =>
          browser.submit(field, { current_password: eve.password, password: next[index] ?? '' }),
        ),
      );
      const { database } = await people.scene.cluster.operator();
      const changes = await database
        .reader('audit_events')
        .where({ event: 'user.password_changed', user_id: eve.userId });
      expect(changes).to.have.length(1);
      expect(browsers.map(({ landing }) => landing.status).filter(status => status >= 500)).to.deep.equal([]);
    });

    it('takes nothing from a session that ends while its request is under way', async () => {
      const bob = await people.scene.person();
      const thief = people.scene.browser();
      await thief.get('/account');
      await signIn(thief, bob.email, bob.password);
      const context = await people.scene.context();
      const { database } = context;
      const { session_id: sessionId } = await database
        .reader('sessions')
        .where({ user_id: bob.userId })
        .first();
      const acting = { actor: `user:${bob.userId}`, sessionId } as const;
      const { enrolling, secret } = await enrolTotp(context, { id: bob.userId, email: bob.email });
      const totp = new TOTP({ secret: secret.replaceAll(' ', '') });
      // Let in by the session; then the owner's new password comes first.
      await setPassword(context, { userId: bob.userId, password: NEXT_PASSWORD }, { actor: OPERATOR });
      const code = totp.generate({ timestamp: await database.now() });
      const late = [
        () => confirmTotp(context, { userId: bob.userId, enrolling, code }, acting),
        () => makeRecoveryCodes(context, bob.userId, acting),
        () => requestEmailChange(context, { userId: bob.userId, email: 'thief@evil.example' }, acting),
        () => setPassword(context, { userId: bob.userId, password: 'nine loud turnips danced' }, acting),
        () => deleteUser(context, { userId: bob.userId }, acting),
      ];
      const codes: unknown[] = [];
      for (const each of late) {
        codes.push(
          await each().then(
            () => 'done',
            (error: unknown) => (isAppError(error) ? error.code : error),
          ),
        );
      }
      expect(codes).to.deep.equal(late.map(() => 'stale'));
    });
  });
});
