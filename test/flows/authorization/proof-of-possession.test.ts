import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { forEachDatabase } from '../../support/databases.js';
import { ProofKey } from '../../support/dpop.js';
import { ISSUER, RESOURCE } from '../../support/nodes.js';
import { ask, claimsOf, type Person, type RelyingParty, Scene, userinfo, walk } from './relying-party.js';

describe('tokens bound to a key (RFC 9449)', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let spa: RelyingParty;
    let key: ProofKey;

    const offline = { scope: 'openid orders.read offline_access' };

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      person = await scene.person();
      spa = await scene.relyingParty({ authMethod: 'none', dpopBound: true });
      key = await ProofKey.generate();
    });

    after(() => scene.close());

    it('come of a code that was bound to it, and are good with proofs of it alone', async () => {
      const authorized = await spa.authorize(scene.browser(), person, {
        ...offline,
        dpop_jkt: key.thumbprint,
      });
      const answer = await spa.redeem(authorized, {}, { dpop: await key.proof() });
      expect(answer.status, answer.text).to.equal(200);
      expect(answer.json.token_type).to.equal('DPoP');
      const token = String(answer.json.access_token);
      expect(claimsOf(token)).to.deep.include({ cnf: { jkt: key.thumbprint } });
      expect(claimsOf(token).aud).to.deep.equal([RESOURCE, `${ISSUER}/oauth2/userinfo`]);

      const htu = `${ISSUER}/oauth2/userinfo`;
      const ath = createHash('sha256').update(token).digest('base64url');
      const dpop = await key.proof({ htm: 'GET', htu, ath });
      const right = await ask(scene.node, '/oauth2/userinfo', {
        headers: { authorization: `DPoP ${token}`, dpop },
      });
      expect(right.status, right.text).to.equal(200);
      const stranger = await ProofKey.generate();
      const wrong: Readonly<Record<string, Record<string, string>>> = {
        'as a bearer token': { authorization: `Bearer ${token}` },
        'without a proof': { authorization: `DPoP ${token}` },
        'with another key': {
          authorization: `DPoP ${token}`,
          dpop: await stranger.proof({ htm: 'GET', htu, ath }),
        },
        'for another token': {
          authorization: `DPoP ${token}`,
          dpop: await key.proof({
            htm: 'GET',
            htu,
            ath: createHash('sha256').update('x').digest('base64url'),
          }),
        },
        'without the token': { authorization: `DPoP ${token}`, dpop: await key.proof({ htm: 'GET', htu }) },
        'for another address': { authorization: `DPoP ${token}`, dpop: await key.proof({ htm: 'GET', ath }) },
        'for another method': {
          authorization: `DPoP ${token}`,
          dpop: await key.proof({ htm: 'POST', htu, ath }),
        },
        again: { authorization: `DPoP ${token}`, dpop },
      };
      for (const [of, headers] of Object.entries(wrong)) {
        const refused = await ask(scene.node, '/oauth2/userinfo', { headers });
        expect(refused.status, of).to.be.oneOf([400, 401]);
        expect(refused.text, of).to.not.include(person.userId);
      }
    });

    it('are refreshed with the same key (RFC 9449 §5)', async () => {
      const authorized = await spa.authorize(scene.browser(), person, {
        ...offline,
        dpop_jkt: key.thumbprint,
      });
      const { json } = await spa.redeem(authorized, {}, { dpop: await key.proof() });
      const stranger = await ProofKey.generate();
      const bare = await spa.refresh(json.refresh_token);
      expect(bare.status).to.equal(400);
      const stolen = await spa.refresh(json.refresh_token, {}, { dpop: await stranger.proof() });
      expect(stolen.json.error).to.equal('invalid_grant');
      const right = await spa.refresh(json.refresh_token, {}, { dpop: await key.proof() });
      expect(right.status, right.text).to.equal(200);
      expect(right.json.token_type).to.equal('DPoP');
      expect(claimsOf(right.json.access_token)).to.deep.include({ cnf: { jkt: key.thumbprint } });
    });

    it('are the only ones that a client gets which says so', async () => {
      const authorized = await spa.authorize(scene.browser(), person);
      const answer = await spa.redeem(authorized);
      expect(answer.status).to.equal(400);
      expect(answer.text).to.not.include('access_token');
      expect((await userinfo(scene.node, 'x')).status).to.equal(401);
    });

    it('are bound by the proof that came with the pushed request, too (RFC 9449 §10.1)', async () => {
      const request = spa.begin();
      const pushed = await spa.post(
        '/oauth2/par',
        { ...request.parameters },
        { dpop: await key.proof({ htu: `${ISSUER}/oauth2/par` }) },
      );
      expect(pushed.status, pushed.text).to.equal(201);
      const query = new URLSearchParams({
        client_id: spa.client.clientId,
        request_uri: String(pushed.json.request_uri),
      });
      const browser = scene.browser();
      await browser.get(`/oauth2/authorize?${query}`);
      const { departure } = await walk(browser, person);
      const code = String(departure?.parameters.code);
      const stranger = await ProofKey.generate();
      const stolen = await spa.redeem({ request, code }, {}, { dpop: await stranger.proof() });
      expect(stolen.json.error).to.equal('invalid_grant');
    });
  });
});
