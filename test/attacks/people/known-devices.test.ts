import { expect } from 'chai';
import { lockUser, unlockUser } from '../../../src/users/change-user.js';
import { KnownDevices } from '../../../src/users/known-devices.js';
import type { Person, RelyingParty } from '../../flows/authorization/relying-party.js';
import { PeopleScene, signIn, stepOf } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER, OPERATOR } from '../../support/nodes.js';

const CODE = 'form:has(input[name="code"])';

describe('a browser that others have used, too', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });

    beforeEach(async () => {
      ada = await people.scene.person();
    });

    after(() => people.close());

    const deviceOf = async (browser: FormBrowser) => (await browser.cookies()).device ?? '';

    async function isKnown({ userId }: Person, token: string): Promise<boolean> {
      const { database, hasher } = await people.scene.context();
      return new KnownDevices(database, hasher).isKnown(userId, token);
    }

    it('is nobody’s known device by a cookie that somebody else has had (fixation)', async () => {
      const eve = await people.scene.person();
      const shared = await people.atSignIn(shop);
      await signIn(shared, eve.email, eve.password);
      const copied = await deviceOf(shared);
      expect(await isKnown(eve, copied)).to.equal(true);
      // Signed out; the cookie of the device stays.
      const later = people.scene.browser();
      await later.jar.setCookie(`device=${copied}; Path=/`, ISSUER);
      await later.get(shop.begin().path);
      await signIn(later, ada.email, ada.password);
      expect(later.landing.departure?.parameters.code, later.describe()).to.be.a('string');
      const own = await deviceOf(later);
      expect([own === copied, await isKnown(ada, own), await isKnown(ada, copied)]).to.deep.equal([
        false,
        true,
        false,
      ]);
    });

    it('spares nobody the second factor at home who put the cookie there and knows the password (requirement 90)', async () => {
      const app = await people.authenticator(ada);
      const planted = 'a'.repeat(43);
      const victim = people.scene.browser();
      await victim.jar.setCookie(`device=${planted}; Path=/`, ISSUER);
      await victim.get(shop.begin().path);
      await signIn(victim, ada.email, ada.password);
      await victim.submit(CODE, { code: await app.code(), trust: 'on' });
      expect(victim.landing.departure?.parameters.code, victim.describe()).to.be.a('string');
      const home = people.scene.browser();
      await home.jar.setCookie(`device=${planted}; Path=/`, ISSUER);
      await home.get(shop.begin().path);
      await signIn(home, ada.email, ada.password);
      expect(stepOf(home)).to.equal('second-factor');
    });

    it('stays known to its owner under the same cookie', async () => {
      const laptop = await people.atSignIn(shop);
      await signIn(laptop, ada.email, ada.password);
      const first = await deviceOf(laptop);
      await laptop.get(shop.begin({ prompt: 'login' }).path);
      await signIn(laptop, ada.email, ada.password);
      expect(await deviceOf(laptop)).to.equal(first);
    });

    it('is trusted no more once the account was locked as suspect', async () => {
      const app = await people.authenticator(ada);
      const laptop = await people.atSignIn(shop);
      await signIn(laptop, ada.email, ada.password);
      await laptop.submit(CODE, { code: await app.code(), trust: 'on' });
      expect(laptop.landing.departure?.parameters.code).to.be.a('string');
      const context = await people.scene.context();
      await lockUser(context, { userId: ada.userId }, { actor: OPERATOR });
      await unlockUser(context, { userId: ada.userId }, { actor: OPERATOR });
      await people.tick();
      await laptop.get(shop.begin().path);
      await signIn(laptop, ada.email, ada.password);
      expect(stepOf(laptop)).to.equal('second-factor');
    });
  });
});
