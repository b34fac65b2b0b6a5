import { expect } from 'chai';
import type { Person, RelyingParty } from '../../flows/authorization/relying-party.js';
import { PeopleScene } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import { dumpOf } from '../../support/tables.js';

const ROUNDS = 40;
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';

describe('what a thief of the database finds of people', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let display: RelyingParty;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url });
      shop = await people.scene.relyingParty({ isFirstParty: true });
      display = await people.scene.relyingParty({ grantTypes: [DEVICE], redirectUris: [] });
      ada = await people.scene.person();
    });

    after(() => people.close());

    it('holds no code, token, cookie, device code, link, recovery code or password that opens anything (requirement 32)', async function () {
      this.timeout(120_000);
      const secrets = new Map<string, string>();
      const keep = (what: string, value: unknown) => {
        expect(value, what).to.be.a('string').with.length.above(7);
        secrets.set(String(value), what);
      };
      const { scene } = people;
      for (let round = 0; round < ROUNDS; round += 1) {
        const browser = scene.browser();
        await browser.get(shop.begin().path);
        keep('interaction', new URL(browser.landing.url).pathname.split('/').at(-1));
        const authorized = await shop.authorize(browser, ada, { scope: 'openid orders.read offline_access' });
        keep('code', authorized.code);
        const { json } = await shop.redeem(authorized);
        keep('access token', json.access_token);
        keep('refresh token', json.refresh_token);
        keep('next refresh token', (await shop.refresh(json.refresh_token)).json.refresh_token);
        for (const [name, value] of Object.entries(await browser.cookies('/oauth2/authorize'))) {
          if (/^(?:session|csrf|device|trusted)/.test(name) || value.length > 20)
            keep(`cookie ${name}`, value);
        }
        const device = (await display.post('/oauth2/device', { scope: 'openid' })).json;
        keep('device code', device.device_code);
        keep('user code', device.user_code);
        const pushed = await shop.post('/oauth2/par', { ...shop.begin().parameters });
        keep('request_uri', String(pushed.json.request_uri).split(':').at(-1));
      }
      const { database } = await scene.cluster.operator();
      const forgot = scene.browser();
      await forgot.get('/forgot');
      await forgot.submit('main form', { email: ada.email });
      const beforeTaken = await dumpOf(database);
      const link = new URL(await people.link('reset-password', ada.email)).searchParams.get('token');
      keep('link', link);
      const { recoveryCodes } = await people.authenticator(ada);
      for (const code of recoveryCodes) keep('recovery code', code);
      keep('password', ada.password);
      const dump = `${beforeTaken}\n${await dumpOf(database)}`;
      // The control: what is public was there to be found.
      expect(dump).to.include(ada.email).and.to.include(shop.client.clientId);
      expect(secrets.size).to.be.above(ROUNDS * 8);
      const found = new Set<string>();
      for (const [secret, what] of secrets) {
        const bare = secret.replaceAll('-', '');
        if ([secret, bare, Buffer.from(secret).toString('base64url')].some(form => dump.includes(form)))
          found.add(what);
      }
      expect([...found]).to.deep.equal([]);
    });
  });
});
