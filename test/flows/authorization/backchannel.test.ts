import { expect } from 'chai';
import type { NewClientInput } from '../../../src/clients/change-client.js';
import type { MailDelivery } from '../../../src/delivery/outbox.js';
import { identityScopes } from '../../../src/oidc/accounts.js';
import { BackchannelAuthentication } from '../../../src/oidc/backchannel-authentication.js';
import { openAccess } from '../../../src/oidc/people.js';
import { ACR_ONE_FACTOR } from '../../../src/protocol.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser, Landing } from '../../support/form-browser.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import { type Answer, ISSUER } from '../../support/nodes.js';
import {
  claimsOf,
  given,
  type Parameters,
  type Person,
  type RelyingParty,
  Scene,
  userinfo,
} from './relying-party.js';

const GRANT = 'urn:openid:params:grant-type:ciba';
const DESK: Partial<NewClientInput> = {
  name: 'Phone desk',
  redirectUris: [],
  grantTypes: [GRANT, 'refresh_token'],
};

describe('a client that asks a person elsewhere (OpenID Connect CIBA, poll mode)', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let desk: RelyingParty;
    let time: MovedTime;
    let backchannel: BackchannelAuthentication;

    before(async () => {
      time = installMovedTime();
      const { clock, databaseClockOffset } = time;
      scene = await Scene.open(
        { url: (await fresh()).url, clock, databaseClockOffset },
        { hasTimers: false },
      );
      person = await scene.person();
      desk = await scene.relyingParty(DESK);
      const { database, keys, nodeId, config } = await scene.cluster.operator();
      const { artifacts, outbox } = openAccess({ database, nodeId, keys });
      backchannel = new BackchannelAuthentication(
        { issuer: ISSUER, database, nodeId, artifacts, outbox, identityScopes: identityScopes(config) },
        () => scene.node.authorizationServer.current,
      );
    });

    after(async () => {
      await scene.close();
      time.restore();
    });

    const ask = (parameters: Parameters = {}, party = desk): Promise<Answer> =>
      party.post(
        '/oauth2/ciba',
        given({ scope: 'openid orders.read', login_hint: person.email, ...parameters }),
      );

    const poll = (id: unknown, party = desk): Promise<Answer> =>
      party.post('/oauth2/token', { grant_type: GRANT, auth_req_id: String(id) });

    async function mails(): Promise<MailDelivery[]> {
      const { database, outbox } = await scene.context();
      const found: MailDelivery[] = [];
      for (const claimed of await outbox.take(database, 'mail', 100)) {
        const delivery = outbox.open(claimed);
        if (delivery.kind === 'mail') found.push(delivery);
        await database.transaction(trx => outbox.done(trx, claimed));
      }
      return found;
    }

    /** On the page that the mail leads to; the newest request is the last. */
    async function open(handle: string, who = person): Promise<FormBrowser> {
      const browser = scene.browser();
      await browser.get(`/account/requests/${handle}`);
      await browser.submit('form:has(input[name="password"])', { email: who.email, password: who.password });
      return browser;
    }

    async function newest(): Promise<string> {
      const { handle } = (await backchannel.list(person.userId)).at(-1) ?? {};
      if (handle === undefined) throw new Error('nothing is asked');
      return handle;
    }

    const press = (browser: FormBrowser, answer: 'allow' | 'deny'): Promise<Landing> =>
      browser.submit(`form:has(button[value="${answer}"])`, {}, { button: `button[value="${answer}"]` });

    async function answer(isAllowed: boolean): Promise<FormBrowser> {
      const browser = await open(await newest());
      await press(browser, isAllowed ? 'allow' : 'deny');
      expect(browser.landing.status, browser.describe()).to.equal(200);
      return browser;
    }

    it('gets tokens when the person, who is told by mail, has allowed it', async () => {
      await mails();
      const asked = await ask({ binding_message: 'W4SCT', scope: 'openid orders.read offline_access' });
      expect(asked.status, asked.text).to.equal(200);
      expect(asked.json).to.include({ interval: 5 });
      expect(asked.json.expires_in).to.be.within(1, 300);
      const [mail, ...more] = await mails();
      expect(more).to.have.length(0);
      expect(mail).to.include({ mail: 'backchannel-request', to: person.email, userId: person.userId });
      expect(mail?.values).to.include({ client: 'Phone desk', url: `${ISSUER}/account/requests` });
      const [pending] = await backchannel.list(person.userId);
      expect(pending).to.include({ bindingMessage: 'W4SCT' });
      expect(pending?.client.name).to.equal('Phone desk');

      const id = asked.json.auth_req_id;
      expect((await poll(id)).json.error).to.equal('authorization_pending');
      expect((await poll(id)).json.error).to.equal('slow_down');
      const page = await open(await newest());
      expect(page.landing.text)
        .to.include('W4SCT')
        .and.to.include('Phone desk')
        .and.to.include('orders.read');
      await press(page, 'allow');
      time.moveBy(6);
      const tokens = await poll(id);
      expect(tokens.status, tokens.text).to.equal(200);
      expect(claimsOf(tokens.json.id_token)).to.include({ sub: person.userId });
      expect(claimsOf(tokens.json.access_token)).to.include({ sub: person.userId, acr: ACR_ONE_FACTOR });
      expect(String(claimsOf(tokens.json.access_token).scope)).to.include('orders.read');
      expect((await userinfo(scene.node, tokens.json.access_token)).status).to.equal(200);
      expect((await desk.refresh(tokens.json.refresh_token)).status).to.equal(200);
      time.moveBy(6);
      expect((await poll(id)).json.error, 'once').to.equal('invalid_grant');
      expect(await backchannel.list(person.userId)).to.have.length(0);
    });

    it('gets nothing when the person has denied it, and the first answer counts', async () => {
      const { json } = await ask();
      const handle = await newest();
      const browsers = [await open(handle), await open(handle)];
      await answer(false);
      for (const late of browsers) {
        await press(late, 'allow');
        expect(late.landing.status, late.describe()).to.equal(404);
      }
      expect((await poll(json.auth_req_id)).json.error).to.equal('access_denied');
    });

    it('is answered once, however many tabs answer at the same time', async () => {
      const { json } = await ask();
      const handle = await newest();
      const browsers: FormBrowser[] = [];
      for (let count = 0; count < 4; count += 1) browsers.push(await open(handle));
      await Promise.all(browsers.map((browser, index) => press(browser, index % 2 === 0 ? 'allow' : 'deny')));
      const statuses = browsers.map(({ landing }) => landing.status);
      expect(
        statuses.filter(status => status === 200),
        statuses.join(' '),
      ).to.have.length(1);
      expect(
        statuses.filter(status => status >= 500),
        statuses.join(' '),
      ).to.have.length(0);
      const isAllowed = statuses.indexOf(200) % 2 === 0;
      const polled = await poll(json.auth_req_id);
      if (isAllowed) expect(polled.status, polled.text).to.equal(200);
      else expect(polled.json.error).to.equal('access_denied');
    });

    it('is answered by the person alone who was asked', async () => {
      const { json } = await ask();
      const stranger = await scene.person();
      expect(await backchannel.list(stranger.userId)).to.have.length(0);
      const browser = await open(await newest(), stranger);
      expect(browser.landing.status, browser.describe()).to.equal(404);
      expect((await poll(json.auth_req_id)).json.error).to.equal('authorization_pending');
      await answer(false);
    });

    it('must be authenticated, registered for it, and name a person; messages are short and harmless', async () => {
      const refused: readonly (readonly [Parameters, string])[] = [
        [{ login_hint: 'nobody@example.org' }, 'unknown_user_id'],
        [{ login_hint: undefined }, 'invalid_request'],
        [{ scope: 'orders.read' }, 'invalid_request'],
        [{ scope: 'openid unknown' }, 'invalid_scope'],
        [{ binding_message: '<script>alert(1)</script>' }, 'invalid_binding_message'],
        [{ binding_message: 'x'.repeat(41) }, 'invalid_binding_message'],
        [{ login_hint_token: 'x.y.z', login_hint: undefined }, 'invalid_request'],
        [{ requested_expiry: '-1' }, 'invalid_request'],
      ];
      for (const [parameters, error] of refused) {
        const { json, status } = await ask(parameters);
        expect(json.error, JSON.stringify(parameters)).to.equal(error);
        expect(status).to.be.within(400, 401);
      }
      const web = await scene.relyingParty();
      expect((await ask({}, web)).json.error).to.be.oneOf(['unauthorized_client', 'invalid_request']);
      const { clientId } = desk.client;
      const unauthenticated = await scene.relyingParty({ authMethod: 'none' });
      expect(
        (await unauthenticated.post('/oauth2/ciba', { client_id: clientId, scope: 'openid' })).status,
      ).to.equal(401);
    });

    it('waits for five minutes at most, and another client cannot take its answer', async () => {
      const { json } = await ask();
      const other = await scene.relyingParty(DESK);
      await answer(true);
      expect((await poll(json.auth_req_id, other)).json.error).to.equal('invalid_grant');
      const { json: late } = await ask();
      time.moveBy(301);
      expect((await poll(late.auth_req_id)).json.error).to.be.oneOf(['expired_token', 'invalid_grant']);
      expect(await backchannel.list(person.userId)).to.have.length(0);
    });
  });
});
