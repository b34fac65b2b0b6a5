import { expect } from 'chai';
import {
  type Authorized,
  ask,
  claimsOf,
  type Parameters,
  type Person,
  type RelyingParty,
  Scene,
  userinfo,
  walk,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import { basic, post, RESOURCE } from '../../support/nodes.js';

describe('whether a person is asked', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;
    let time: MovedTime;

    before(async () => {
      time = installMovedTime();
      const { clock, databaseClockOffset } = time;
      scene = await Scene.open({ url: (await fresh()).url, clock, databaseClockOffset });
      person = await scene.person();
      shop = await scene.relyingParty();
    });

    after(async () => {
      await scene.close();
      time.restore();
    });

    const authTimeOf = async (party: RelyingParty, authorized: Pick<Authorized, 'request' | 'code'>) =>
      Number(claimsOf((await party.redeem(authorized)).json.id_token).auth_time);

    it('is never with prompt=none: no page, and no scope that was not allowed (requirement 19)', async () => {
      const browser = scene.browser();
      const silently = async (parameters: Parameters = {}) => {
        const landing = await browser.get(shop.begin({ prompt: 'none', ...parameters }).path);
        expect(landing.departure, browser.describe()).to.not.equal(undefined);
        return landing.departure?.parameters ?? {};
      };
      expect((await silently()).error).to.equal('login_required');
      await browser.get(shop.begin({ scope: 'openid' }).path);
      await browser.submit('form:has(input[name="password"])', {
        email: person.email,
        password: person.password,
      });
      expect((await silently()).error).to.be.oneOf(['consent_required', 'interaction_required']);
      await browser.get(shop.begin({ scope: 'openid orders.read' }).path);
      await walk(browser, person);
      expect((await silently()).code).to.be.a('string');
      for (const scope of [
        'openid orders.read orders.write',
        'openid email orders.read',
        'openid offline_access',
      ]) {
        expect((await silently({ scope })).error, scope).to.be.oneOf([
          'consent_required',
          'interaction_required',
        ]);
      }
      const claims = JSON.stringify({ userinfo: { phone_number: null } });
      expect((await silently({ claims })).error).to.be.oneOf(['consent_required', 'interaction_required']);
      expect((await silently({ max_age: '0' })).error).to.equal('login_required');
      const pages = browser.exchanges.filter(({ url, headers }) => {
        return (
          url.includes('prompt=none') &&
          /html/.test(headers['content-type'] ?? '') &&
          headers.location === undefined
        );
      });
      expect(pages).to.have.length(0);
    });

    it('silently, about somebody else, is refused (requirement 19)', async () => {
      const [browser, other] = [scene.browser(), scene.browser()];
      const mine = await shop.tokens(browser, person);
      const theirs = await shop.tokens(other, await scene.person());
      const hinted = async (hint: unknown) =>
        (await browser.get(shop.begin({ prompt: 'none', id_token_hint: String(hint) }).path)).departure
          ?.parameters;
      expect((await hinted(mine.json.id_token))?.code).to.be.a('string');
      expect((await hinted(theirs.json.id_token))?.error).to.equal('login_required');
      expect((await hinted(theirs.json.access_token))?.error).to.be.a('string');
    });

    it('again with prompt=login and max_age, after which auth_time is later (requirement 19)', async () => {
      const browser = scene.browser();
      const first = await authTimeOf(shop, await shop.authorize(browser, person, { max_age: '3600' }));
      time.moveBy(120);
      const same = await authTimeOf(shop, await shop.authorize(browser, undefined, { max_age: '3600' }));
      expect(same, 'nobody had to sign in').to.equal(first);
      for (const parameters of [{ max_age: '60' }, { prompt: 'login', max_age: '3600' }, { max_age: '0' }]) {
        time.moveBy(120);
        const request = shop.begin(parameters);
        await browser.get(request.path);
        expect(browser.has('input[name="password"]'), JSON.stringify(parameters)).to.equal(true);
        // Not by the Back button, nor by the resumption, past the password.
        const uid = new URL(browser.landing.url).pathname.split('/').at(-1);
        const window = browser.window();
        await window.get(`/oauth2/authorize/${uid}`);
        expect(window.landing.departure?.parameters.code, 'resumed without a password').to.equal(undefined);
        await browser.get(request.path);
        const landing = await walk(browser, person);
        const code = String(landing.departure?.parameters.code);
        const later = await authTimeOf(shop, { request, code });
        expect(later, JSON.stringify(parameters)).to.be.at.least(first + 110);
      }
      for (const max_age of ['-1', 'x', '1.5', '99999999999999999999']) {
        const landing = await browser.get(shop.begin({ max_age }).path);
        expect(landing.departure?.parameters.error, max_age).to.equal('invalid_request');
      }
    });

    it('again, when the client always wants it so (default_max_age)', async () => {
      const strict = await scene.relyingParty({ defaultMaxAge: 60, requireAuthTime: true });
      const browser = scene.browser();
      const first = await authTimeOf(strict, await strict.authorize(browser, person));
      expect(first).to.be.a('number');
      time.moveBy(61);
      await browser.get(strict.begin().path);
      expect(browser.has('input[name="password"]')).to.equal(true);
    });

    it('each time for a native client, which anybody can pose as, even if it was allowed before (requirement 20)', async () => {
      const native = await scene.relyingParty({
        authMethod: 'none',
        applicationType: 'native',
        redirectUris: ['http://127.0.0.1/callback'],
      });
      const browser = scene.browser();
      for (let count = 0; count < 3; count += 1) {
        await browser.get(native.begin().path);
        if (count === 0) {
          await browser.submit('form:has(input[name="password"])', {
            email: person.email,
            password: person.password,
          });
        }
        expect(browser.has('button[value="allow"]'), `time ${count}`).to.equal(true);
        await walk(browser, person);
        expect(browser.landing.departure?.parameters.code).to.be.a('string');
      }
      const silent = await browser.get(native.begin({ prompt: 'none' }).path);
      expect(silent.departure?.parameters.error).to.be.oneOf(['interaction_required', 'consent_required']);
    });

    it('with everything they need to know: who, what, where and for how long (requirement 21)', async () => {
      const browser = scene.browser();
      const desk = await scene.relyingParty({ name: 'Fjord & <b>Co</b>' });
      await browser.get(desk.begin({ scope: 'openid email orders.read offline_access' }).path);
      await browser.submit('form:has(input[name="password"])', {
        email: person.email,
        password: person.password,
      });
      const text = (browser.landing.root.querySelector('main')?.structuredText ?? '').replace(/\s+/g, ' ');
      expect(text).to.include('Fjord & <b>Co</b>').and.to.include(person.email);
      expect(text).to.include('orders.read').and.to.include('https://api.example.test/orders');
      expect(text).to.match(/\d+ (?:days|hours|weeks|months|minutes)/);
      // What is denied is told to the client and gives nothing.
      await browser.submit('form:has(button[value="deny"])', {}, { button: 'button[value="deny"]' });
      expect(browser.landing.departure?.parameters.error).to.equal('access_denied');
    });

    it('scope by scope, where the client can do without: what is not ticked is not granted, nor what was not asked', async () => {
      const desk = await scene.relyingParty({
        resources: [
          { identifier: RESOURCE, scopes: ['orders.read', 'orders.write'], defaultScopes: ['orders.read'] },
        ],
      });
      const browser = scene.browser();
      const request = desk.begin({ scope: 'openid orders.read orders.write offline_access' });
      await browser.get(request.path);
      await browser.submit('form:has(input[name="password"])', {
        email: person.email,
        password: person.password,
      });
      const scope = [`${RESOURCE} admin`, 'phone', 'https://other.example.test/ orders.write'];
      await browser.submit('form:has(button[value="allow"])', { scope }, { button: 'button[value="allow"]' });
      const code = String(browser.landing.departure?.parameters.code);
      const { json, status, text } = await desk.redeem({ request, code });
      expect(status, text).to.equal(200);
      expect(String(claimsOf(json.access_token).scope).split(' ').sort()).to.deep.equal([
        'openid',
        'orders.read',
      ]);
      expect(json.refresh_token).to.equal(undefined);
      // A refusal stands until somebody is asked again.
      const silent = desk.begin({ scope: 'openid orders.read orders.write', prompt: 'none' });
      const landing = await browser.get(silent.path);
      const same = await desk.redeem({ request: silent, code: String(landing.departure?.parameters.code) });
      expect(String(claimsOf(same.json.access_token).scope)).to.not.include('orders.write');
      const asked = desk.begin({ scope: 'openid orders.read orders.write', prompt: 'consent' });
      await browser.get(asked.path);
      expect(browser.has('button[value="allow"]'), browser.describe()).to.equal(true);
      const { departure } = await walk(browser, undefined);
      const full = await desk.redeem({ request: asked, code: String(departure?.parameters.code) });
      expect(String(claimsOf(full.json.access_token).scope)).to.include('orders.write');
    });

    it('and can take it back: every token of the client is dead at once (requirement 21)', async () => {
      const browser = scene.browser();
      const named = await scene.relyingParty({ name: 'Tide tables' });
      const answer = await named.tokens(browser, person, { scope: 'openid orders.read offline_access' });
      const other = await shop.tokens(browser, person);
      await browser.get('/account/access');
      await walk(browser, person);
      expect(browser.landing.text, browser.describe()).to.include('Tide tables');
      const form = `form:has(input[value="${named.client.clientId}"])`;
      await browser.submit(form);
      expect(browser.landing.status, browser.describe()).to.equal(200);
      const caller = { clientId: named.client.clientId, clientSecret: named.client.clientSecret ?? '' };
      const introspected = await post(
        scene.node,
        '/oauth2/introspect',
        { token: String(answer.json.access_token) },
        basic(caller),
      );
      expect(introspected.json).to.deep.equal({ active: false });
      expect((await userinfo(scene.node, answer.json.access_token)).status).to.equal(401);
      expect((await named.refresh(answer.json.refresh_token)).json.error).to.equal('invalid_grant');
      expect((await userinfo(scene.node, other.json.access_token)).status, 'of another client').to.equal(200);
      // Asked anew.
      await browser.get(named.begin({ scope: 'openid orders.read offline_access' }).path);
      expect(browser.has('button[value="allow"]')).to.equal(true);
      expect((await ask(scene.node, '/account/access')).status).to.not.equal(200);
    });
  });
});
