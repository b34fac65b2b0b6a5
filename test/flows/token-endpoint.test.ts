import { expect } from 'chai';
import { createLocalJWKSet, createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { ProofKey } from '../support/dpop.js';
import {
  basic,
  Cluster,
  get,
  ISSUER,
  post,
  RESOURCE,
  type SeededClient,
  token,
  urlOf,
} from '../support/nodes.js';

const BILLING = 'https://api.example.test/billing';
const RSA = 'https://api.example.test/rsa';
const OPAQUE = 'https://api.example.test/opaque';
const FOREIGN = 'https://api.example.test/foreign';

describe('the token endpoint', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let node: RunningServer;
    let client: SeededClient;

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      node = await cluster.start();
      await cluster.resourceServer();
      await cluster.resourceServer({ identifier: BILLING, scopes: ['bills.read'], accessTokenFor: 300 });
      await cluster.resourceServer({ identifier: RSA, scopes: ['rsa.read'], alg: 'RS256' });
      await cluster.resourceServer({ identifier: OPAQUE, scopes: ['o.read'], accessTokenFormat: 'opaque' });
      await cluster.resourceServer({ identifier: FOREIGN, scopes: ['secret.read'] });
      client = await cluster.client({
        resources: [
          {
            identifier: RESOURCE,
            scopes: ['orders.read', 'orders.write'],
            defaultScopes: ['orders.read'],
            isDefault: true,
          },
          { identifier: BILLING, scopes: ['bills.read'] },
          { identifier: RSA, scopes: ['rsa.read'] },
          { identifier: OPAQUE, scopes: ['o.read'] },
        ],
      });
    });

    after(() => cluster.close());

    function ask(form: Readonly<Record<string, string>> = {}, headers: Record<string, string> = {}) {
      return post(
        node,
        '/oauth2/token',
        { grant_type: 'client_credentials', ...form },
        { ...basic(client), ...headers },
      );
    }

    it('gives the default scopes of the default resource server to a request that names neither (RFC 6749 §3.3, RFC 8707 §2)', async () => {
      const answer = await ask();
      expect(answer.status).to.equal(200);
      expect(answer.json).to.have.all.keys('access_token', 'expires_in', 'token_type', 'scope');
      expect(answer.json.scope).to.equal('orders.read');
      expect(answer.json.token_type).to.equal('Bearer');
      expect(answer.json.expires_in).to.equal(600);
      expect(answer.headers.get('cache-control')).to.equal('no-store');
      expect(decodeJwt(String(answer.json.access_token)).aud).to.equal(RESOURCE);
    });

    it('grants a subset of the allowed scopes and says which (RFC 6749 §5.1)', async () => {
      const one = await ask({ scope: 'orders.write' });
      expect(one.json.scope).to.equal('orders.write');
      const both = await ask({ scope: 'orders.write orders.read' });
      expect(String(both.json.scope).split(' ')).to.have.members(['orders.read', 'orders.write']);
    });

    for (const scope of [
      'orders.delete',
      'bills.read',
      'openid',
      'offline_access',
      'orders.read secret.read',
    ]) {
      it(`refuses the whole request for scope "${scope}" (invalid_scope, RFC 6749 §5.2)`, async () => {
        const answer = await ask({ scope });
        expect([answer.status, answer.json.error]).to.deep.equal([400, 'invalid_scope']);
      });
    }

    it('issues for the resource server that the request names, for its lifetime (RFC 8707 §2)', async () => {
      const answer = await ask({ resource: BILLING });
      expect(answer.json.scope).to.equal('bills.read');
      expect(answer.json.expires_in).to.equal(300);
      expect(decodeJwt(String(answer.json.access_token)).aud).to.equal(BILLING);
    });

    for (const resource of [
      FOREIGN,
      'https://nobody.example.test/',
      `${RESOURCE}/`,
      RESOURCE.toUpperCase(),
      'not a uri',
      `${RESOURCE}#f`,
    ]) {
      it(`refuses resource ${resource} (invalid_target, RFC 8707 §2)`, async () => {
        const answer = await ask({ resource });
        expect([answer.status, answer.json.error]).to.deep.equal([400, 'invalid_target']);
      });
    }

    it('issues for one resource server at a time (RFC 8707 §2.2)', async () => {
      const form = new URLSearchParams({ grant_type: 'client_credentials', resource: RESOURCE });
      form.append('resource', BILLING);
      const answer = await post(node, '/oauth2/token', form.toString(), basic(client));
      expect([answer.status, answer.json.error]).to.deep.equal([400, 'invalid_target']);
    });

    it('signs with RS256 for a resource server that asks for it', async () => {
      const answer = await ask({ resource: RSA });
      const jwt = String(answer.json.access_token);
      expect(decodeProtectedHeader(jwt).alg).to.equal('RS256');
      const jwks = createRemoteJWKSet(new URL(urlOf(node, '/.well-known/jwks.json')));
      const { payload } = await jwtVerify(jwt, jwks, { issuer: ISSUER, audience: RSA, typ: 'at+jwt' });
      expect(payload.scope).to.equal('rsa.read');
    });

    it('puts into a JWT access token what RFC 9068 §2 asks for, at most 15 minutes, and nothing personal (requirement 55)', async () => {
      const jwt = await token(node, client, { scope: 'orders.read' });
      const claims = decodeJwt(jwt);
      expect(claims).to.have.all.keys('iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'client_id', 'scope');
      expect(decodeProtectedHeader(jwt)).to.have.all.keys('alg', 'typ', 'kid');
      expect(claims.iss).to.equal(ISSUER);
      expect(claims.sub).to.equal(client.clientId);
      expect(claims.client_id).to.equal(client.clientId);
      expect(Number(claims.exp) - Number(claims.iat)).to.be.at.most(900);
      expect(String(claims.jti)).to.have.length.of.at.least(22);
    });

    it('gives an opaque token that introspection explains and revocation ends', async () => {
      const opaque = String((await ask({ resource: OPAQUE })).json.access_token);
      expect(opaque).to.not.include('.');
      expect(opaque).to.have.length.of.at.least(22);
      const before = await post(node, '/oauth2/introspect', { token: opaque }, basic(client));
      expect(before.json).to.include({
        active: true,
        client_id: client.clientId,
        scope: 'o.read',
        aud: OPAQUE,
        iss: ISSUER,
        token_type: 'Bearer',
      });
      const revoked = await post(node, '/oauth2/revoke', { token: opaque }, basic(client));
      expect(revoked.status).to.equal(200);
      const after = await post(node, '/oauth2/introspect', { token: opaque }, basic(client));
      expect(after.text).to.equal('{"active":false}');
    });

    it('binds a token to the key of a DPoP proof (RFC 9449 §5, §6.1)', async () => {
      const key = await ProofKey.generate();
      const answer = await ask({}, { dpop: await key.proof() });
      expect(answer.status, answer.text).to.equal(200);
      expect(answer.json.token_type).to.equal('DPoP');
      const jwt = String(answer.json.access_token);
      expect(decodeJwt(jwt).cnf).to.deep.equal({ jkt: key.thumbprint });
      const seen = await post(node, '/oauth2/introspect', { token: jwt }, basic(client));
      expect(seen.json).to.deep.include({
        active: true,
        token_type: 'DPoP',
        cnf: { jkt: key.thumbprint },
      });
    });

    it('refuses a proof for another address, another method, or of another day (invalid_dpop_proof, RFC 9449 §4.3)', async () => {
      const key = await ProofKey.generate();
      for (const claims of [
        { htu: 'https://evil.example/oauth2/token' },
        { htu: `http://127.0.0.1:${node.port}/oauth2/token` },
        { htm: 'GET' },
      ]) {
        const answer = await ask({}, { dpop: await key.proof(claims) });
        expect([answer.status, answer.json.error], JSON.stringify(claims)).to.deep.equal([
          400,
          'invalid_dpop_proof',
        ]);
      }
      const garbage = await ask({}, { dpop: 'x.y.z' });
      expect([garbage.status, garbage.json.error]).to.deep.equal([400, 'invalid_dpop_proof']);
    });

    const REFUSED_GRANTS: readonly (readonly [grantType: string, errors: readonly string[]])[] = [
      ['authorization_code', ['unauthorized_client', 'unsupported_grant_type']],
      ['refresh_token', ['unauthorized_client', 'unsupported_grant_type']],
      ['urn:ietf:params:oauth:grant-type:device_code', ['unauthorized_client', 'unsupported_grant_type']],
      ['urn:openid:params:grant-type:ciba', ['unauthorized_client', 'unsupported_grant_type']],
      ['urn:ietf:params:oauth:grant-type:token-exchange', ['unauthorized_client', 'unsupported_grant_type']],
      ['urn:ietf:params:oauth:grant-type:jwt-bearer', ['unauthorized_client', 'unsupported_grant_type']],
      ['password', ['unsupported_grant_type']],
      ['implicit', ['unsupported_grant_type']],
      ['Client_Credentials', ['unsupported_grant_type']],
      ['__proto__', ['unsupported_grant_type']],
      ['constructor', ['unsupported_grant_type']],
    ];
    for (const [grantType, errors] of REFUSED_GRANTS) {
      it(`refuses grant_type ${grantType} with ${errors.join(' or ')} (RFC 6749 §5.2, requirement 34)`, async () => {
        const answer = await ask({
          grant_type: grantType,
          code: 'x',
          refresh_token: 'x',
          device_code: 'x',
          auth_req_id: 'x',
          assertion: 'x',
          subject_token: 'x',
          username: 'ada',
          password: 'x',
          redirect_uri: 'https://app.example.test/cb',
        });
        expect(answer.status).to.equal(400);
        expect(errors).to.include(answer.json.error);
        expect(answer.json).to.not.have.property('access_token');
        expect(answer.headers.get('cache-control')).to.equal('no-store');
      });
    }

    it('lets a verifier that fetched the key set once verify every token', async () => {
      const jwks = createLocalJWKSet((await get(node, '/.well-known/jwks.json')).json as never);
      const jtis = new Set<unknown>();
      for (let count = 0; count < 20; count += 1) {
        const { payload } = await jwtVerify(await token(node, client), jwks, { audience: RESOURCE });
        jtis.add(payload.jti);
      }
      expect(jtis.size).to.equal(20);
    });
  });
});
