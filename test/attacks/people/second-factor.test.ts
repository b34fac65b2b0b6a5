import { expect } from 'chai';
import { ACR_TWO_FACTORS } from '../../../src/protocol.js';
import { Limiter } from '../../../src/rate-limits/limiter.js';
import { addPasskey, passkeyRegistration } from '../../../src/users/passkeys.js';
import { claimsOf, type Person, type RelyingParty } from '../../flows/authorization/relying-party.js';
import { NEXT_PASSWORD, PeopleScene, signIn, stepOf } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER } from '../../support/nodes.js';
import { SoftwareAuthenticator } from '../../users/software-authenticator.js';

const FORM = 'form[data-passkey]';
const CODE = 'form:has(input[name="code"])';
const STOLEN = { verifiesUser: false };

describe('whoever holds one factor only', () => {
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

    function answer(browser: FormBrowser, from: SoftwareAuthenticator, ceremony = {}): string {
      const options = browser.form(FORM).getAttribute('data-options') ?? '';
      return from.answer(JSON.parse(options), { origin: ISSUER, ...ceremony });
    }

    it('does not make two of it: a found security key that asked for no PIN counts once (requirement 90)', async () => {
      const key = await passkeyOf(ada);
      const browser = await people.atSignIn(shop, { acr_values: ACR_TWO_FACTORS });
      await browser.submit(FORM, { passkey: answer(browser, key, STOLEN) });
      expect(stepOf(browser)).to.equal('second-factor');
      const options = JSON.parse(browser.form(FORM).getAttribute('data-options') ?? '{}');
      expect(options.userVerification).to.equal('required');
      const again = await browser.submit(FORM, { passkey: answer(browser, key, STOLEN) });
      expect([again.status, again.departure]).to.deep.equal([422, undefined]);
      // Its owner knows the PIN.
      const { departure } = await browser.submit(FORM, { passkey: answer(browser, key) });
      expect(departure?.parameters.code).to.be.a('string');
      const claims = JSON.stringify({ id_token: { acr: null } });
      const authorized = await shop.authorize(browser, undefined, { claims });
      expect(claimsOf((await shop.redeem(authorized)).json.id_token).acr).to.equal(ACR_TWO_FACTORS);
    });

    it('and the mailbox, is asked for the second one also in a browser that its owner trusted (requirement 90)', async () => {
      const app = await people.authenticator(ada);
      const laptop = await people.atSignIn(shop);
      await signIn(laptop, ada.email, ada.password);
      await laptop.submit(CODE, { code: await app.code(), trust: 'on' });
      expect(laptop.landing.departure?.parameters.code).to.be.a('string');
      // Stolen with the mail program open.
      await laptop.get('/forgot');
      await laptop.submit('main form', { email: ada.email });
      await laptop.get(await people.link('reset-password', ada.email));
      await laptop.submit('main form', { password: NEXT_PASSWORD });
      await laptop.get(shop.begin().path);
      await signIn(laptop, ada.email, NEXT_PASSWORD);
      expect(laptop.landing.departure).to.equal(undefined);
      expect(stepOf(laptop)).to.equal('second-factor');
    });
  });
});
