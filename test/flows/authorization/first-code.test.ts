import { expect } from 'chai';
import { forEachDatabase } from '../../support/databases.js';
import { claimsOf, type Person, type RelyingParty, Scene, userinfo } from './relying-party.js';

describe('the authorization code flow', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      person = await scene.person();
      shop = await scene.relyingParty();
    });

    after(() => scene.close());

    it('signs a person in, asks once, and gives tokens for who they are and for what they allowed', async () => {
      const browser = scene.browser();
      const first = await shop.tokens(browser, person, { scope: 'openid email orders.read' });
      expect(claimsOf(first.json.id_token)).to.include({ sub: person.userId, aud: shop.client.clientId });
      const { text } = await userinfo(scene.node, first.json.access_token);
      expect(JSON.parse(text)).to.include({ sub: person.userId, email: person.email, email_verified: true });
      // Signed in, and allowed already: no page at all.
      const second = await shop.authorize(browser, undefined, { scope: 'openid email orders.read' });
      expect((await shop.redeem(second)).status).to.equal(200);
    });
  });
});
