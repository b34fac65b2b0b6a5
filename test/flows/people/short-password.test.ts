import { expect } from 'chai';
import { setPassword } from '../../../src/users/set-password.js';
import { removeTotp } from '../../../src/users/totp.js';
import { forEachDatabase } from '../../support/databases.js';
import type { Person, RelyingParty } from '../authorization/relying-party.js';
import { faults, heading, NEXT_PASSWORD, PeopleScene, signIn, stepOf } from './people-scene.js';

/** Twelve characters: enough beside a second factor, and for nothing else. */
const SHORT = 'ferret lamps';
const PASSWORD_FORM = 'form:has(input[autocomplete="new-password"])';

describe('a password that has become too short (requirement 86)', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });
    after(() => people.close());

    /** Chose a short password beside an authenticator app, which is gone. */
    async function careless(): Promise<Person> {
      const person = await people.scene.person();
      const context = await people.scene.context();
      await people.authenticator(person);
      const acting = { actor: `user:${person.userId}` } as const;
      await setPassword(context, { userId: person.userId, password: SHORT }, acting);
      await removeTotp(context, person.userId, acting);
      await people.tick();
      return { ...person, password: SHORT };
    }

    it('opens nothing before its owner has chosen a longer one', async () => {
      const ada = await careless();
      const browser = await people.atSignIn(shop);
      const { departure } = await signIn(browser, ada.email, ada.password);
      expect(departure).to.equal(undefined);
      expect(stepOf(browser)).to.equal('new-password');
      expect(heading(browser)).to.equal('Choose a new password');
      expect(browser.landing.text)
        .to.include('too short for how you sign in now')
        .and.include('minlength="15"');
      // There is no session yet.
      const other = browser.window();
      await other.get('/account');
      expect(stepOf(other)).to.equal('');
      expect(other.has('input[name="password"]')).to.equal(true);
      await browser.submit(PASSWORD_FORM, { password: SHORT });
      expect(browser.landing.status).to.equal(422);
      expect(faults(browser)).to.include('15');
      const done = await browser.submit(PASSWORD_FORM, { password: NEXT_PASSWORD });
      expect(done.departure?.parameters.code, browser.describe()).to.be.a('string');
      const later = await people.atSignIn(shop);
      await signIn(later, ada.email, SHORT);
      expect(later.landing.status).to.equal(422);
      expect((await signIn(later, ada.email, NEXT_PASSWORD)).departure?.parameters.code).to.be.a('string');
    });

    it('is good again beside a second factor that is set up on the way', async () => {
      const ada = await careless();
      const { code } = await people.authenticator(ada);
      const browser = await people.atSignIn(shop);
      await signIn(browser, ada.email, SHORT);
      expect(stepOf(browser)).to.equal('second-factor');
      const { departure } = await browser.submit('input[name="code"]', { code: await code() });
      expect(departure?.parameters.code, browser.describe()).to.be.a('string');
    });

    it('is replaced by its owner only: who knows an old one is stopped by a change meanwhile', async () => {
      const ada = await careless();
      const thief = await people.atSignIn(shop);
      await signIn(thief, ada.email, SHORT);
      expect(stepOf(thief)).to.equal('new-password');
      const owner = await people.atSignIn(shop);
      await signIn(owner, ada.email, SHORT);
      await owner.submit(PASSWORD_FORM, { password: NEXT_PASSWORD });
      await thief.submit(PASSWORD_FORM, { password: 'three dull pianos waited' });
      expect(thief.landing.departure).to.equal(undefined);
      // What was under way ended with the old password.
      expect(stepOf(thief), thief.describe()).to.equal('');
      expect(thief.has('input[autocomplete="current-password"]')).to.equal(true);
      const later = await people.atSignIn(shop);
      expect((await signIn(later, ada.email, NEXT_PASSWORD)).departure?.parameters.code).to.be.a('string');
    });

    it('is replaced in a browser that is signed in, and the client that asks again gets its answer', async () => {
      const ada = await careless();
      const browser = await people.atSignIn(shop);
      await signIn(browser, ada.email, SHORT);
      await browser.submit(PASSWORD_FORM, { password: NEXT_PASSWORD });
      const context = await people.scene.context();
      const acting = { actor: `user:${ada.userId}` } as const;
      await people.authenticator(ada);
      await setPassword(context, { userId: ada.userId, password: SHORT, keepOtherSessions: true }, acting);
      await removeTotp(context, ada.userId, acting);
      await people.moveBy(2);
      await browser.get(shop.begin({ prompt: 'login' }).path, { from: 'https://rp.example.test' });
      await browser.submit('input[name="password"]', { password: SHORT });
      expect(stepOf(browser), browser.describe()).to.equal('new-password');
      const done = await browser.submit(PASSWORD_FORM, { password: NEXT_PASSWORD });
      expect(done.departure?.parameters.code, browser.describe()).to.be.a('string');
    });
  });
});
