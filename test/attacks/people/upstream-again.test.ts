import { expect } from 'chai';
import { Secret } from '../../../src/config/config.js';
import type { RelyingParty } from '../../flows/authorization/relying-party.js';
import { PeopleScene } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER } from '../../support/nodes.js';
import { startUpstream, type Upstream } from '../../users/upstream-provider.js';

const CLIENT = { client_id: 'claviger', client_secret: 'upstream-secret-for-tests-1' };

describe('who finds a browser whose owner is signed in here and at another provider', () => {
  forEachDatabase((_name, fresh) => {
    let upstream: Upstream;
    let people: PeopleScene;
    let shop: RelyingParty;

    before(async () => {
      upstream = await startUpstream(CLIENT, { redirectUris: [`${ISSUER}/federation/callback/up`] });
      people = await PeopleScene.open({
        url: (await fresh()).url,
        env: { CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '127.0.0.1' },
        upstreamProviders: [
          {
            id: 'up',
            name: 'Upstream',
            issuer: upstream.issuer,
            clientId: CLIENT.client_id,
            clientSecret: new Secret(CLIENT.client_secret),
            scopes: ['openid', 'email'],
            allowsSignUp: true,
          },
        ],
      });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });

    after(async () => {
      await people.close();
      await upstream.close();
    });

    async function away(browser: FormBrowser): Promise<URL> {
      await browser.submit('form[action$="/upstream"]', {}, { button: 'button[name="provider"]' });
      return new URL(String(browser.landing.headers.refresh).replace('0; url=', ''));
    }

    it('is not let on to what is sensitive by the provider’s session: it is told to ask anew (requirement 94)', async () => {
      upstream.people.set('ada', { email: 'ada@example.org', email_verified: true });
      const browser = await people.atSignIn(shop);
      const first = await away(browser);
      expect(first.searchParams.get('prompt')).to.equal(null);
      await browser.get((await upstream.signIn(first.href, 'ada')).href, { from: upstream.issuer });
      expect(browser.landing.departure?.parameters.code, browser.describe()).to.be.a('string');
      await people.moveBy(10 * 60);
      await browser.get('/account/profile/delete');
      const again = await away(browser);
      expect(again.searchParams.get('prompt')).to.equal('login');
    });
  });
});
