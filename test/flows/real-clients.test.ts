import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { JwtVerifier } from 'aws-jwt-verify';
import { expect } from 'chai';
import buildGetJwks from 'get-jwks';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import jwksClient from 'jwks-rsa';
import * as oauth from 'oauth4webapi';
import * as oidc from 'openid-client';
import type { RunningServer } from '../../src/server.js';
import { freshSqlite } from '../support/databases.js';
import { Cluster, get, RESOURCE, type SeededClient, token } from '../support/nodes.js';
import type { FreshDatabase } from '../support/postgres.js';

/** Other people's clients and verifiers know the issuer only, so this node listens where its issuer says. */
async function freePort(): Promise<number> {
  const server: Server = createServer();
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise(done => server.close(done));
  return port;
}

const RSA = 'https://api.example.test/rsa';

describe('other people’s clients and verifiers', () => {
  let database: FreshDatabase;
  let cluster: Cluster;
  let node: RunningServer;
  let client: SeededClient;
  let issuer: string;

  before(async () => {
    database = await freshSqlite();
    const port = await freePort();
    issuer = `http://127.0.0.1:${port}`;
    cluster = new Cluster({
      url: database.url,
      env: {
        CLAVIGER_ISSUER: issuer,
        CLAVIGER_HTTP_PORT: String(port),
        CLAVIGER_HTTP_HOST: '127.0.0.1',
      },
    });
    node = await cluster.start();
    await cluster.resourceServer();
    await cluster.resourceServer({ identifier: RSA, scopes: ['orders.read'], alg: 'RS256' });
    client = await cluster.client({
      resources: [
        { identifier: RESOURCE, scopes: ['orders.read', 'orders.write'], isDefault: true },
        { identifier: RSA, scopes: ['orders.read'] },
      ],
    });
  });

  after(async () => {
    await cluster.close();
    await database.drop();
  });

  async function issued(resource: string): Promise<string> {
    const response = await fetch(`${issuer}/oauth2/token`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}`,
      },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
    });
    return String(((await response.json()) as { access_token?: string }).access_token);
  }

  for (const resource of [RESOURCE, RSA]) {
    it(`jose verifies a token for ${resource} by createRemoteJWKSet`, async () => {
      const jwks = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
      const { payload } = await jwtVerify(await issued(resource), jwks, {
        issuer,
        audience: resource,
        typ: 'at+jwt',
      });
      expect(payload.client_id).to.equal(client.clientId);
    });

    it(`jwks-rsa finds the key of a token for ${resource}, and node:crypto verifies with it`, async () => {
      const jwt = await issued(resource);
      const keys = jwksClient({ jwksUri: `${issuer}/.well-known/jwks.json` });
      const header = JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()) as {
        kid: string;
        alg: string;
      };
      const key = await keys.getSigningKey(header.kid);
      const { createPublicKey } = await import('node:crypto');
      const { payload } = await jwtVerify(jwt, createPublicKey(key.getPublicKey()), {
        issuer,
        audience: resource,
        algorithms: [header.alg],
      });
      expect(payload.aud).to.equal(resource);
    });

    it(`get-jwks finds the key of a token for ${resource} by the issuer's own discovery`, async () => {
      const jwt = await issued(resource);
      const header = JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()) as {
        kid: string;
        alg: string;
      };
      const getJwks = buildGetJwks({ providerDiscovery: true, issuersWhitelist: [issuer] });
      const pem = await getJwks.getPublicKey({ domain: issuer, alg: header.alg, kid: header.kid });
      const { createPublicKey } = await import('node:crypto');
      const { payload } = await jwtVerify(jwt, createPublicKey(pem), { issuer, audience: resource });
      expect(payload.aud).to.equal(resource);
    });

    it(`aws-jwt-verify verifies a token for ${resource}; IT REFUSES http: ITS KEY SET IS FETCHED BY THE TEST`, async () => {
      const verifier = JwtVerifier.create({
        issuer,
        audience: resource,
        jwksUri: 'https://not-asked.example/jwks.json',
      });
      verifier.cacheJwks((await get(node, '/.well-known/jwks.json')).json as never);
      const claims = await verifier.verify(await issued(resource));
      expect(claims.client_id).to.equal(client.clientId);
    });
  }

  for (const method of ['client_secret_basic', 'client_secret_post'] as const) {
    it(`openid-client discovers, obtains, introspects and revokes with ${method}`, async () => {
      const own = await cluster.client({ authMethod: method });
      const auth =
        method === 'client_secret_basic'
          ? oidc.ClientSecretBasic(own.clientSecret)
          : oidc.ClientSecretPost(own.clientSecret);
      const configuration = await oidc.discovery(new URL(issuer), own.clientId, undefined, auth, {
        execute: [oidc.allowInsecureRequests],
      });
      expect(configuration.serverMetadata().jwks_uri).to.equal(`${issuer}/.well-known/jwks.json`);
      const tokens = await oidc.clientCredentialsGrant(configuration, {
        scope: 'orders.read',
        resource: RESOURCE,
      });
      expect(tokens.scope).to.equal('orders.read');
      expect((await oidc.tokenIntrospection(configuration, tokens.access_token)).active).to.equal(true);
      await oidc.tokenRevocation(configuration, tokens.access_token);
      expect((await oidc.tokenIntrospection(configuration, tokens.access_token)).active).to.equal(false);
    });

    for (const algorithm of ['oidc', 'oauth2'] as const) {
      it(`oauth4webapi discovers by ${algorithm}, obtains, introspects and revokes with ${method}`, async () => {
        const own = await cluster.client({ authMethod: method });
        const insecure = { [oauth.allowInsecureRequests]: true };
        const url = new URL(issuer);
        const as = await oauth.processDiscoveryResponse(
          url,
          await oauth.discoveryRequest(url, { algorithm, ...insecure }),
        );
        const me: oauth.Client = { client_id: own.clientId };
        const auth =
          method === 'client_secret_basic'
            ? oauth.ClientSecretBasic(own.clientSecret)
            : oauth.ClientSecretPost(own.clientSecret);
        const tokens = await oauth.processClientCredentialsResponse(
          as,
          me,
          await oauth.clientCredentialsGrantRequest(as, me, auth, new URLSearchParams(), insecure),
        );
        const seen = async () =>
          oauth.processIntrospectionResponse(
            as,
            me,
            await oauth.introspectionRequest(as, me, auth, tokens.access_token, insecure),
          );
        expect((await seen()).active).to.equal(true);
        await oauth.processRevocationResponse(
          await oauth.revocationRequest(as, me, auth, tokens.access_token, insecure),
        );
        expect((await seen()).active).to.equal(false);
      });
    }
  }

  it('oauth4webapi obtains a DPoP-bound token (RFC 9449)', async () => {
    const insecure = { [oauth.allowInsecureRequests]: true };
    const url = new URL(issuer);
    const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure));
    const me: oauth.Client = { client_id: client.clientId };
    const DPoP = oauth.DPoP(me, await oauth.generateKeyPair('ES256'));
    const response = await oauth.clientCredentialsGrantRequest(
      as,
      me,
      oauth.ClientSecretBasic(client.clientSecret),
      new URLSearchParams(),
      { DPoP, ...insecure },
    );
    const tokens = await oauth.processClientCredentialsResponse(as, me, response);
    expect(tokens.token_type).to.equal('dpop');
  });

  it('a verifier that is given a token of another issuer refuses it', async () => {
    const jwks = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
    const jwt = await token(node, client);
    let refusal: unknown;
    await jwtVerify(jwt, jwks, { issuer: 'https://other.example', audience: RESOURCE }).catch(error => {
      refusal = error;
    });
    expect(refusal).to.have.property('code', 'ERR_JWT_CLAIM_VALIDATION_FAILED');
  });
});
