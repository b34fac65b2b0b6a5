import { expect } from 'chai';
import type { NewClientInput } from '../../../src/clients/change-client.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import { type Answer, ISSUER } from '../../support/nodes.js';
import { claimsOf, fieldsOf, type Person, type RelyingParty, Scene } from './relying-party.js';

const GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const ON_DEVICE: Partial<NewClientInput> = {
  name: 'Wall display',
  authMethod: 'none',
  redirectUris: [],
  grantTypes: [GRANT, 'refresh_token'],
};

describe('a device without a browser (RFC 8628)', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let display: RelyingParty;
    let time: MovedTime;

    beforeEach(async () => {
      time = installMovedTime();
      const { clock, databaseClockOffset } = time;
      const env = { CLAVIGER_RATE_LIMITS: 'production' };
      scene = await Scene.open({ url: (await fresh()).url, clock, databaseClockOffset, env }, { nodes: 2 });
      person = await scene.person();
      display = await scene.relyingParty(ON_DEVICE);
    });

    afterEach(async () => {
      await scene.close();
      time.restore();
    });

    const begin = (scope = 'openid orders.read'): Promise<Answer> =>
      display.post('/oauth2/device', { scope });

    const poll = (deviceCode: unknown, party = display): Promise<Answer> =>
      party.post('/oauth2/token', { grant_type: GRANT, device_code: String(deviceCode) });

    async function enter(browser: FormBrowser, userCode: unknown): Promise<void> {
      await browser.get('/oauth2/device/verify');
      await browser.submit('form:has(input[name="user_code"])', { user_code: String(userCode) });
    }

    const confirm = (browser: FormBrowser): Promise<unknown> =>
      browser.submit('form:has(button[name="confirm"])', {}, { button: 'button[name="confirm"]' });

    /** Signs in and allows, from the page after the code up to the last one. */
    async function finish(browser: FormBrowser): Promise<void> {
      if (browser.has('input[name="password"]')) {
        await browser.submit('form:has(input[name="password"])', fieldsOf(browser, person));
      }
      if (browser.has('button[value="allow"]')) {
        await browser.submit('form:has(button[value="allow"])', {}, { button: 'button[value="allow"]' });
      }
    }

    it('gets tokens after its person has confirmed it elsewhere; until then it waits, at our pace', async () => {
      const { json, status } = await begin('openid orders.read offline_access');
      expect(status).to.equal(200);
      expect(json.user_code).to.match(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
      expect(json.verification_uri).to.equal(`${ISSUER}/oauth2/device/verify`);
      expect(json.verification_uri_complete).to.include(String(json.user_code));
      expect(json).to.include({ interval: 5, expires_in: 600 });
      expect((await poll(json.device_code)).json.error).to.equal('authorization_pending');
      const hasty = await poll(json.device_code);
      expect(hasty.status).to.equal(400);
      expect(hasty.json.error).to.equal('slow_down');
      time.moveBy(6);
      expect((await poll(json.device_code)).json.error).to.equal('authorization_pending');

      const browser = scene.browser();
      await enter(browser, json.user_code);
      const { text } = browser.landing;
      expect(text).to.include('Wall display').and.to.include('orders.read').and.to.include('127.0.0.1');
      time.moveBy(6);
      expect((await poll(json.device_code)).json.error, 'not confirmed yet').to.equal(
        'authorization_pending',
      );
      await confirm(browser);
      await finish(browser);
      expect(browser.landing.status, browser.describe()).to.equal(200);
      time.moveBy(6);
      const tokens = await poll(json.device_code);
      expect(tokens.status, tokens.text).to.equal(200);
      expect(claimsOf(tokens.json.id_token).sub).to.equal(person.userId);
      expect((await display.refresh(tokens.json.refresh_token)).status).to.equal(200);
      time.moveBy(6);
      const again = await poll(json.device_code);
      expect(again.json.error, 'a device code is used once').to.equal('invalid_grant');
    });

    it('is connected by a link, too, but never without a click on what it shows', async () => {
      const { json } = await begin();
      const browser = scene.browser();
      await browser.get(String(json.verification_uri_complete));
      await browser.submit('form');
      expect(browser.has('button[name="confirm"]'), browser.describe()).to.equal(true);
      expect(browser.landing.text).to.include(String(json.user_code));
      expect((await poll(json.device_code)).json.error).to.equal('authorization_pending');
      // Sent from elsewhere, the confirmation is none.
      const other = scene.browser();
      const fields = { user_code: String(json.user_code), confirm: 'yes', xsrf: 'x' };
      const { status } = await other.post('/oauth2/device/verify', fields, { from: 'https://evil.test' });
      expect(status, other.describe()).to.equal(400);
      time.moveBy(6);
      expect((await poll(json.device_code)).json.error).to.equal('authorization_pending');
    });

    it('is refused when its person says so', async () => {
      const { json } = await begin();
      const browser = scene.browser();
      await enter(browser, json.user_code);
      await browser.submit('form:has(button[name="abort"])', {}, { button: 'button[name="abort"]' });
      expect(browser.landing.status, browser.describe()).to.equal(200);
      expect((await poll(json.device_code)).json.error).to.equal('access_denied');
    });

    it('belongs to the browser that has claimed its code: no other can go on with it', async () => {
      const { json } = await begin();
      const [first, second] = [scene.browser(), scene.browser()];
      await enter(first, json.user_code);
      await enter(second, json.user_code);
      await confirm(first);
      const { url } = first.landing;
      await confirm(second);
      expect(second.landing.status, second.describe()).to.equal(422);
      expect(second.has('input[name="password"]')).to.equal(false);
      await enter(second, json.user_code);
      expect(second.has('button[name="confirm"]'), 'entered again').to.equal(false);
      await second.get(url);
      expect(second.landing.status, 'its sign-in elsewhere').to.equal(400);
      await finish(first);
      const tokens = await poll(json.device_code);
      expect(tokens.status, tokens.text).to.equal(200);
    });

    it('is connected once, however many browsers confirm it at the same time', async () => {
      const { json } = await begin();
      const browsers = Array.from({ length: 4 }, () => scene.browser());
      for (const browser of browsers) await enter(browser, json.user_code);
      await Promise.all(browsers.map(browser => confirm(browser).catch(() => undefined)));
      const statuses = browsers.map(({ landing }) => landing.status);
      expect(
        statuses.filter(status => status >= 500),
        statuses.join(' '),
      ).to.have.length(0);
      const claimed = browsers.filter(browser => browser.has('input[name="password"]'));
      expect(claimed.length, statuses.join(' ')).to.equal(1);
    });

    it('is not found by guessing: codes that nobody knows are counted, for all nodes', async () => {
      const { json } = await begin();
      const browser = scene.browser();
      const statuses: number[] = [];
      for (let count = 0; count < 12; count += 1) {
        const guess = `BCDF-GH${'BCDFGHJKLMNP'[count]}X`;
        await browser.get('/oauth2/device/verify');
        await browser.submit('form:has(input[name="user_code"])', { user_code: guess });
        statuses.push(browser.landing.status);
      }
      expect(statuses.slice(0, 10), statuses.join(' ')).to.deep.equal(Array(10).fill(422));
      expect(statuses.slice(10), statuses.join(' ')).to.deep.equal([429, 429]);
      expect(browser.landing.headers['retry-after']).to.match(/^\d+$/);
      // The right one does not help a guesser either, until the time is over.
      await enter(browser, json.user_code);
      expect(browser.landing.status).to.equal(429);
      time.moveBy(16 * 60);
      const { json: next } = await begin();
      await enter(browser, next.user_code);
      expect(browser.has('button[name="confirm"]'), browser.describe()).to.equal(true);
    });

    it('and its code are for its client, for ten minutes', async () => {
      const { json } = await begin();
      const other = await scene.relyingParty(ON_DEVICE);
      expect((await poll(json.device_code, other)).json.error).to.equal('invalid_grant');
      time.moveBy(601);
      expect((await poll(json.device_code)).json.error).to.be.oneOf(['expired_token', 'invalid_grant']);
      const browser = scene.browser();
      await enter(browser, json.user_code);
      expect(browser.landing.status).to.equal(422);
      const without = await scene.relyingParty({ name: 'web only' });
      const refused = await without.post('/oauth2/device', { scope: 'openid' });
      expect(refused.json.error).to.be.oneOf(['unauthorized_client', 'invalid_request']);
    });
  });
});
