import { expect } from 'chai';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser, Landing } from '../../support/form-browser.js';
import { RESOURCE } from '../../support/nodes.js';
import { claimsOf, type Person, type RelyingParty } from '../authorization/relying-party.js';
import { allow, heading, PeopleScene, signIn } from './people-scene.js';

const FORM = 'form:has(button[value="allow"])';

describe('consent (requirement 21)', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url });
      shop = await people.scene.relyingParty({
        oidcScopes: ['openid', 'profile', 'phone', 'offline_access'],
        grantTypes: ['authorization_code', 'refresh_token'],
        resources: [
          { identifier: RESOURCE, scopes: ['orders.read', 'orders.write'], defaultScopes: ['orders.read'] },
        ],
      });
    });

    beforeEach(async () => {
      ada = await people.scene.person();
    });

    after(() => people.close());

    async function asked(
      scope: string,
    ): Promise<{ browser: FormBrowser; request: ReturnType<typeof shop.begin> }> {
      const browser = people.scene.browser();
      const request = shop.begin({ scope });
      await browser.get(request.path);
      await signIn(browser, ada.email, ada.password);
      expect(browser.has(FORM)).to.equal(true);
      return { browser, request };
    }

    async function tokensOf(landing: Landing, request: ReturnType<typeof shop.begin>) {
      const code = landing.departure?.parameters.code ?? '';
      return (await shop.redeem({ request, code })).json;
    }

    it('shows who asks, for what, where, for how long, and what stays closed', async () => {
      const { browser } = await asked('openid profile offline_access orders.read');
      const text = browser.landing.root.querySelector('main')?.textContent ?? '';
      for (const words of ['Order desk', ada.email, RESOURCE, 'orders.read', 'orders.write', '30 days']) {
        expect(text).to.contain(words);
      }
      const { browser: short } = await asked('openid profile orders.read');
      expect(short.landing.text).to.not.contain('30 days');
    });

    it('gives what was asked for when all boxes stay ticked', async () => {
      const scope = 'openid phone offline_access orders.read orders.write';
      const { browser, request } = await asked(scope);
      const tokens = await tokensOf(await allow(browser), request);
      expect(claimsOf(tokens.access_token).scope).to.contain('orders.read').and.contain('orders.write');
      expect(tokens.refresh_token).to.be.a('string');
    });

    it('gives less when boxes are cleared, and asks no more about them in this request', async () => {
      const { browser, request } = await asked('openid phone offline_access orders.read orders.write');
      const boxes = browser.form(FORM).querySelectorAll('input[name="scope"]');
      expect(boxes.map(box => box.getAttribute('value')).sort()).to.deep.equal([
        `${RESOURCE} orders.write`,
        'offline_access',
        'phone',
      ]);
      const landing = await browser.submit(FORM, { scope: [] }, { button: 'button[value="allow"]' });
      const tokens = await tokensOf(landing, request);
      expect(claimsOf(tokens.access_token).scope).to.contain('orders.read').and.not.contain('orders.write');
      expect(tokens.refresh_token).to.equal(undefined);
      expect(tokens.scope).to.not.contain('phone');
    });

    it('gives nothing that was not asked for, whatever the form says', async () => {
      const { browser, request } = await asked('openid orders.read');
      const { url } = browser.landing;
      const csrf = browser.form(FORM).querySelector('[name="csrf"]')?.getAttribute('value') ?? '';
      const fields = { csrf, answer: 'allow', scope: `${RESOURCE} orders.write` };
      const landing = await browser.post(`${url}/consent`, fields, { from: 'http://localhost:4400' });
      const tokens = await tokensOf(landing, request);
      expect(claimsOf(tokens.access_token).scope).to.not.contain('orders.write');
    });

    it('tells the client when the person says no, and stores nothing', async () => {
      const { browser } = await asked('openid orders.read');
      const { departure } = await browser.submit(FORM, {}, { button: 'button[value="deny"]' });
      expect(departure?.parameters.error).to.equal('access_denied');
      await browser.get(shop.begin({ scope: 'openid orders.read' }).path);
      expect(browser.has(FORM)).to.equal(true);
    });

    it('takes anything but a clear yes as a no', async () => {
      const { browser } = await asked('openid orders.read');
      const { url } = browser.landing;
      const csrf = browser.form(FORM).querySelector('[name="csrf"]')?.getAttribute('value') ?? '';
      const { departure } = await browser.post(`${url}/consent`, { csrf }, { from: 'http://localhost:4400' });
      expect(departure?.parameters.error).to.equal('access_denied');
    });

    it('is no answer before the person has signed in', async () => {
      const browser = await people.atSignIn(shop);
      const { url } = browser.landing;
      const csrf = browser.form().querySelector('[name="csrf"]')?.getAttribute('value') ?? '';
      await browser.post(`${url}/consent`, { csrf, answer: 'allow' }, { from: 'http://localhost:4400' });
      expect([heading(browser), browser.landing.departure]).to.deep.equal(['Sign in', undefined]);
    });

    it('lets somebody else sign in, who is asked themselves', async () => {
      const { browser, request } = await asked('openid orders.read');
      await browser.submit('form[action$="/switch"]');
      expect(heading(browser)).to.equal('Sign in');
      const eve = await people.scene.person();
      await signIn(browser, eve.email, eve.password);
      // The core ends the other session by a page that sends itself on; here scripts are off.
      if (!browser.has(FORM)) await browser.submit('form[action$="/logout/confirm"]');
      const tokens = await tokensOf(await allow(browser), request);
      expect(claimsOf(tokens.id_token).sub).to.equal(eve.userId);
    });
  });
});
