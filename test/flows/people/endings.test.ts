import { expect } from 'chai';
import { forEachDatabase } from '../../support/databases.js';
import type { Person, RelyingParty } from '../authorization/relying-party.js';
import { allow, heading, interactionOf, PeopleScene, signIn } from './people-scene.js';

const EXPIRED = 'This page has expired';

describe('a sign-in that does not end as planned', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let ada: Person;

    // Nobody has allowed anything yet.
    beforeEach(async () => {
      ada = await people.scene.person();
    });

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url, nodes: 2 });
      shop = await people.scene.relyingParty();
    });

    after(() => people.close());

    it('cannot be continued in another browser than the one where it began (requirement 17)', async () => {
      const attacker = await people.atSignIn(shop);
      const link = attacker.landing.url;
      const victim = people.scene.browser();
      const { status } = await victim.get(link, { from: 'https://evil.example' });
      expect([status, heading(victim)]).to.deep.equal([400, EXPIRED]);
      // Nor with an interaction of the victim's own open in the same browser.
      const busy = await people.atSignIn(shop);
      const csrf = busy.form().querySelector('[name="csrf"]')?.getAttribute('value') ?? '';
      const fields = { csrf, email: ada.email, password: ada.password };
      const answer = await busy.post(link, fields, { from: 'http://localhost:4400' });
      expect([answer.status, heading(busy)]).to.deep.equal([400, EXPIRED]);
      expect((await busy.cookies()).session).to.equal(undefined);
      // Nor is the attacker signed in by it.
      await attacker.get(link);
      expect(attacker.landing.departure).to.equal(undefined);
    });

    it('ends with the page that says so, and a way on, when it has expired', async () => {
      const browser = await people.atSignIn(shop);
      const { url } = browser.landing;
      await people.moveBy(3601);
      const landing = await signIn(browser, ada.email, ada.password);
      expect([landing.status, heading(browser)]).to.deep.equal([400, EXPIRED]);
      expect(browser.landing.root.querySelector('main a.btn')?.getAttribute('href')).to.equal('/account');
      expect((await browser.get(url)).status).to.equal(400);
    });

    it('leaves each of several tabs its own', async () => {
      const first = await people.atSignIn(shop);
      const second = first.window();
      await second.get(shop.begin().path);
      expect(interactionOf(second)).to.not.equal(interactionOf(first));
      await signIn(first, ada.email, ada.password);
      await allow(first);
      expect(first.landing.departure?.parameters.code).to.be.a('string');
      const { departure } = await signIn(second, ada.email, ada.password);
      expect(departure?.parameters.code).to.be.a('string');
    });

    it('takes a form that is sent twice as sent once', async () => {
      const browser = await people.atSignIn(shop);
      const twin = browser.window();
      await twin.get(browser.landing.url);
      await signIn(browser, ada.email, ada.password);
      const again = await signIn(twin, ada.email, ada.password);
      expect([again.status, heading(twin)]).to.deep.equal([400, EXPIRED]);
      // The first goes on, undisturbed; the same holds for the answer of a consent.
      const twice = browser.window();
      await twice.get(browser.landing.url);
      expect((await allow(browser)).departure?.parameters.code).to.be.a('string');
      expect([(await allow(twice)).status, heading(twice)]).to.deep.equal([400, EXPIRED]);
    });

    it('answers many simultaneous answers in peace: the client gets a code, and nobody an error of ours', async () => {
      const browser = await people.atSignIn(shop);
      await signIn(browser, ada.email, ada.password);
      const windows = await Promise.all(
        Array.from({ length: 6 }, async () => {
          const window = browser.window();
          await window.get(browser.landing.url);
          return window;
        }),
      );
      const landings = await Promise.all(windows.map(window => allow(window)));
      const ended = landings.map(({ departure, status }) =>
        departure?.parameters.code === undefined ? status : 'code',
      );
      expect(ended).to.include('code');
      expect(ended.filter(end => end !== 'code' && end !== 400)).to.deep.equal([]);
    });

    it('begins again for the Back button, until it is done', async () => {
      const browser = await people.atSignIn(shop);
      const start = browser.landing.url;
      await signIn(browser, 'nobody@example.org', ada.password);
      await browser.get(start);
      expect([browser.landing.status, heading(browser)]).to.deep.equal([200, 'Sign in']);
      await signIn(browser, ada.email, ada.password);
      if (browser.landing.departure === undefined) await allow(browser);
      await browser.get(start);
      expect([browser.landing.status, heading(browser)]).to.deep.equal([400, EXPIRED]);
    });

    it('answers the address of a form with the page the form was on', async () => {
      const browser = await people.atSignIn(shop);
      const start = browser.landing.url;
      for (const step of [
        'passkey',
        'switch',
        'cancel',
        'consent',
        'upstream',
        'second-factor',
        'enrolment',
      ]) {
        await browser.get(`${start}/${step}`);
        expect([browser.landing.url, heading(browser)], step).to.deep.equal([start, 'Sign in']);
      }
      for (const step of ['second-factor/passkey', 'recovery-codes', 'continue']) {
        await browser.get(`${start}/${step}`);
        expect(browser.landing.url, step).to.equal(start);
      }
    });
  });
});
