import { expect } from 'chai';
import type { Person, RelyingParty } from '../../flows/authorization/relying-party.js';
import { allow, PeopleScene, signIn } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';

const WORDS = 'Your account was attacked, call +1 555 0100';

describe('a link that somebody made for a client of ours', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url });
      shop = await people.scene.relyingParty();
      ada = await people.scene.person();
    });

    after(() => people.close());

    it('does not bring its own words to the consent page as names of claims, and leaves none in the database', async () => {
      const claims = JSON.stringify({
        userinfo: { email: null, [WORDS]: null },
        id_token: JSON.parse('{"__proto__":null,"constructor":null}'),
      });
      const browser = await people.atSignIn(shop, { claims });
      await signIn(browser, ada.email, ada.password);
      expect(browser.has('button[value="allow"]')).to.equal(true);
      expect(browser.landing.text).to.not.contain('555 0100');
      const { departure } = await allow(browser);
      expect(departure?.parameters.code).to.be.a('string');
      const { database } = await people.scene.cluster.operator();
      const [row] = await database.reader('consents').where({ user_id: ada.userId });
      expect(JSON.parse(String(row.granted)).claims).to.deep.equal(['email']);
    });
  });
});
