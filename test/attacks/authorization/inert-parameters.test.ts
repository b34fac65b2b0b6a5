import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { parse } from 'node-html-parser';
import {
  claimsOf,
  type Person,
  type RelyingParty,
  Scene,
  walk,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { HOSTILE_STATE } from './hostile-text.js';

describe('what a client sends along', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      person = await scene.person();
      shop = await scene.relyingParty();
    });

    after(() => scene.close());

    it('comes back byte for byte: state, and in the ID token nonce, up to 2,048 characters (requirement 13)', async () => {
      const alphabet = `"'><script>alert(1)</script>&amp; +%2B/=?&#\\;,{}|^\`~`;
      const long = alphabet.repeat(60).slice(0, 2048);
      expect(long).to.have.length(2048);
      const browser = scene.browser();
      for (const value of [long, 'x'.repeat(2048), HOSTILE_STATE]) {
        for (const [state, nonce] of [
          [value, 'n'],
          ['s', value],
        ]) {
          const authorized = await shop.authorize(browser, person, { state, nonce });
          expect(authorized.landing.departure?.parameters.state).to.equal(state);
          const answer = await shop.redeem(authorized);
          expect(claimsOf(answer.json.id_token).nonce).to.equal(nonce);
        }
      }
      // Pushed, both at once, and back in a form.
      const pushed = await shop.post('/oauth2/par', {
        ...shop.begin({ state: long, nonce: long, response_mode: 'form_post' }).parameters,
      });
      const { clientId: client_id } = shop.client;
      const query = new URLSearchParams({ client_id, request_uri: String(pushed.json.request_uri) });
      await browser.get(`/oauth2/authorize?${query}`);
      expect(browser.landing.departure?.parameters.state).to.equal(long);
    });

    it('is text on every page on the way, the error page, too: markup in it is inert (requirement 13)', async () => {
      const hostile = HOSTILE_STATE;
      const browser = scene.browser();
      const parameters = {
        state: hostile,
        nonce: hostile,
        login_hint: `<b>x</b>"@example.org`,
        ui_locales: hostile,
        display: 'page',
      };
      await browser.get(shop.begin(parameters).path);
      await walk(browser, person);
      await browser.get(shop.begin({ ...parameters, redirect_uri: hostile }).path);
      await browser.get(shop.begin({ ...parameters, client_id: hostile }).path);
      await browser.get(
        `/oauth2/authorize/${encodeURIComponent(hostile)}?error=${encodeURIComponent(hostile)}`,
      );
      await browser.get(`/oauth2/logout?${new URLSearchParams({ state: hostile, id_token_hint: hostile })}`);
      await browser.get(`/oauth2/device/verify?${new URLSearchParams({ user_code: hostile })}`);
      const pages = browser.exchanges.filter(({ headers }) =>
        /^text\/html/.test(headers['content-type'] ?? ''),
      );
      expect(pages.length).to.be.at.least(5);
      for (const { url, text, headers } of pages) {
        const page = parse(text);
        const policy = String(headers['content-security-policy']);
        const scripts = page.querySelectorAll('script').filter(one => one.getAttribute('src') === undefined);
        for (const { textContent } of scripts) {
          const hash = createHash('sha256').update(textContent).digest('base64');
          expect(policy, url).to.include(`'sha256-${hash}'`);
        }
        expect(page.querySelectorAll('img[onerror],b'), url).to.have.length(0);
        expect(policy, url).to.not.include('unsafe');
      }
    });
  });
});
