import { expect } from 'chai';
import { disableUser, lockUser } from '../../../src/users/change-user.js';
import { forEachDatabase } from '../../support/databases.js';
import { OPERATOR } from '../../support/nodes.js';
import type { Person, RelyingParty } from '../authorization/relying-party.js';
import { faults, heading, PeopleScene, sameness, signIn, stepOf, WRONG } from './people-scene.js';

describe('signing in with a password', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url });
      shop = await people.scene.relyingParty({ isFirstParty: true });
      ada = await people.scene.person();
    });

    after(() => people.close());

    it('says the same, with the same status, of an unknown account, a wrong password, and one that may not be used', async () => {
      const context = await people.scene.context();
      const locked = await people.scene.person();
      await lockUser(context, locked, { actor: OPERATOR });
      const disabled = await people.scene.person();
      await disableUser(context, disabled, { actor: OPERATOR });
      const passwordless = await people.scene.person({ password: undefined });
      const tries: readonly (readonly [email: string, password: string])[] = [
        ['nobody@example.org', ada.password],
        [ada.email, WRONG],
        [locked.email, locked.password],
        [locked.email, WRONG],
        [disabled.email, disabled.password],
        [passwordless.email, ada.password],
        ['not an address', ada.password],
      ];
      const seen: string[] = [];
      for (const [email, password] of tries) {
        const browser = await people.atSignIn(shop);
        const landing = await signIn(browser, email, password);
        expect(landing.status, email).to.equal(422);
        expect(faults(browser)).to.contain('E-mail and password do not match');
        seen.push(sameness(landing, email));
      }
      expect(new Set(seen).size).to.equal(1);
      expect(await people.refusals()).to.deep.equal([
        'unknown_account',
        'wrong_password',
        'locked',
        'wrong_password',
        'disabled',
        'wrong_password',
        'unknown_account',
      ]);
    });

    it('answers a right password with 303, so that no browser sends it on (requirement 6)', async () => {
      const browser = await people.atSignIn(shop);
      const { departure } = await signIn(browser, ada.email, ada.password);
      expect(departure?.parameters.code).to.be.a('string');
      const posted = browser.exchanges.filter(({ method }) => method === 'POST');
      expect(posted.map(({ status }) => status)).to.deep.equal([303]);
    });

    it('takes the address however it is typed', async () => {
      const browser = await people.atSignIn(shop);
      const { departure } = await signIn(browser, `  ${ada.email.toUpperCase()} `, ada.password);
      expect(departure?.parameters.code).to.be.a('string');
    });

    it('names the empty fields, and keeps what was typed', async () => {
      const browser = await people.atSignIn(shop);
      expect((await signIn(browser, ada.email, '')).status).to.equal(422);
      expect(browser.form().querySelector('#email')?.getAttribute('value')).to.equal(ada.email);
      expect(browser.has('#password-error')).to.equal(true);
      await signIn(browser, ' ', '');
      expect(browser.has('#email-error') && browser.has('#password-error')).to.equal(true);
    });

    it('shows login_hint, if it is an address', async () => {
      const hinted = await people.atSignIn(shop, { login_hint: 'ada@example.org' });
      expect(hinted.form().querySelector('#email')?.getAttribute('value')).to.equal('ada@example.org');
      const other = await people.atSignIn(shop, { login_hint: '"><script>alert(1)</script>' });
      expect(other.form().querySelector('#email')?.getAttribute('value')).to.equal(undefined);
      expect(other.landing.text).to.not.contain('alert(1)');
    });

    it('speaks the language that the client asks for, until the person chooses another', async () => {
      const browser = await people.atSignIn(shop, { ui_locales: 'de en' });
      expect(browser.landing.root.querySelector('html')?.getAttribute('lang')).to.equal('de');
      await browser.submit('form[action$="/locale"]', {}, { button: 'button[value="en"]' });
      expect(browser.landing.root.querySelector('html')?.getAttribute('lang')).to.equal('en');
      expect((await signIn(browser, ada.email, ada.password)).departure?.parameters.code).to.be.a('string');
    });

    it('makes the session, which has another id after the next one (requirement 17)', async () => {
      const browser = await people.atSignIn(shop);
      expect((await browser.cookies()).session).to.equal(undefined);
      await signIn(browser, ada.email, ada.password);
      const held = (await browser.cookies()).session;
      expect(held).to.be.a('string');
      const request = shop.begin({ prompt: 'login' });
      await browser.get(request.path);
      await signIn(browser, ada.email, ada.password);
      expect((await browser.cookies()).session)
        .to.be.a('string')
        .and.not.equal(held);
    });

    it('asks again for the password of who is signed in, and lets somebody else in, too', async () => {
      const browser = await people.atSignIn(shop);
      await signIn(browser, ada.email, ada.password);
      await browser.get(shop.begin({ prompt: 'login' }).path);
      expect(heading(browser)).to.equal('Confirm it is you');
      const field = browser.form().querySelector('#email');
      expect(field?.getAttribute('value')).to.equal(ada.email);
      expect(field?.hasAttribute('readonly')).to.equal(true);
      await browser.follow('Not you?');
      expect([heading(browser), stepOf(browser)]).to.deep.equal(['Sign in', 'sign-in']);
      expect(browser.form().querySelector('#email')?.hasAttribute('readonly')).to.equal(false);
      const eve = await people.scene.person();
      await signIn(browser, eve.email, eve.password);
      // The core ends the other session by a page that sends itself on; here scripts are off.
      const { departure } = await browser.submit('form[action$="/logout/confirm"]');
      expect(departure?.parameters.code).to.be.a('string');
      expect(await people.subjectOf(shop, browser)).to.equal(eve.userId);
    });

    it('tells the client when the person cancels', async () => {
      const browser = await people.atSignIn(shop);
      const { departure } = await browser.submit('form[action$="/cancel"]');
      expect(departure?.parameters).to.include({ error: 'access_denied', iss: 'http://localhost:4400' });
    });

    it('offers no sign-up where there is none', async () => {
      const browser = await people.atSignIn(shop);
      expect(browser.has('a[href$="/sign-up"]')).to.equal(false);
      for (const path of ['/sign-up', `${new URL(browser.landing.url).pathname}/sign-up`]) {
        expect((await browser.get(path)).status).to.equal(404);
      }
    });

    it('refuses a form of a foreign site with 403 (requirement 18)', async () => {
      const browser = await people.atSignIn(shop);
      const csrf = browser.form().querySelector('[name="csrf"]')?.getAttribute('value') ?? '';
      const { url } = browser.landing;
      const fields = { email: ada.email, password: ada.password, csrf };
      expect((await browser.post(url, fields, { from: 'https://evil.example' })).status).to.equal(403);
      expect((await browser.cookies()).session).to.equal(undefined);
    });
  });
});
