import { expect } from 'chai';
import { Secret } from '../../../src/config/config.js';
import type { UpstreamProvider } from '../../../src/config/federation-file.js';
import type { RelyingParty } from '../../flows/authorization/relying-party.js';
import { PeopleScene } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER } from '../../support/nodes.js';
import { startUpstream, type Upstream } from '../../users/upstream-provider.js';

const CLIENT = { client_id: 'claviger', client_secret: 'upstream-secret-for-tests-1' };

function callbackOf(id: string): string {
  return `${ISSUER}/federation/callback/${id}`;
}

describe('an answer of one provider', () => {
  forEachDatabase((_name, fresh) => {
    let honest: Upstream;
    let evil: Upstream;
    let people: PeopleScene;
    let shop: RelyingParty;

    before(async () => {
      honest = await startUpstream(CLIENT, { redirectUris: [callbackOf('honest')] });
      evil = await startUpstream(CLIENT, { redirectUris: [callbackOf('evil')] });
      const provider = (id: string, { issuer }: Upstream): UpstreamProvider => ({
        id,
        name: id,
        issuer,
        clientId: CLIENT.client_id,
        clientSecret: new Secret(CLIENT.client_secret),
        scopes: ['openid', 'email'],
        allowsSignUp: true,
      });
      people = await PeopleScene.open({
        url: (await fresh()).url,
        env: { CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '127.0.0.1' },
        upstreamProviders: [provider('honest', honest), provider('evil', evil)],
      });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });

    after(async () => {
      await people.close();
      await honest.close();
      await evil.close();
    });

    async function away(browser: FormBrowser, id: string): Promise<string> {
      const button = `button[name="provider"][value="${id}"]`;
      await browser.submit(`form:has(${button})`, {}, { button });
      return String(browser.landing.headers.refresh).replace('0; url=', '');
    }

    it('is not taken to another, which would get a code that it can use (RFC 9700 §4.4)', async () => {
      evil.people.set('eve', { email: 'eve@example.org', email_verified: true });
      const browser = await people.atSignIn(shop);
      const back = await evil.signIn(await away(browser, 'evil'), 'eve');
      // The provider that was chosen sent the browser on to the other one, whose answer comes to its own address.
      const mixedUp = new URL(back);
      mixedUp.pathname = new URL(callbackOf('honest')).pathname;
      await browser.get(mixedUp.href, { from: honest.issuer });
      expect(browser.landing.departure, 'not signed in').to.equal(undefined);
      expect(browser.landing.status, browser.describe()).to.equal(400);
      // At its own address the same answer is good, and was not used up.
      await browser.get(back.href, { from: evil.issuer });
      expect(browser.landing.departure?.parameters.code, browser.describe()).to.be.a('string');
    });
  });
});
