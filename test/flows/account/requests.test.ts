import { expect } from 'chai';
import { decodeJwt } from 'jose';
import { ACR_ONE_FACTOR, ACR_TWO_FACTORS } from '../../../src/protocol.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { type Answer, basic, post, type SeededClient } from '../../support/nodes.js';
import { AccountWorld, codeOf, ISSUER, mustSignIn, noticeOf, pathOf } from './account-world.js';

const GRANT = 'urn:openid:params:grant-type:ciba';

describe('requests of clients elsewhere, on the account pages (OpenID Connect CIBA)', () => {
  forEachDatabase((_name, fresh) => {
    let world: AccountWorld;
    let desk: SeededClient;
    let people = 0;

    before(async function () {
      this.timeout(60_000);
      world = new AccountWorld((await fresh()).url);
      await world.start();
      desk = await world.client('Phone desk', {
        grantTypes: [GRANT],
        redirectUris: [],
        oidcScopes: ['openid', 'email'],
      });
    });
    after(() => world.close());

    async function person(): Promise<string> {
      people += 1;
      const email = `asked-${people}@example.test`;
      await world.person(email);
      return email;
    }

    async function ask(email: string, parameters: Readonly<Record<string, string>> = {}): Promise<string> {
      const body = { scope: 'openid email', login_hint: email, ...parameters };
      const asked = await post(world.node, '/oauth2/ciba', body, basic(desk));
      expect(asked.status, asked.text).to.equal(200);
      return String(asked.json.auth_req_id);
    }

    async function poll(id: string): Promise<Answer> {
      await world.moveBy(6);
      return post(world.node, '/oauth2/token', { grant_type: GRANT, auth_req_id: id }, basic(desk));
    }

    async function answer(browser: FormBrowser, word: 'allow' | 'deny'): Promise<void> {
      const button = `button[name="answer"][value="${word}"]`;
      await browser.submit(button, {}, { button });
    }

    const backchannel = () => world.node.people.backchannel;

    const linksOn = (browser: FormBrowser): string[] =>
      browser.landing.root
        .querySelectorAll('main a.btn')
        .map(link => new URL(link.getAttribute('href') ?? '', ISSUER).pathname);

    it('are told by mail, shown with their message, and approved: the client gets its tokens by polling', async () => {
      const email = await person();
      await world.mails();
      const id = await ask(email, { binding_message: 'W4SCT', acr_values: ACR_ONE_FACTOR });
      const [mail] = await world.mails();
      expect(mail).to.include({ mail: 'backchannel-request', to: email });
      const browser = world.browser();
      await browser.get('/account/requests');
      expect(mustSignIn(browser)).to.equal(true);
      await world.signIn(browser, email);
      expect(pathOf(browser)).to.equal('/account/requests');
      expect(browser.landing.text).to.include('Phone desk').and.include('W4SCT');
      await browser.get('/account');
      expect(browser.landing.text).to.include('1 request waits');
      await browser.get('/account/requests');
      await browser.get(linksOn(browser)[0] ?? '');
      expect(browser.landing.root.querySelector('h1')?.text).to.equal('Did you ask for this?');
      expect(browser.landing.text).to.include('W4SCT');
      await answer(browser, 'allow');
      expect(pathOf(browser)).to.equal('/account/requests');
      expect(noticeOf(browser)).to.include('Approved').and.include('Phone desk');
      expect(linksOn(browser)).to.deep.equal([]);
      const tokens = await poll(id);
      expect(tokens.status, tokens.text).to.equal(200);
      expect(decodeJwt(String(tokens.json.id_token))).to.include({ acr: ACR_ONE_FACTOR });
      await browser.get('/account');
      expect(browser.landing.text).to.not.include('waits');
    });

    it('are denied by anything but a clear yes: access_denied', async () => {
      const email = await person();
      const id = await ask(email);
      const browser = await world.signedIn(email, '/account/requests');
      await browser.get(linksOn(browser)[0] ?? '');
      await answer(browser, 'deny');
      expect(noticeOf(browser)).to.include('Stopped');
      expect((await poll(id)).json).to.include({ error: 'access_denied' });
    });

    it('of somebody else are not there, to look at or to answer (requirement 97)', async () => {
      const [ada, eve] = [await person(), await person()];
      const id = await ask(ada);
      const victim = await world.signedIn(ada, '/account/requests');
      const [path = ''] = linksOn(victim);
      await ask(eve);
      const thief = await world.signedIn(eve, '/account/requests');
      await thief.get(linksOn(thief)[0] ?? '');
      const form = thief.form('main form');
      form.setAttribute('action', path);
      await thief.submit(form, {}, { button: 'button[value="allow"]' });
      expect(thief.landing.status).to.equal(404);
      expect((await thief.get(path)).status).to.equal(404);
      expect((await thief.get('/account/requests/x')).status).to.equal(404);
      expect((await poll(id)).json).to.include({ error: 'authorization_pending' });
    });

    it('want a sign-in of the last 5 minutes, and come back to the request (requirement 94)', async () => {
      const email = await person();
      const browser = await world.signedIn(email);
      await world.moveBy(301);
      const id = await ask(email);
      await browser.get('/account/requests');
      const [path = ''] = linksOn(browser);
      await browser.get(path);
      expect(mustSignIn(browser), browser.describe()).to.equal(true);
      await world.signIn(browser, email);
      expect(pathOf(browser)).to.equal(path);
      await answer(browser, 'allow');
      expect((await poll(id)).status).to.equal(200);
    });

    it('that ask for two factors are approved only with two, which are set up on the way (acr_values)', async () => {
      const email = await person();
      const row = await world.database.reader('users').where({ email_key: email }).first('id');
      const userId = String(row.id);
      const id = await ask(email, { acr_values: ACR_TWO_FACTORS });
      const browser = await world.signedIn(email, '/account/requests');
      const [path = ''] = linksOn(browser);
      const [request] = await backchannel().list(userId);
      expect(request).to.include({ demandsSecondFactor: true });
      const weak = {
        sessionId: 's',
        userId,
        acr: ACR_ONE_FACTOR,
        amr: ['pwd'],
        authenticatedAt: await world.database.now(),
      };
      const facts = { requestId: 'rq-1', ip: undefined, userAgent: undefined };
      const forced = backchannel().answer(weak, request?.handle ?? '', true, facts);
      expect(await forced.catch((error: { code?: string }) => error.code)).to.equal('invalid_request');
      await browser.get(path);
      expect(pathOf(browser)).to.match(/\/interaction\/[^/]+\/enrolment$/);
      await browser.submit('input[name="code"]', { code: codeOf(browser, await world.database.now()) });
      await browser.get(browser.landing.root.querySelector('main a.btn.main')?.getAttribute('href') ?? '');
      expect(pathOf(browser)).to.equal(path);
      await answer(browser, 'allow');
      const tokens = await poll(id);
      expect(tokens.status, tokens.text).to.equal(200);
      expect(decodeJwt(String(tokens.json.id_token))).to.include({ acr: ACR_TWO_FACTORS });
    });
  });
});
