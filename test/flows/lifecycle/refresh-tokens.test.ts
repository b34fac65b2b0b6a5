import { expect } from 'chai';
import { updateClient } from '../../../src/clients/change-client.js';
import { RefreshRotation } from '../../../src/oidc/refresh-rotation.js';
import { setPassword } from '../../../src/users/set-password.js';
import { forEachDatabase } from '../../support/databases.js';
import { type Answer, OPERATOR, RESOURCE } from '../../support/nodes.js';
import type { Person } from '../../support/people.js';
import type { RelyingParty } from '../../support/relying-party.js';
import { ACTING, LifecycleScene, NEXT_PASSWORD, OPAQUE_RESOURCE } from './lifecycle-scene.js';

const IDLE_AFTER = 3600;
const END_AFTER = 3 * 3600;

function refused({ status, json }: Answer): void {
  expect([status, json.error]).to.deep.equal([400, 'invalid_grant']);
}

function successor({ status, json, text }: Answer): string {
  expect(status, text).to.equal(200);
  expect(json.refresh_token).to.be.a('string');
  return String(json.refresh_token);
}

describe('a refresh token', function () {
  this.timeout(60_000);
  forEachDatabase((_name, fresh) => {
    let scene: LifecycleScene;
    let person: Person;
    let party: RelyingParty;

    before(async () => {
      scene = await LifecycleScene.open({
        url: (await fresh()).url,
        env: {
          CLAVIGER_REFRESH_TOKENS_IDLE_AFTER: `${IDLE_AFTER}s`,
          CLAVIGER_REFRESH_TOKENS_END_AFTER: `${END_AFTER}s`,
        },
      });
      person = await scene.person();
      party = await scene.client();
    });

    after(() => scene.close());

    const begin = (as = party) => scene.refreshToken(as, scene.browser(), person);

    /** Whether the grant's tokens are good, as another node says. */
    async function isActive(token: unknown): Promise<boolean> {
      const { json } = await scene
        .at(scene.introspector, 1)
        .ask('/oauth2/introspect', { token: String(token) });
      return json.active === true;
    }

    it('of a public client is another one after each use (requirement 44)', async () => {
      const spa = await scene.client({
        authMethod: 'none',
        grantTypes: ['authorization_code', 'refresh_token'],
      });
      const chain = [await begin(spa)];
      for (let use = 0; use < 4; use += 1) chain.push(successor(await spa.refresh(chain.at(-1))));
      expect(new Set(chain)).to.have.property('size', 5);
    });

    it('repeated within 10 s gives the same successor, on each node and after a restart of all: an answer that was lost costs no sign-in (RFC 9700 §4.14.2)', async () => {
      const first = await begin();
      const second = successor(await scene.at(party, 0).refresh(first));
      expect(successor(await scene.at(party, 1).refresh(first))).to.equal(second);
      await scene.restart();
      expect(successor(await scene.at(party, 0).refresh(first))).to.equal(second);
      expect(successor(await scene.at(party, 1).refresh(second))).to.not.equal(second);
    });

    it('repeated after 9 s is forgiven, and after 11 s its family dies on every node (requirement 45)', async () => {
      const first = await begin();
      const { json } = await scene.at(party, 0).refresh(first);
      await scene.moveBy(9);
      expect(successor(await scene.at(party, 1).refresh(first))).to.equal(json.refresh_token);
      expect(await isActive(json.access_token)).to.equal(true);
      await scene.moveBy(2);
      refused(await scene.at(party, 1).refresh(first));
      refused(await scene.at(party, 0).refresh(String(json.refresh_token)));
      expect(await isActive(json.access_token)).to.equal(false);
    });

    it('repeated after a repeat keeps its first 10 s: the grace does not slide', async () => {
      const first = await begin();
      successor(await party.refresh(first));
      await scene.moveBy(8);
      const second = successor(await party.refresh(first));
      await scene.moveBy(3);
      refused(await party.refresh(first));
      refused(await party.refresh(second));
    });

    it('repeated once its successor was used takes the family with it, also within 10 s (requirement 45)', async () => {
      const first = await begin();
      const second = successor(await scene.at(party, 0).refresh(first));
      const { json } = await scene.at(party, 1).refresh(second);
      refused(await scene.at(party, 0).refresh(first));
      refused(await scene.at(party, 1).refresh(String(json.refresh_token)));
      expect(await isActive(json.access_token)).to.equal(false);
    });

    it('repeated after a restart of all nodes takes the family with it (requirement 45, CVE-2026-9802)', async () => {
      const first = await begin();
      const { json } = await party.refresh(first);
      await scene.restart();
      await scene.moveBy(11);
      refused(await scene.at(party, 1).refresh(first));
      refused(await scene.at(party, 0).refresh(String(json.refresh_token)));
      expect(await isActive(json.access_token)).to.equal(false);
    });

    it('repeated where the successor is not derived dies at once (control)', async () => {
      const { successorOf } = RefreshRotation.prototype;
      let count = 0;
      RefreshRotation.prototype.successorOf = function (value) {
        count += 1;
        return successorOf.call(this, `${value}${count}`);
      };
      try {
        const first = await begin();
        successor(await party.refresh(first));
        refused(await party.refresh(first));
      } finally {
        RefreshRotation.prototype.successorOf = successorOf;
      }
    });

    it('works for its client alone, and another’s attempt harms nobody (requirement 48)', async () => {
      const token = await begin();
      const other = await scene.client();
      refused(await other.refresh(token));
      const spa = await scene.client({
        authMethod: 'none',
        grantTypes: ['authorization_code', 'refresh_token'],
      });
      refused(await spa.refresh(token));
      successor(await party.refresh(token));
    });

    it('brings fewer scopes when fewer are asked for, and never more (requirement 48)', async () => {
      const browser = scene.browser();
      const asked = { scope: 'openid orders.read offline_access' };
      const { json } = await scene.tokens(party, browser, person, asked);
      const first = String(json.refresh_token);
      const more = await party.refresh(first, { scope: 'openid orders.read orders.write' });
      expect([more.status, more.json.error]).to.deep.equal([400, 'invalid_scope']);
      const narrow = await party.refresh(first, { scope: 'openid' });
      expect(narrow.status, narrow.text).to.equal(200);
      expect(narrow.json.scope).to.equal('openid');
      // RFC 6749 §6: what was left out once is still granted.
      const whole = await party.refresh(successor(narrow));
      expect(String(whole.json.scope).split(' ')).to.include('orders.read').and.not.include('orders.write');
    });

    it('brings a token for no other resource server than was allowed (requirement 48, RFC 8707 §2.2)', async () => {
      const first = await begin();
      const other = await party.refresh(first, { resource: OPAQUE_RESOURCE });
      expect([other.status, other.json.error]).to.deep.equal([400, 'invalid_target']);
      successor(await party.refresh(first, { resource: RESOURCE }));
    });

    it('dies when it is not used for as long as it may rest, not before (requirement 54)', async () => {
      const browser = scene.browser();
      const first = await scene.refreshToken(party, browser, person);
      await scene.moveBy(IDLE_AFTER - 2);
      const second = successor(await party.refresh(first));
      await scene.moveBy(IDLE_AFTER - 2);
      const third = successor(await party.refresh(second));
      await scene.moveBy(IDLE_AFTER + 1);
      refused(await party.refresh(third));
    });

    it('ends for good a set time after the sign-in, however often it was used (requirement 49)', async () => {
      let token = await begin();
      const step = 1790;
      for (let age = step; age <= END_AFTER - 10; age += step) {
        await scene.moveBy(step);
        token = successor(await party.refresh(token));
      }
      await scene.moveBy(END_AFTER - Math.floor((END_AFTER - 10) / step) * step + 1);
      refused(await party.refresh(token));
    });

    it('is worth nothing once the client may not ask for offline_access any more (requirement 50)', async () => {
      const client = await scene.client();
      const token = await begin(client);
      const { clientId } = client.client;
      const { database, nodeId } = scene.context;
      await updateClient(
        { database, nodeId, config: scene.cluster.config },
        { clientId, oidcScopes: ['openid', 'profile'] },
        OPERATOR,
      );
      refused(await scene.at(client, 1).refresh(token));
    });

    it('is worth nothing once the client may not refresh any more (requirement 50)', async () => {
      const client = await scene.client();
      const token = await begin(client);
      const { clientId } = client.client;
      const { database, nodeId } = scene.context;
      const grantTypes = ['authorization_code'] as const;
      await updateClient(
        { database, nodeId, config: scene.cluster.config },
        { clientId, grantTypes },
        OPERATOR,
      );
      const { status, json } = await scene.at(client, 1).refresh(token);
      expect([status, json.error]).to.deep.equal([400, 'unauthorized_client']);
    });

    it('of a client that was disabled stays dead when the client is enabled again', async () => {
      const client = await scene.client();
      const browser = scene.browser();
      const { json } = await scene.tokens(client, browser, person, {
        scope: 'openid orders.read offline_access',
      });
      await scene.disable(client);
      await scene.enable(client);
      await scene.tick();
      expect(await isActive(json.access_token)).to.equal(false);
      refused(await scene.at(client, 1).refresh(String(json.refresh_token)));
    });

    it('ends with the session it was given in; one for offline_access outlives it (requirement 51)', async () => {
      const always = await scene.client({ alwaysIssueRefreshToken: true });
      const browser = scene.browser();
      const bound = String((await scene.tokens(always, browser, person)).json.refresh_token);
      const offline = await scene.refreshToken(party, browser, person);
      const alive = successor(await always.refresh(bound));
      await always.signOut(browser, {});
      const button = 'button[name="logout"]';
      await browser.submit(button, {}, { button });
      refused(await scene.at(always, 1).refresh(alive));
      successor(await scene.at(party, 1).refresh(offline));
    });

    it('of elsewhere ends when the person changes the password, that of this session stays (requirement 52)', async () => {
      const somebody = await scene.person();
      const [here, there] = [scene.browser(), scene.browser()];
      const mine = await scene.refreshToken(party, here, somebody);
      const [session] = await scene.sessions(somebody);
      await scene.moveBy(1);
      const theirs = await scene.refreshToken(party, there, somebody);
      const change = { userId: somebody.user.id, password: NEXT_PASSWORD };
      await setPassword(scene.context, change, { ...ACTING, sessionId: session?.sessionId });
      refused(await scene.at(party, 1).refresh(theirs));
      successor(await scene.at(party, 1).refresh(mine));
      const silent = { prompt: 'none', scope: 'openid orders.read' };
      for (const [browser, error] of [
        [here, undefined],
        [there, 'login_required'],
      ] as const) {
        const { departure } = await browser.get(party.attempt(silent).url);
        expect(departure?.parameters.error).to.equal(error);
      }
    });

    it('of elsewhere stays when the person asks for that (requirement 52)', async () => {
      const somebody = await scene.person();
      const token = await scene.refreshToken(party, scene.browser(), somebody);
      const change = { userId: somebody.user.id, password: NEXT_PASSWORD, keepOtherSessions: true };
      await setPassword(scene.context, change, ACTING);
      successor(await party.refresh(token));
    });

    it('is revoked by its client alone, and takes the grant’s access tokens with it (requirement 53, RFC 7009 §2.1)', async () => {
      const asked = { scope: 'openid orders.read offline_access' };
      const { json } = await scene.tokens(party, scene.browser(), person, asked);
      const token = String(json.refresh_token);
      const other = await scene.client();
      await other.ask('/oauth2/revoke', { token });
      expect(await isActive(json.access_token)).to.equal(true);
      const unknown = await party.ask('/oauth2/revoke', { token: `${token}x` });
      expect([unknown.status, unknown.text]).to.deep.equal([200, '']);
      expect((await scene.at(party, 0).ask('/oauth2/revoke', { token })).status).to.equal(200);
      refused(await scene.at(party, 1).refresh(token));
      expect(await isActive(json.access_token)).to.equal(false);
      expect((await scene.at(party, 1).userinfo(String(json.access_token))).status).to.equal(401);
    });
  });
});
