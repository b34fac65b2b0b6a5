import { expect } from 'chai';
import { inviteUser } from '../../../src/users/sign-up.js';
import { forEachDatabase } from '../../support/databases.js';
import { OPERATOR } from '../../support/nodes.js';
import type { RelyingParty } from '../authorization/relying-party.js';
import { allow, heading, NEXT_PASSWORD, PeopleScene, sameness, signIn } from './people-scene.js';

const FORM = 'form:has(input[name="password"])';

describe('making an account', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url, env: { CLAVIGER_USERS_SIGN_UP: 'true' } });
      shop = await people.scene.relyingParty();
    });

    after(() => people.close());

    it('is a stop on the way to the client', async () => {
      const email = 'grace@example.org';
      const browser = await people.atSignIn(shop);
      await browser.follow('a[href$="/sign-up"]');
      await browser.submit(FORM, { name: 'Grace', email, password: NEXT_PASSWORD });
      expect(heading(browser)).to.equal('Check your mail');
      const mailed = browser.window();
      const link = await people.link('verify-email', email);
      await mailed.get(link);
      expect(heading(mailed)).to.not.equal('Address confirmed');
      await mailed.submit('main form');
      expect(heading(mailed)).to.equal('Address confirmed');
      expect((await mailed.get(link)).status).to.equal(410);
      await browser.follow('main a.btn');
      await signIn(browser, email, NEXT_PASSWORD);
      expect((await allow(browser)).departure?.parameters.code).to.be.a('string');
    });

    it('is where prompt=create begins, and those who have an account sign in from there', async () => {
      const ada = await people.scene.person();
      const browser = await people.atSignIn(shop, { prompt: 'create' });
      expect(browser.has('input[autocomplete="new-password"]')).to.equal(true);
      await browser.follow('a[href$="/sign-in"]');
      await signIn(browser, ada.email, ada.password);
      expect((await allow(browser)).departure?.parameters.code).to.be.a('string');
    });

    it('says the same for an address that has an account, whose owner alone is told', async () => {
      const ada = await people.scene.person();
      const seen: string[] = [];
      for (const email of [ada.email, 'new@example.org']) {
        const browser = people.scene.browser();
        await browser.get('/sign-up');
        const landing = await browser.submit(FORM, { name: 'Somebody', email, password: NEXT_PASSWORD });
        seen.push(sameness(landing, email));
      }
      expect(new Set(seen).size).to.equal(1);
      const mails = await people.mails();
      expect(mails.map(({ mail, to }) => [mail, to])).to.deep.equal([
        ['already-registered', ada.email],
        ['verify-email', 'new@example.org'],
      ]);
      const browser = await people.atSignIn(shop);
      expect((await signIn(browser, ada.email, NEXT_PASSWORD)).status).to.equal(422);
    });

    it('names what is wrong, and keeps what was typed, but for the password', async () => {
      const browser = people.scene.browser();
      await browser.get('/sign-up');
      await browser.submit(FORM, { name: 'Ada', email: 'no address', password: 'password' });
      expect(browser.landing.status).to.equal(422);
      expect(browser.has('#email-error')).to.equal(true);
      expect(browser.form(FORM).querySelector('#name')?.getAttribute('value')).to.equal('Ada');
      expect(browser.form(FORM).querySelector('#password')?.getAttribute('value')).to.equal(undefined);
      await browser.submit(FORM, { name: ' ', email: 'a@example.org', password: NEXT_PASSWORD });
      expect(browser.has('#name-error')).to.equal(true);
      await browser.submit(FORM, { name: 'Ada', email: 'a@example.org', password: 'short' });
      expect(browser.has('#password-error')).to.equal(true);
    });

    it('by invitation takes the address of the invitation, once', async () => {
      const email = 'guest@example.org';
      const context = await people.scene.context();
      await inviteUser(context, { email, name: 'Guest' }, { actor: OPERATOR });
      const link = await people.link('invitation', email);
      const browser = people.scene.browser();
      await browser.get(link);
      expect(browser.form(FORM).querySelector('#email')?.hasAttribute('readonly')).to.equal(true);
      await browser.submit(FORM, { email: 'else@example.org', password: NEXT_PASSWORD });
      expect(browser.landing.status).to.equal(200);
      expect((await browser.get(link)).status).to.equal(410);
      const arriving = await people.atSignIn(shop);
      await signIn(arriving, email, NEXT_PASSWORD);
      expect((await allow(arriving)).departure?.parameters.code).to.be.a('string');
    });
  });
});
