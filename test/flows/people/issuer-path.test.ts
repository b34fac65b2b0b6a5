import { expect } from 'chai';
import { forEachDatabase } from '../../support/databases.js';
import { FormBrowser, roundRobin } from '../../support/form-browser.js';
import { allow, heading, PeopleScene, signIn } from './people-scene.js';

const ISSUER = 'http://localhost:4400/people/eu';

describe('pages of an issuer with a path', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url, env: { CLAVIGER_ISSUER: ISSUER } });
    });

    after(() => people.close());

    it('stay below it, with their forms, cookies and links', async () => {
      const ada = await people.scene.person();
      const shop = await people.scene.relyingParty();
      const browser = new FormBrowser({ issuer: ISSUER, pick: roundRobin(people.scene.cluster.nodes) });
      await browser.get(shop.begin().path);
      expect(browser.landing.url).to.match(/^http:\/\/localhost:4400\/people\/eu\/interaction\//);
      const start = browser.landing.url;
      await browser.submit('form[action$="/locale"]', {}, { button: 'button[value="de"]' });
      expect([browser.landing.url, heading(browser)]).to.deep.equal([start, 'Anmelden']);
      await browser.submit('form[action$="/locale"]', {}, { button: 'button[value="en"]' });
      await browser.follow('Forgot it?');
      await browser.submit('main form', { email: ada.email });
      expect([browser.landing.url, heading(browser)]).to.deep.equal([`${ISSUER}/done`, 'Check your mail']);
      expect(await people.link('reset-password', ada.email)).to.match(
        /^http:\/\/localhost:4400\/people\/eu\/link\?token=/,
      );
      await browser.follow('main a.btn');
      expect(browser.landing.url).to.equal(`${start}/sign-in`);
      await signIn(browser, ada.email, 'another lamp under bridge');
      await signIn(browser, ada.email, ada.password);
      const { departure } = await allow(browser);
      expect(departure?.parameters.iss).to.equal(ISSUER);
      const paths = browser.exchanges.map(({ url }) => new URL(url).pathname);
      expect(paths.filter(path => !path.startsWith('/people/eu/'))).to.deep.equal([]);
      const cookies = browser.exchanges.flatMap(({ headers }) => headers['set-cookie'] ?? []);
      const bound = cookies.filter(line => /^(?:passkey|interaction|resume)=/.test(line));
      expect(bound.length).to.be.greaterThan(2);
      expect(bound.filter(line => !/path=\/people\/eu\//i.test(line))).to.deep.equal([]);
    });
  });
});
