import { expect } from 'chai';
import {
  clientOf,
  createClient,
  disableClient,
  enableClient,
  updateClient,
} from '../../src/clients/change-client.js';
import { addClientSecret } from '../../src/clients/change-client-secret.js';
import type { ClientInput } from '../../src/clients/client.js';
import { type ClientMetadata, STANDARD_METADATA } from '../../src/clients/client-metadata.js';
import { ClientStore } from '../../src/clients/client-store.js';
import { loadConfig } from '../../src/config/load.js';
import { ACR_TWO_FACTORS } from '../../src/protocol.js';
import { type Opened, openedDatabase, refusalOf } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

const actor = 'os:ada@example';
const CB = 'https://client.example/cb';
const ED25519 = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', kid: 'a' };

/** Each field other than a client has it that says nothing. */
const EVERYTHING: ClientMetadata = {
  applicationType: 'native',
  redirectUris: [CB, 'http://127.0.0.1/cb'],
  postLogoutRedirectUris: ['https://client.example/bye'],
  responseModes: ['query', 'jwt'],
  requirePkce: false,
  requirePar: true,
  isFirstParty: true,
  oidcScopes: ['openid', 'groups'],
  alwaysIssueRefreshToken: true,
  subjectType: 'pairwise',
  sectorIdentifier: 'shop.example',
  idTokenSignedResponseAlg: 'ES256',
  userinfoSignedResponseAlg: 'ES256',
  authorizationSignedResponseAlg: 'ES256',
  requestObjectSigningAlg: 'EdDSA',
  jwks: { keys: [ED25519] },
  dpopBound: true,
  backchannelLogoutUri: 'https://client.example/logged-out',
  backchannelLogoutSessionRequired: true,
  defaultMaxAge: 600,
  requireAuthTime: true,
  defaultAcrValues: [ACR_TWO_FACTORS],
  clientUri: 'https://client.example/',
  logoUri: 'https://client.example/logo.png',
  policyUri: 'https://client.example/policy',
  tosUri: 'https://client.example/terms',
  initiateLoginUri: 'https://client.example/begin',
  contacts: ['ada@client.example'],
  allowedUsers: { groups: ['staff'], userIds: [`us_${'a'.repeat(22)}`] },
  corsOrigins: ['https://spa.client.example'],
  refreshTokenIdleAfter: 600,
  refreshTokenEndAfter: 900,
};

forEachDatabase((_name, fresh) => {
  describe('what clients register, stored', () => {
    let node: Opened;

    before(async () => {
      node = await openedDatabase(fresh);
    });
    after(async () => node.close());

    const create = async (input: Partial<ClientInput> = {}) =>
      createClient(node, { name: 'shop', redirectUris: [CB], resources: [], ...input }, actor);
    const storedOf = async (clientId: string): Promise<string> =>
      (await node.database.reader('clients').where({ client_id: clientId }).first()).metadata;
    const lastDetail = async (): Promise<Record<string, unknown>> => {
      const row = await node.database.reader('audit_events').orderBy('id', 'desc').first();
      return JSON.parse(row.detail) as Record<string, unknown>;
    };

    it('is read back whole, whatever of it differs from the usual', async () => {
      for (const field of Object.keys(EVERYTHING) as (keyof ClientMetadata)[]) {
        expect(EVERYTHING[field], field).to.not.deep.equal(STANDARD_METADATA[field]);
      }
      const { client } = await create(EVERYTHING);
      const read = await clientOf(node.database.reader, client.clientId);
      expect(read).to.deep.equal(client);
      expect(read).to.deep.include(EVERYTHING);
      expect(Object.keys(JSON.parse(await storedOf(client.clientId)))).to.have.length(
        Object.keys(EVERYTHING).length,
      );
    });

    it('is nothing at all for a client that only asks for its own tokens', async () => {
      const { client } = await create({ redirectUris: undefined });
      expect(await storedOf(client.clientId)).to.equal('{}');
      expect(client).to.deep.include(STANDARD_METADATA);
    });

    it('shares the lists of thousands of clients', async () => {
      const { client: one } = await create();
      const { client: other } = await create({ clientUri: 'https://client.example/' });
      const store = new ClientStore();
      const [first, second] = [
        await store.find(node.database.reader, one.clientId),
        await store.find(node.database.reader, other.clientId),
      ];
      expect(first?.oidcScopes).to.equal(second?.oidcScopes);
      expect(first?.redirectUris).to.equal(second?.redirectUris);
      expect(first?.corsOrigins).to.equal(STANDARD_METADATA.corsOrigins);
      expect(first?.contacts).to.equal(STANDARD_METADATA.contacts);
      expect(first?.responseTypes).to.equal(second?.responseTypes);
    });

    it('makes no secret for a public client, and refuses one later (RFC 6749 §2.1)', async () => {
      const { client, secret } = await create({ authMethod: 'none' });
      expect(secret).to.equal(undefined);
      expect(client.secrets).to.deep.equal([]);
      expect(await lastDetail()).to.not.have.property('client_secret');
      const { clientId } = client;
      const refusal = await refusalOf(addClientSecret(node, { clientId, name: 'x' }, actor));
      expect(refusal.code).to.equal('conflict');
      expect((await clientOf(node.database.reader, clientId)).secrets).to.deep.equal([]);
    });

    it('changes what is given and tells the audit log which fields, by their wire names', async () => {
      const { client } = await create();
      const { clientId } = client;
      const redirectUris = [CB, 'https://client.example/second'];
      const changed = await updateClient(
        node,
        { clientId, redirectUris, isFirstParty: true, dpopBound: false },
        actor,
      );
      expect(changed).to.deep.equal({
        ...client,
        redirectUris,
        isFirstParty: true,
        updatedAt: changed.updatedAt,
      });
      const detail = await lastDetail();
      expect(detail.changed).to.have.members(['redirect_uris', 'first_party']);
      expect(detail).to.deep.include({ redirect_uris: redirectUris, first_party: true });
      await updateClient(node, { clientId, isFirstParty: false }, actor);
      expect((await lastDetail()).changed).to.deep.equal(['first_party']);
    });

    it('takes away what may be absent, and nothing else, by null', async () => {
      const { client } = await create(EVERYTHING);
      const { clientId } = client;
      const less = await updateClient(node, { clientId, clientUri: null, refreshTokenEndAfter: null }, actor);
      expect(less).to.deep.equal({
        ...client,
        clientUri: undefined,
        refreshTokenEndAfter: undefined,
        updatedAt: less.updatedAt,
      });
      expect((await lastDetail()).changed).to.have.members(['client_uri', 'refresh_token_end_after']);
    });

    it('lets what follows from the rest follow it, until somebody names it', async () => {
      const { client } = await create({ authMethod: 'none', subjectType: 'pairwise' });
      const { clientId } = client;
      expect(client).to.deep.include({
        corsOrigins: ['https://client.example'],
        sectorIdentifier: 'client.example',
      });
      const moved = await updateClient(node, { clientId, redirectUris: ['https://new.example/cb'] }, actor);
      expect(moved).to.deep.include({
        corsOrigins: ['https://new.example'],
        sectorIdentifier: 'new.example',
      });
      const grantTypes = ['authorization_code'] as const;
      const online = await updateClient(node, { clientId, grantTypes, corsOrigins: [] }, actor);
      expect(online.oidcScopes).to.not.include('offline_access');
      const kept = await updateClient(node, { clientId, redirectUris: [CB] }, actor);
      expect(kept).to.deep.include({ corsOrigins: [], sectorIdentifier: 'client.example' });
    });

    it('survives being disabled and enabled, and checks an update against what the client is then', async () => {
      const { client } = await create(EVERYTHING);
      const { clientId } = client;
      await disableClient(node, { clientId }, actor);
      expect(await enableClient(node, { clientId }, actor)).to.deep.include(EVERYTHING);
      // It does without PKCE, which a public client never may (requirement 10).
      const refusal = await refusalOf(updateClient(node, { clientId, authMethod: 'none' }, actor));
      expect(refusal.faults.map(({ at }) => at)).to.deep.equal(['require_pkce']);
    });

    it('allows http at localhost and custom scopes only where the configuration does', async () => {
      const input = { redirectUris: ['http://localhost:3000/cb'], oidcScopes: ['openid', 'staff'] };
      const refusal = await refusalOf(create(input));
      expect(refusal.faults.map(({ at }) => at)).to.deep.equal(['redirect_uris[0]', 'oidc_scopes[1]']);
      const env = {
        CLAVIGER_ENVIRONMENT: 'development',
        CLAVIGER_USERS_CLAIM_SCOPES: 'staff:employee_id',
        CLAVIGER_REFRESH_TOKENS_END_AFTER: '40d',
        CLAVIGER_KEYS_ALGORITHMS: 'RS256',
      };
      const { config } = loadConfig({ env, cwd: '/nonexistent' });
      const made = await createClient({ ...node, config }, { name: 'dev', resources: [], ...input }, actor);
      expect(made.client).to.deep.include(input);
      const { clientId } = made.client;
      const wrong = { idTokenSignedResponseAlg: 'ES256', refreshTokenEndAfter: 41 * 24 * 3600 } as const;
      const bounded = await refusalOf(updateClient({ ...node, config }, { clientId, ...wrong }, actor));
      expect(bounded.faults.map(({ at }) => at)).to.deep.equal([
        'id_token_signed_response_alg',
        'refresh_token_end_after',
      ]);
    });
  });
});
