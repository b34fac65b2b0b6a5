import { expect } from 'chai';
import { ACCOUNT_CLIENT_ID } from '../../../src/protocol.js';
import type { Person } from '../../flows/authorization/relying-party.js';
import { allow, PeopleScene, signIn } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER, post } from '../../support/nodes.js';

describe('the client of the account pages, which everybody can name', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url });
      ada = await people.scene.person();
    });

    after(() => people.close());

    function link(parameters: Record<string, string>): string {
      const query = new URLSearchParams({
        client_id: ACCOUNT_CLIENT_ID,
        response_type: 'none',
        scope: 'openid',
        redirect_uri: `${ISSUER}/account/callback`,
        state: '/account/profile',
        ...parameters,
      });
      return `/oauth2/authorize?${query}`;
    }

    async function signedIn(): Promise<FormBrowser> {
      const browser = people.scene.browser();
      await browser.get('/account');
      await signIn(browser, ada.email, ada.password);
      return browser;
    }

    it('breaks nothing when it is made to ask for consent', async () => {
      const browser = await signedIn();
      await browser.get(link({ prompt: 'consent' }));
      if (browser.has('button[value="allow"]')) await allow(browser);
      expect(browser.landing.status, browser.describe()).to.equal(200);
      expect(new URL(browser.landing.url).pathname).to.equal('/account/profile');
    });

    it('gets neither a code nor a token, whatever it asks for', async () => {
      const browser = await signedIn();
      for (const more of [
        { response_type: 'code', code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' },
        { response_type: 'code id_token', nonce: 'n' },
        { scope: 'openid offline_access' },
        { response_mode: 'form_post' },
        { redirect_uri: 'https://evil.example/' },
      ]) {
        await browser.get(link(more));
        expect(browser.landing.status, `${JSON.stringify(more)} ${browser.describe()}`).to.be.below(500);
        expect(browser.landing.url).to.not.match(/code=|token=/);
        expect(browser.landing.departure?.url ?? '').to.not.contain('evil.example');
      }
      const node = people.scene.node;
      for (const [path, form] of [
        ['/oauth2/token', { grant_type: 'client_credentials' }],
        ['/oauth2/token', { grant_type: 'refresh_token', refresh_token: 'x' }],
        ['/oauth2/device', { scope: 'openid' }],
        ['/oauth2/ciba', { scope: 'openid', login_hint: ada.email }],
        ['/oauth2/introspect', { token: 'x' }],
      ] as const) {
        const answer = await post(node, path, { client_id: ACCOUNT_CLIENT_ID, ...form });
        if (path === '/oauth2/introspect') expect(answer.text).to.not.contain('"active":true');
        else expect(answer.status, `${path} ${answer.text}`).to.be.within(400, 499);
      }
    });
  });
});
