import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import {
  ask,
  claimsOf,
  type Person,
  type RelyingParty,
  Scene,
  walk,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { ISSUER } from '../../support/nodes.js';

describe('a request object and what stands beside it', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;
    let sign: (claims: Record<string, unknown>) => Promise<string>;
    let canary: Server;
    let connections = 0;

    before(async () => {
      canary = createServer((_request, response) => response.end('x.y.z'));
      canary.on('connection', () => {
        connections += 1;
      });
      await new Promise<void>(resolve => canary.listen(0, '127.0.0.1', resolve));
      const env = { CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '127.0.0.0/8' };
      scene = await Scene.open({ url: (await fresh()).url, env });
      person = await scene.person();
      const { privateKey, publicKey } = await generateKeyPair('ES256');
      const key = { ...(await exportJWK(publicKey)), alg: 'ES256', use: 'sig', kid: 'k' };
      shop = await scene.relyingParty({ jwks: { keys: [key] }, requestObjectSigningAlg: 'ES256' });
      const { clientId } = shop.client;
      sign = claims =>
        new SignJWT({ ...claims, iss: clientId, aud: ISSUER })
          .setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'oauth-authz-req+jwt' })
          .setIssuedAt()
          .setExpirationTime('1m')
          .sign(privateKey);
    });

    after(async () => {
      await scene.close();
      canary.close();
    });

    it('of nonce and scope in the tokens counts what was signed, not what was added (requirement 24)', async () => {
      const inside = shop.begin({ nonce: 'inside' });
      const request = await sign(inside.parameters);
      const beside = { nonce: 'outside', scope: 'openid email orders.read orders.write' };
      const { clientId: client_id } = shop.client;
      const browser = scene.browser();
      await browser.get(`/oauth2/authorize?${new URLSearchParams({ ...beside, client_id, request })}`);
      const { departure } = await walk(browser, person);
      const answer = await shop.redeem({ request: inside, code: String(departure?.parameters.code) });
      expect(answer.status, answer.text).to.equal(200);
      expect(claimsOf(answer.json.id_token).nonce).to.equal('inside');
      expect(String(claimsOf(answer.json.access_token).scope).split(' ').sort()).to.deep.equal([
        'openid',
        'orders.read',
      ]);
      // The control: signed, the same parameters do count.
      const both = shop.begin({ ...beside });
      const signed = new URLSearchParams({ client_id, request: await sign(both.parameters) });
      await browser.get(`/oauth2/authorize?${signed}`);
      const { departure: second } = await walk(browser, person);
      const wide = await shop.redeem({ request: both, code: String(second?.parameters.code) });
      expect(claimsOf(wide.json.id_token).nonce).to.equal('outside');
      expect(String(claimsOf(wide.json.access_token).scope)).to.include('orders.write');
    });

    it('is never fetched by its address: nobody calls a listener that is allowed to be called (requirement 22)', async () => {
      const { port } = canary.address() as AddressInfo;
      const { parameters } = shop.begin();
      for (const host of ['127.0.0.1', 'localhost']) {
        const request_uri = `http://${host}:${port}/request.jwt`;
        const answer = await ask(scene.node, shop.begin({ request_uri }).path);
        expect(answer.headers.get('location') ?? answer.text).to.match(
          /request_uri_not_supported|invalid_request/,
        );
        expect((await shop.post('/oauth2/par', { ...parameters, request_uri })).status).to.equal(400);
      }
      expect(connections).to.equal(0);
      // The control: the listener hears who does call.
      await fetch(`http://127.0.0.1:${port}/`);
      expect(connections).to.equal(1);
    });
  });
});
