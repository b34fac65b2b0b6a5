import { expect } from 'chai';
import { PeopleScene } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';

describe('a mailbox', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;

    before(async () => {
      people = await PeopleScene.open({
        url: (await fresh()).url,
        env: { CLAVIGER_RATE_LIMITS: 'production' },
      });
    });

    after(() => people.close());

    it('is not filled by a client that asks its owner again and again (CIBA); other owners hear of theirs', async () => {
      const desk = await people.scene.relyingParty({
        redirectUris: [],
        grantTypes: ['urn:openid:params:grant-type:ciba'],
      });
      const [ada, eve] = [await people.scene.person(), await people.scene.person()];
      await people.mails();
      const ask = (email: string) =>
        desk.post('/oauth2/ciba', { scope: 'openid orders.read', login_hint: email });
      for (let count = 0; count < 25; count += 1) {
        const answer = await ask(ada.email);
        expect(answer.status, answer.text).to.equal(200);
      }
      expect((await ask(eve.email)).status).to.equal(200);
      const to = (await people.mails()).map(mail => mail.to);
      expect(to.filter(each => each === ada.email).length).to.be.within(1, 10);
      expect(to.filter(each => each === eve.email)).to.have.length(1);
    });
  });
});
