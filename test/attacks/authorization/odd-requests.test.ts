import { expect } from 'chai';
import {
  ask,
  type Parameters,
  type Person,
  type RelyingParty,
  Scene,
  walk,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { RESOURCE } from '../../support/nodes.js';

/** What programs send by mistake, and people on purpose. */
const ODD: readonly Parameters[] = [
  ...['null', '[]', '1', '"x"', '{', '{}', '{"userinfo":null}', '{"userinfo":[]}', '{"id_token":null}'].map(
    claims => ({ claims }),
  ),
  ...[
    { userinfo: { email: 1 } },
    { userinfo: { email: null, name: { value: null, values: 'x', essential: 'yes' } } },
    { userinfo: { toString: null, constructor: null, hasOwnProperty: null } },
    { id_token: { acr: { essential: true } } },
    { id_token: { acr: { essential: true, values: 'x' } } },
    { id_token: { acr: { essential: true, values: [null, 1, {}] } } },
    { id_token: { acr: { value: 7 } } },
    { id_token: { acr: null, amr: null, auth_time: { essential: true, value: 'x' }, sid: null } },
    { id_token: { sub: { value: 1 } } },
    { id_token: { sub: { values: ['x'] } } },
    { userinfo: Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`claim${index}`, null])) },
  ].map(claims => ({ claims: JSON.stringify(claims) })),
  { claims: '{"__proto__":{"isFirstParty":true},"userinfo":{"__proto__":{"essential":true}}}' },
  { scope: '' },
  { scope: ' ' },
  { scope: 'openid  orders.read' },
  { scope: 'openid\torders.read' },
  { scope: 'openid openid orders.read orders.read' },
  { scope: '__proto__ constructor' },
  { scope: 'openid é "' },
  { scope: `openid ${'x'.repeat(2000)}` },
  { prompt: '' },
  { prompt: 'login consent create' },
  { prompt: 'select_account' },
  { prompt: 'none create' },
  { prompt: '__proto__' },
  { acr_values: ' ' },
  { acr_values: '__proto__ constructor' },
  { max_age: '' },
  { max_age: '0x10' },
  { max_age: '1e3' },
  { display: 'toString' },
  { ui_locales: '../../etc/passwd' },
  { ui_locales: 'x'.repeat(1000) },
  { login_hint: 'x'.repeat(2000) },
  { id_token_hint: '' },
  { id_token_hint: 'e30.e30.' },
  { resource: '' },
  { resource: 'not a uri' },
  { resource: `${RESOURCE}#fragment` },
  { response_mode: '__proto__' },
  { response_type: '__proto__' },
  { code_challenge_method: '__proto__' },
  { registration: '{}' },
  { request: '' },
  { request: 'x' },
  { request_uri: '' },
  { nonce: '' },
  { state: '' },
  { dpop_jkt: '__proto__' },
  { authorization_details: '[{}]' },
  { client_secret: 'x' },
  { '__proto__[isFirstParty]': '1' },
  { constructor: 'x' },
];

describe('an odd authorization request', () => {
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

    it(`is a page, or an answer to the client, but never a fault of ours: ${ODD.length} of strangers`, async () => {
      for (const parameters of ODD) {
        const answer = await ask(scene.node, shop.begin(parameters).path);
        const told = `${JSON.stringify(parameters).slice(0, 200)}: ${answer.status} ${answer.headers.get('location')}`;
        expect(answer.status, told).to.be.below(500);
        expect(answer.headers.get('location') ?? '', told).to.not.include('server_error');
      }
    });

    it('nor of who is signed in, through every page up to the code', async function () {
      this.timeout(120_000);
      const browser = scene.browser();
      await shop.authorize(browser, person);
      for (const parameters of ODD) {
        const told = JSON.stringify(parameters).slice(0, 200);
        await browser.get(shop.begin(parameters).path);
        await walk(browser, person);
        expect(browser.landing.status, `${told}: ${browser.describe()}`).to.be.below(500);
        expect(browser.landing.departure?.parameters.error, told).to.not.equal('server_error');
        const { code, access_token: token, id_token: idToken } = browser.landing.departure?.parameters ?? {};
        expect([token, idToken], told).to.deep.equal([undefined, undefined]);
        if (code === undefined) continue;
        expect(browser.landing.departure?.uri, told).to.equal(shop.redirectUri);
      }
    });

    it('gives every parameter once: a second value is refused', async () => {
      for (const name of [
        'state',
        'scope',
        'response_type',
        'code_challenge',
        'nonce',
        'prompt',
        'claims',
        'max_age',
      ]) {
        const path = `${shop.begin({ nonce: 'n', prompt: 'login', claims: '{}', max_age: '1' }).path}&${name}=x`;
        const answer = await ask(scene.node, path);
        expect(answer.headers.get('location') ?? '', name).to.not.include('/interaction/');
        expect(answer.status, name).to.be.below(500);
      }
    });

    it('cannot be redeemed after its session has ended', async () => {
      const browser = scene.browser();
      const authorized = await shop.authorize(browser, person);
      await browser.get('/oauth2/logout');
      await browser.submit('form:has(button[name="logout"])', {}, { button: 'button[name="logout"]' });
      expect((await shop.redeem(authorized)).json.error).to.equal('invalid_grant');
    });

    it('of another person in the same browser gives nothing of the first', async () => {
      const other = await scene.person();
      const browser = scene.browser();
      const first = await shop.tokens(browser, person, { scope: 'openid email orders.read' });
      const request = shop.begin({ prompt: 'login', scope: 'openid email orders.read' });
      await browser.get(request.path);
      await browser.follow('a[href$="/sign-in"]');
      await browser.submit('form:has(input[name="password"])', {
        email: other.email,
        password: other.password,
      });
      // The other one has not allowed anything.
      if (browser.has('form[action*="/logout"]')) await browser.submit('form');
      expect(browser.has('button[value="allow"]'), browser.describe()).to.equal(true);
      expect(browser.landing.text).to.include(other.email).and.to.not.include(person.email);
      const { departure } = await walk(browser, other);
      const answer = await shop.redeem({ request, code: String(departure?.parameters.code) });
      expect(answer.status, answer.text).to.equal(200);
      const subject = (token: unknown): unknown =>
        JSON.parse(Buffer.from(String(token).split('.')[1] ?? '', 'base64url').toString()).sub;
      expect(subject(answer.json.id_token)).to.equal(other.userId);
      expect(subject(first.json.id_token)).to.equal(person.userId);
    });
  });
});
