import { expect } from 'chai';
import type { Person, RelyingParty } from '../../flows/authorization/relying-party.js';
import { PeopleScene, signIn } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import { ISSUER } from '../../support/nodes.js';

const NUL = 'a\0b';

/** PostgreSQL refuses the character in any text, with an error that is nobody's but the sender's fault. */
describe('a NUL in what was typed', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let desk: RelyingParty;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url });
      shop = await people.scene.relyingParty();
      desk = await people.scene.relyingParty({
        redirectUris: [],
        grantTypes: ['urn:openid:params:grant-type:ciba'],
      });
      ada = await people.scene.person();
    });

    after(() => people.close());

    it('is no form of ours at the door', async () => {
      const browser = await people.atSignIn(shop);
      const { status } = await signIn(browser, `${NUL}@example.org`, ada.password);
      expect(status).to.equal(400);
    });

    it('is no person whom a client could ask', async () => {
      const answer = await desk.post('/oauth2/ciba', { scope: 'openid', login_hint: NUL });
      expect([answer.status, answer.json.error]).to.deep.equal([400, 'unknown_user_id']);
    });

    it('is no client', async () => {
      const browser = people.scene.browser();
      await browser.get(shop.begin({ client_id: NUL }).path);
      expect(browser.landing.status).to.equal(400);
    });

    it('names nothing of an account', async () => {
      const browser = people.scene.browser();
      await browser.get('/account/security');
      await signIn(browser, ada.email, ada.password);
      const { csrf = '' } = Object.fromEntries(
        browser.landing.root
          .querySelectorAll('input[name="csrf"]')
          .map(input => ['csrf', input.getAttribute('value') ?? '']),
      );
      for (const [path, field] of [
        ['/account/sessions/end', 'session_id'],
        ['/account/access/withdraw', 'client_id'],
        ['/account/security/passkeys/rename', 'credential_id'],
        ['/account/security/passkeys/remove', 'credential_id'],
        ['/account/security/identities/unlink', 'provider'],
      ] as const) {
        await browser.post(path, { csrf, [field]: NUL, name: 'Key', confirmed: 'yes' }, { from: ISSUER });
        expect(browser.landing.status, `${path} ${browser.describe()}`).to.be.below(500);
      }
    });
  });
});
