import { expect } from 'chai';
import { type Person, Scene, userinfo } from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { post } from '../../support/nodes.js';

describe('a public client, whose name anybody can use', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      person = await scene.person();
    });

    after(() => scene.close());

    it('gets nothing where others prove who they are', async () => {
      const { client } = await scene.relyingParty({ authMethod: 'none' });
      const client_id = client.clientId;
      const asked = {
        '/oauth2/token': { grant_type: 'client_credentials', scope: 'orders.read' },
        '/oauth2/ciba': { scope: 'openid', login_hint: person.email },
      };
      for (const [path, form] of Object.entries(asked)) {
        for (const extra of [{}, { client_secret: '' }, { client_secret: 'x'.repeat(43) }]) {
          const answer = await post(scene.node, path, { client_id, ...form, ...extra });
          expect(answer.status, `${path} ${answer.text}`).to.be.oneOf([400, 401]);
          expect(answer.json.error, path).to.be.oneOf([
            'unauthorized_client',
            'invalid_client',
            'invalid_request',
          ]);
        }
      }
    });

    it('cannot be used to try out stolen tokens, its own included (RFC 7662 §2.1); it can end its own', async () => {
      const spa = await scene.relyingParty({ authMethod: 'none' });
      const { json } = await spa.redeem(await spa.authorize(scene.browser(), person));
      const form = { client_id: spa.client.clientId, token: String(json.access_token) };
      const answer = await post(scene.node, '/oauth2/introspect', form);
      expect([answer.status, answer.json.error]).to.deep.equal([401, 'invalid_client']);
      expect(answer.text).to.not.include('active');
      expect((await userinfo(scene.node, json.access_token)).status).to.equal(200);
      expect((await post(scene.node, '/oauth2/revoke', form)).status).to.equal(200);
      expect((await userinfo(scene.node, json.access_token)).status).to.equal(401);
    });
  });
});
