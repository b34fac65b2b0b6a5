import { expect } from 'chai';
import { setPassword } from '../../../src/users/set-password.js';
import { claimsOf, type Person, type RelyingParty } from '../../flows/authorization/relying-party.js';
import { allow, NEXT_PASSWORD, PeopleScene, signIn } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import { OPERATOR } from '../../support/nodes.js';

describe('a session that somebody wants to keep, or to make look younger', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url });
      shop = await people.scene.relyingParty();
    });

    beforeEach(async () => {
      ada = await people.scene.person();
    });

    after(() => people.close());

    it('ends with the password, also behind a thousand later ones', async () => {
      const thief = await people.atSignIn(shop);
      await signIn(thief, ada.email, ada.password);
      await allow(thief);
      const { database } = await people.scene.cluster.operator();
      const [first] = await database.reader('sessions').where({ user_id: ada.userId });
      const later = Number(first.last_used_at) + 1000;
      const rows = Array.from({ length: 1001 }, (_each, index) => ({
        ...first,
        session_id: `later-${ada.userId}-${index}`,
        last_used_at: later + index,
      }));
      await database.transaction(async trx => {
        for (let at = 0; at < rows.length; at += 100) await trx('sessions').insert(rows.slice(at, at + 100));
      });
      await setPassword(
        await people.scene.context(),
        { userId: ada.userId, password: NEXT_PASSWORD },
        { actor: OPERATOR },
      );
      await people.tick();
      const silent = await thief.get(shop.begin({ prompt: 'none' }).path);
      expect(silent.departure?.parameters.error).to.equal('login_required');
    });

    it('is as old as the sign-in, however late the question of the client is answered (OpenID Connect Core §2)', async () => {
      const browser = await people.atSignIn(shop, { max_age: '3600' });
      await signIn(browser, ada.email, ada.password);
      const { database } = await people.scene.cluster.operator();
      const signedInAt = Math.floor((await database.now()) / 1000);
      await people.moveBy(50 * 60);
      const { departure } = await allow(browser);
      expect(departure?.parameters.code).to.be.a('string');
      const answer = await shop.tokens(browser, undefined, { max_age: '3600' });
      expect(Number(claimsOf(answer.json.id_token).auth_time)).to.be.within(signedInAt - 2, signedInAt + 2);
      // What needs a sign-in of a moment ago does not take the click for one (requirement 94).
      await browser.get('/account/profile/delete');
      expect(browser.has('input[name="password"]')).to.equal(true);
    });

    it('that nobody signed in to is not kept for weeks: asking for a code by hand fills no table', async () => {
      const browser = people.scene.browser();
      await browser.get('/oauth2/device/verify');
      const { database } = await people.scene.cluster.operator();
      const [row] = await database
        .reader('artifacts')
        .where({ model: 'Session', account_id: null })
        .orderBy('created_at', 'desc')
        .limit(1);
      const now = await database.now();
      expect(Number(row.expires_at) - now).to.be.at.most(3_600_000);
    });
  });
});
