import { expect } from 'chai';
import { updateClient } from '../../../src/clients/change-client.js';
import { updateUser } from '../../../src/users/change-user.js';
import {
  type Person,
  type RelyingParty,
  Scene,
  userinfo,
  walk,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { OPERATOR } from '../../support/nodes.js';

const OFFLINE = { scope: 'openid orders.read offline_access' };

describe('a client that is for some people only', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let ada: Person;
    let eve: Person;
    let desk: RelyingParty;

    before(async () => {
      const env = { CLAVIGER_USERS_CLAIM_SCOPES: 'staff:employee_number' };
      scene = await Scene.open({ url: (await fresh()).url, env }, { nodes: 2 });
      eve = await scene.person({ groups: ['guests'] });
    });

    beforeEach(async () => {
      ada = await scene.person({ groups: ['staff'], customClaims: { employee_number: 42, salary: 7 } });
      desk = await scene.relyingParty({ allowedUsers: { groups: ['staff'], userIds: [] } });
    });

    after(() => scene.close());

    const acting = { actor: OPERATOR };

    it('lets them in, and sends everybody else back with access_denied', async () => {
      expect((await desk.redeem(await desk.authorize(scene.browser(), ada))).status).to.equal(200);
      const browser = scene.browser();
      await browser.get(desk.begin().path);
      await walk(browser, eve);
      expect(browser.landing.departure?.parameters.error, browser.describe()).to.equal('access_denied');
      expect(browser.landing.departure?.parameters).to.not.have.property('code');
      const silent = await browser.get(desk.begin({ prompt: 'none' }).path);
      expect(silent.departure?.parameters.error).to.equal('access_denied');
    });

    it('is closed to who leaves the group: refresh, userinfo and a code on its way are dead', async () => {
      const browser = scene.browser();
      const { json } = await desk.tokens(browser, ada, OFFLINE);
      const inFlight = await desk.authorize(browser, ada);
      expect((await userinfo(scene.node, json.access_token)).status, 'before').to.equal(200);
      await updateUser(await scene.context(), { userId: ada.userId, groups: [] }, acting);
      for (const node of scene.cluster.nodes) await node.tick();
      expect((await userinfo(scene.node, json.access_token)).status).to.equal(401);
      expect((await desk.refresh(json.refresh_token)).json.error).to.equal('invalid_grant');
      expect((await desk.redeem(inFlight)).json).to.not.have.property('access_token');
    });

    it('is closed by its operator: what it got for others before is dead', async () => {
      const open = await scene.relyingParty();
      const { json } = await open.tokens(scene.browser(), eve, OFFLINE);
      const { database, nodeId, config } = await scene.cluster.operator();
      const allowedUsers = { groups: ['staff'], userIds: [] };
      const { clientId } = open.client;
      await updateClient({ database, nodeId, config }, { clientId, allowedUsers }, OPERATOR);
      for (const node of scene.cluster.nodes) await node.tick();
      expect((await userinfo(scene.node, json.access_token)).status).to.equal(401);
      expect((await open.refresh(json.refresh_token)).json).to.not.have.property('access_token');
    });

    it('gets the custom claims that a scope of its own brings, and no others', async () => {
      const staff = await scene.relyingParty({ oidcScopes: ['openid', 'staff'] });
      const told = async (party: RelyingParty, scope: string) => {
        const { json } = await party.tokens(scene.browser(), ada, { scope });
        return (await userinfo(scene.node, json.access_token)).json;
      };
      expect(await told(staff, 'openid staff')).to.deep.equal({ sub: ada.userId, employee_number: 42 });
      expect(await told(staff, 'openid')).to.deep.equal({ sub: ada.userId });
      const refused = scene.browser();
      await refused.get(desk.begin({ scope: 'openid staff' }).path);
      expect(refused.landing.departure?.parameters.error, refused.describe()).to.equal('invalid_scope');
    });
  });
});
