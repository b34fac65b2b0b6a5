import { expect } from 'chai';
import { forEachDatabase } from '../../support/databases.js';
import { get } from '../../support/nodes.js';
import { claimsOf, type RelyingParty, Scene, walk } from './relying-party.js';

describe('what a client may wish for the pages', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let shop: RelyingParty;

    before(async () => {
      const { url } = await fresh();
      scene = await Scene.open({ url, env: { CLAVIGER_USERS_SIGN_UP: 'true' } }, { hasTimers: false });
      shop = await scene.relyingParty();
    });

    after(() => scene.close());

    it('is a new account: prompt=create begins with signing up, and ends with its code', async () => {
      const browser = scene.browser();
      const request = shop.begin({ prompt: 'create' });
      await browser.get(request.path);
      expect(browser.has('input[name="name"]'), browser.describe()).to.equal(true);
      const { url } = browser.landing;
      const person = { userId: '', email: 'new@example.org', password: 'ferret lamp under bridge' };
      await browser.submit('form:has(input[name="name"])', {
        name: 'Grace Hopper',
        email: person.email,
        password: person.password,
      });
      const { database, outbox } = await scene.context();
      const [claimed] = await outbox.take(database, 'mail', 10);
      if (claimed === undefined) throw new Error('no mail');
      const delivery = outbox.open(claimed);
      if (delivery.kind !== 'mail' || !('url' in delivery.values)) throw new Error('no link in the mail');
      const link = String(delivery.values.url);
      expect(delivery).to.include({ mail: 'verify-email', to: person.email });
      // Opened wherever the mail is read.
      const reader = scene.browser();
      await reader.get(link);
      await reader.submit('main form');
      expect(reader.landing.status, reader.describe()).to.equal(200);
      await browser.get(`${url}/sign-in`);
      const { departure } = await walk(browser, person);
      expect(departure?.parameters.state, browser.describe()).to.equal(request.parameters.state);
      const answer = await shop.redeem({ request, code: String(departure?.parameters.code) });
      expect(claimsOf(answer.json.id_token).sub).to.match(/^us_/);
    });

    it('is offered as discovery says', async () => {
      const { json } = await get(scene.node, '/.well-known/openid-configuration');
      expect(json.prompt_values_supported).to.include('create');
    });

    it('is a new account even for who is signed in', async () => {
      const browser = scene.browser();
      await shop.authorize(browser, await scene.person());
      await browser.get(shop.begin({ prompt: 'create' }).path);
      expect(browser.has('input[name="name"]'), browser.describe()).to.equal(true);
    });

    it('is a language: ui_locales before what the browser says, and nothing that is unknown', async () => {
      for (const [ui_locales, languages, lang] of [
        ['de', 'en', 'de'],
        ['de-AT fr', 'en', 'de'],
        ['xx de', 'en', 'de'],
        ['xx', 'de', 'de'],
        [undefined, 'de-CH,de;q=0.9', 'de'],
        ['"><script>', 'en', 'en'],
      ] as const) {
        const browser = scene.browser(languages);
        await browser.get(shop.begin({ ui_locales }).path);
        const said = browser.landing.root.querySelector('html')?.getAttribute('lang');
        expect(said, `${ui_locales} ${languages}`).to.equal(lang);
      }
    });

    it('is an address to begin with: login_hint, as text', async () => {
      const browser = scene.browser();
      await browser.get(shop.begin({ login_hint: 'ada@example.org' }).path);
      expect(
        browser
          .form('form:has(input[name="password"])')
          .querySelector('input[name="email"]')
          ?.getAttribute('value'),
      ).to.equal('ada@example.org');
    });
  });
});
