import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import { type Client, Provider } from 'oidc-provider';
import { createClient } from '../../src/clients/change-client.js';
import type { ClientInput } from '../../src/clients/client.js';
import { ClientStore } from '../../src/clients/client-store.js';
import { AVAILABLE_ALGORITHMS } from '../../src/config/available-algorithms.js';
import { ChangeFeed } from '../../src/database/change-feed.js';
import { RecordCache } from '../../src/database/record-cache.js';
import { installClients, metadataOf, type RecordOf } from '../../src/oidc/client-adapter.js';
import {
  ACCOUNT_CLIENT_ID,
  ACR_ONE_FACTOR,
  ACR_TWO_FACTORS,
  CLIENT_AUTH_METHODS,
  GRANT_TYPES,
  REQUEST_OBJECT_ALGORITHMS,
} from '../../src/protocol.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { freshSqlite } from '../support/databases.js';

const ISSUER = 'https://issuer.example';
const CB = 'https://client.example/cb';
const ED25519 = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };
const CIBA = 'urn:openid:params:grant-type:ciba';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';

interface BuiltClient extends Client {
  redirectUriAllowed(uri: string): boolean;
  postLogoutRedirectUriAllowed(uri: string): boolean;
  responseTypeAllowed(type: string): boolean;
  responseModeAllowed(mode: string, type: string): boolean;
}

function coreProvider(): Provider {
  const pairs = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ];
  return new Provider(ISSUER, {
    jwks: { keys: pairs.map(({ privateKey }) => privateKey.export({ format: 'jwk' })) as never[] },
    scopes: ['openid', 'offline_access', 'profile', 'email'],
    responseTypes: ['code', 'none'],
    subjectTypes: ['public', 'pairwise'],
    pairwiseIdentifier: async (_ctx, userId) => userId,
    acrValues: [ACR_ONE_FACTOR, ACR_TWO_FACTORS],
    clientAuthMethods: [...CLIENT_AUTH_METHODS],
    clientDefaults: { grant_types: [...GRANT_TYPES], response_types: [] },
    cookies: { keys: ['k'] },
    enabledJWA: {
      idTokenSigningAlgValues: [...AVAILABLE_ALGORITHMS],
      userinfoSigningAlgValues: [...AVAILABLE_ALGORITHMS],
      authorizationSigningAlgValues: [...AVAILABLE_ALGORITHMS],
      requestObjectSigningAlgValues: [...REQUEST_OBJECT_ALGORITHMS],
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32) },
      pushedAuthorizationRequests: { enabled: true },
      requestObjects: { enabled: true },
      jwtResponseModes: { enabled: true },
      jwtUserinfo: { enabled: true },
      backchannelLogout: { enabled: true },
      ciba: {
        enabled: true,
        deliveryModes: ['poll'],
        processLoginHint: async () => undefined,
        triggerAuthenticationDevice: async () => undefined,
        validateBindingMessage: async () => undefined,
        validateRequestContext: async () => undefined,
        verifyUserCode: async () => undefined,
      },
    },
  });
}

describe('clients as the core knows them', () => {
  let node: Opened;
  let provider: Provider;
  let recordOf: RecordOf;

  before(async () => {
    node = await openedDatabase(freshSqlite);
    const store = new ClientStore();
    const clients = new RecordCache({
      database: node.database,
      feed: new ChangeFeed(node.database),
      kinds: ['client'],
      size: 100,
      load: (on, id) => store.find(on, id),
    });
    provider = coreProvider();
    recordOf = installClients(provider, clients, ISSUER);
  });
  after(async () => node.close());

  async function built(input: Partial<ClientInput>): Promise<BuiltClient> {
    const { client } = await createClient(node, { name: 'shop', resources: [], ...input }, 'os:ada@example');
    const found = await provider.Client.find(client.clientId);
    if (found === undefined) throw new Error('no client');
    return found as BuiltClient;
  }

  it('accepts every kind of client that the registration accepts', async () => {
    const kinds: Partial<ClientInput>[] = [
      {},
      { redirectUris: [CB] },
      { redirectUris: [CB], authMethod: 'none' },
      { grantTypes: [DEVICE, 'refresh_token'], authMethod: 'none' },
      { grantTypes: [CIBA, 'refresh_token'] },
      { redirectUris: [CB], grantTypes: [...GRANT_TYPES] },
      {
        redirectUris: ['com.example.app:/cb', 'http://127.0.0.1/cb'],
        applicationType: 'native',
        authMethod: 'none',
      },
      { redirectUris: [CB], subjectType: 'pairwise' },
      {
        redirectUris: [CB, 'https://other.example/cb'],
        subjectType: 'pairwise',
        sectorIdentifier: 'shop.example:8443',
      },
      {
        ...{ redirectUris: [CB], responseModes: ['jwt'], authorizationSignedResponseAlg: 'ES256' },
        ...{ idTokenSignedResponseAlg: 'ES256', userinfoSignedResponseAlg: 'RS256' },
        ...{ requestObjectSigningAlg: 'EdDSA', jwks: { keys: [ED25519] }, requirePar: true, dpopBound: true },
        ...{ backchannelLogoutUri: 'https://client.example/out', backchannelLogoutSessionRequired: true },
        ...{
          defaultMaxAge: 60,
          requireAuthTime: true,
          defaultAcrValues: [ACR_TWO_FACTORS],
          contacts: ['a@b.example'],
        },
        ...{ clientUri: 'http://client.example/', policyUri: CB, tosUri: CB, initiateLoginUri: CB },
        postLogoutRedirectUris: ['https://client.example/bye'],
      },
    ];
    for (const kind of kinds) {
      const client = await built(kind);
      expect(client.grantTypes, JSON.stringify(kind)).to.have.members([...recordOf(client).grantTypes]);
      expect(client.clientSecret === undefined).to.equal(kind.authMethod === 'none');
    }
  });

  it('compares redirect URIs by our rule, not by the looser one of the core', async () => {
    const redirectUris = ['http://127.0.0.1/cb', 'com.example.app:/cb'];
    const native = await built({ redirectUris, applicationType: 'native', authMethod: 'none' });
    expect(native.redirectUriAllowed('http://127.0.0.1:4711/cb')).to.equal(true);
    expect(native.redirectUriAllowed('http://localhost:4711/cb')).to.equal(false);
    expect(native.redirectUriAllowed('http://u@127.0.0.1:4711/cb')).to.equal(false);
    const web = await built({ redirectUris: ['http://127.0.0.1/cb'], postLogoutRedirectUris: [CB] });
    expect(web.redirectUriAllowed('http://127.0.0.1:4711/cb')).to.equal(false);
    expect(web.postLogoutRedirectUriAllowed(CB)).to.equal(true);
    expect(web.postLogoutRedirectUriAllowed(`${CB}/`)).to.equal(false);
  });

  it('allows only the registered response modes (requirement 9) and response types (requirement 8)', async () => {
    const client = await built({ redirectUris: [CB] });
    for (const mode of ['query', 'form_post'])
      expect(client.responseModeAllowed(mode, 'code')).to.equal(true);
    for (const mode of ['fragment', 'jwt', 'query.jwt', 'fragment.jwt']) {
      expect(client.responseModeAllowed(mode, 'code'), mode).to.equal(false);
    }
    expect(client.responseTypeAllowed('code')).to.equal(true);
    for (const type of ['none', 'token', 'id_token'])
      expect(client.responseTypeAllowed(type), type).to.equal(false);
  });

  it('lets a client that asks for nothing about people have none of those scopes, not all of them', async () => {
    const machine = await built({});
    expect(machine.scope?.split(' ').filter(scope => scope !== '')).to.deep.equal([]);
    expect(machine.scope).to.not.equal('');
    expect((await built({ redirectUris: [CB], oidcScopes: ['openid', 'groups'] })).scope).to.equal(
      'openid groups',
    );
  });

  it('knows the client of the account pages, which has the response type none alone and is in no database', async () => {
    const client = (await provider.Client.find(ACCOUNT_CLIENT_ID)) as BuiltClient;
    expect(await provider.Client.find(ACCOUNT_CLIENT_ID)).to.equal(client);
    expect(client.responseTypeAllowed('none')).to.equal(true);
    expect(client.responseTypeAllowed('code')).to.equal(false);
    expect(client.grantTypes).to.deep.equal([]);
    expect(client.redirectUriAllowed(`${ISSUER}/account/callback`)).to.equal(true);
    expect(recordOf(client).isFirstParty).to.equal(true);
    expect(metadataOf(recordOf(client))).to.not.have.property('client_secret');
  });
});
