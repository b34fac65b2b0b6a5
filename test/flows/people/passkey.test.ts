import { expect } from 'chai';
import { ACR_TWO_FACTORS } from '../../../src/protocol.js';
import { Limiter } from '../../../src/rate-limits/limiter.js';
import { lockUser } from '../../../src/users/change-user.js';
import { addPasskey, passkeyRegistration } from '../../../src/users/passkeys.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER, OPERATOR } from '../../support/nodes.js';
import { SoftwareAuthenticator } from '../../users/software-authenticator.js';
import { claimsOf, type Person, type RelyingParty } from '../authorization/relying-party.js';
import { faults, PeopleScene, signIn, stepOf } from './people-scene.js';

const FORM = 'form[data-passkey]';

describe('signing in with a passkey', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let ada: Person;
    let key: SoftwareAuthenticator;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url, nodes: 2 });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });

    beforeEach(async () => {
      ada = await people.scene.person();
      key = await passkeyOf(ada);
    });

    after(() => people.close());

    async function passkeyOf({ userId, email }: Person): Promise<SoftwareAuthenticator> {
      const context = await people.scene.context();
      const { database, hasher } = context;
      const limiter = new Limiter(database, hasher, 'production');
      const authenticator = new SoftwareAuthenticator();
      const options = await passkeyRegistration(context, { id: userId, email, profile: {} });
      const response = authenticator.register(options, { origin: ISSUER });
      const input = { userId, response, challenge: options.challenge, name: 'Key' };
      await addPasskey({ ...context, limiter }, input, { actor: `user:${userId}` });
      return authenticator;
    }

    function answer(browser: FormBrowser, from = key, ceremony = {}): string {
      const options = browser.form(FORM).getAttribute('data-options') ?? '';
      return from.answer(JSON.parse(options), { origin: ISSUER, ...ceremony });
    }

    it('needs nothing else, and counts as two factors when the authenticator verified its user', async () => {
      const browser = await people.atSignIn(shop, { acr_values: ACR_TWO_FACTORS });
      const { departure } = await browser.submit(FORM, { passkey: answer(browser) });
      expect(departure?.parameters.code).to.be.a('string');
      const claims = JSON.stringify({ id_token: { acr: null } });
      const authorized = await shop.authorize(browser, undefined, { claims });
      const token = claimsOf((await shop.redeem(authorized)).json.id_token);
      expect([token.sub, token.acr]).to.deep.equal([ada.userId, ACR_TWO_FACTORS]);
    });

    it('names no credential before somebody is known', async () => {
      const browser = await people.atSignIn(shop, { login_hint: ada.email });
      const options = JSON.parse(browser.form(FORM).getAttribute('data-options') ?? '');
      expect(options.allowCredentials ?? []).to.deep.equal([]);
      expect(options.rpId).to.equal('localhost');
    });

    it('counts once, and only where it was asked for', async () => {
      const browser = await people.atSignIn(shop);
      const passkey = answer(browser);
      const twin = browser.window();
      await twin.get(shop.begin().path);
      const elsewhere = await twin.submit(FORM, { passkey });
      expect([elsewhere.status, elsewhere.departure]).to.deep.equal([422, undefined]);
      expect(faults(twin)).to.contain('The passkey did not work');
      expect((await browser.submit(FORM, { passkey })).departure?.parameters.code).to.be.a('string');
      const other = await people.atSignIn(shop);
      expect((await other.submit(FORM, { passkey })).status).to.equal(422);
    });

    it('says the same of an unknown passkey, nonsense, and an account that is locked', async () => {
      await lockUser(await people.scene.context(), ada, { actor: OPERATOR });
      const stranger = new SoftwareAuthenticator();
      const tries = [
        (browser: FormBrowser) => answer(browser, stranger, { userHandle: 'AAAA' }),
        (browser: FormBrowser) => answer(browser),
        (browser: FormBrowser) => answer(browser, key, { origin: 'https://evil.example' }),
        () => '{"id":1}',
        () => 'x'.repeat(20_000),
        () => '',
      ];
      for (const each of tries) {
        const browser = await people.atSignIn(shop);
        const landing = await browser.submit(FORM, { passkey: each(browser) });
        expect([landing.status, landing.departure]).to.deep.equal([422, undefined]);
        expect(faults(browser)).to.contain('The passkey did not work');
      }
    });

    it('is a second factor after the password, of its owner alone', async () => {
      const eve = await people.scene.person();
      const foreign = await passkeyOf(eve);
      const browser = await people.atSignIn(shop, { acr_values: ACR_TWO_FACTORS });
      await signIn(browser, ada.email, ada.password);
      expect(stepOf(browser)).to.equal('second-factor');
      const refused = await browser.submit(FORM, { passkey: answer(browser, foreign) });
      expect(refused.status).to.equal(422);
      const { departure } = await browser.submit(FORM, { passkey: answer(browser) });
      expect(departure?.parameters.code).to.be.a('string');
    });
  });
});
