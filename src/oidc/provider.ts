import { type Configuration, Provider } from 'oidc-provider';
import type { RequestFacts } from '../audit/events.js';
import type { ClientRecord } from '../clients/client.js';
import type { SecretUses } from '../clients/secret-uses.js';
import { AVAILABLE_ALGORITHMS } from '../config/available-algorithms.js';
import type { Config } from '../config/config.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import type { Database } from '../database/connect.js';
import type { RecordCache } from '../database/record-cache.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { GuardedFetch, GuardedInit } from '../outbound/guarded-fetch.js';
import {
  ACR_ONE_FACTOR,
  ACR_TWO_FACTORS,
  CLIENT_AUTH_METHODS,
  GRANT_TYPES,
  REQUEST_OBJECT_ALGORITHMS,
} from '../protocol.js';
import type { ResourceServer } from '../resources/resource-server.js';
import type { User } from '../users/user.js';
import { installAccessTokenHash } from './access-token-hash.js';
import { Accounts, claimsByScope, identityScopes } from './accounts.js';
import { ArtifactAdapter } from './adapter.js';
import type { ArtifactStore } from './artifact-store.js';
import { type BackchannelRequests, backchannelFeature } from './backchannel-feature.js';
import { installClients, type RecordOf } from './client-adapter.js';
import { installClientAuthentication } from './client-authentication.js';
import type { CorePages } from './core-pages.js';
import type { AccessEnding } from './end-access.js';
import { existingGrant } from './existing-grant.js';
import { buildInteractionPolicy } from './interaction-policy.js';
import { pinIssuer } from './issuer-host.js';
import { lifetimes } from './lifetimes.js';
import { installLogoutNotices } from './logout-notices.js';
import { asksOffline, installOfflineAccess } from './offline-access.js';
import { installOwnAccessTokens, type OwnAccessTokensParts } from './own-access-tokens.js';
import { deviceSources, logoutSources, renderErrorOf } from './page-sources.js';
import type { PairwiseSubjects } from './pairwise-subjects.js';
import type { PollLimit } from './polling.js';
import { installRefreshRotation, mayRotate, type RefreshRotation } from './refresh-rotation.js';
import { installReplayDetection } from './replay-detection.js';
import { ResourceIndicators } from './resource-indicators.js';
import { installResponseRules } from './response-rules.js';
import { ROUTES } from './routes.js';
import { stampTokens, userTokenClaims } from './token-claims.js';
import type { TokenPolicy } from './token-policy.js';
import type { StatusLists } from './token-status.js';
import { installUnsavedSessions } from './unsaved-sessions.js';

export interface ProviderParts {
  readonly config: Config;
  readonly database: Database;
  readonly artifacts: ArtifactStore;
  readonly clients: RecordCache<ClientRecord>;
  readonly resources: RecordCache<ResourceServer>;
  readonly ring: KeyRing;
  readonly statusLists: StatusLists;
  readonly secretUses: SecretUses;
  readonly hasher: SecretHasher;
  readonly cookieKeys: readonly string[];
  readonly dpopNonceSecret: Buffer;
  readonly tokenPolicy: TokenPolicy;
  readonly users: RecordCache<User>;
  readonly rotation: RefreshRotation;
  readonly polls: PollLimit;
  readonly subjects: PairwiseSubjects;
  readonly ending: AccessEnding;
  readonly pages: CorePages;
  readonly backchannel: BackchannelRequests;
  readonly ownAccessTokens: OwnAccessTokensParts;
  readonly fetch: GuardedFetch;
  /** The database's clock as this node knows it, milliseconds. */
  readonly databaseNow: () => number;
}

export const DPOP_ALGORITHMS = ['ES256', 'EdDSA'] as const;

export interface BuiltProvider {
  readonly provider: Provider;
  readonly recordOf: RecordOf;
}

/** One way to build a Provider, so that the first and every later one of a process are hardened alike. */
export function buildProvider(parts: ProviderParts, jwks: { keys: unknown[] }): BuiltProvider {
  let installed: RecordOf | undefined;
  const recordOf: RecordOf = client => {
    if (installed === undefined) throw new TypeError('the provider is not complete yet');
    return installed(client);
  };
  const { config, tokenPolicy, pages, databaseNow } = parts;
  const identity = identityScopes(config);
  const indicators = new ResourceIndicators(recordOf, identity, parts);
  const accounts = new Accounts(parts.users, recordOf, config);
  const isHttps = config.issuer.startsWith('https:');
  const configuration: Configuration = {
    adapter: model => new ArtifactAdapter(model, parts),
    jwks: jwks as NonNullable<Configuration['jwks']>,
    routes: ROUTES,
    scopes: identity,
    claims: claimsByScope(config),
    acrValues: [ACR_ONE_FACTOR, ACR_TWO_FACTORS],
    subjectTypes: ['public', 'pairwise'],
    pairwiseIdentifier: async (_ctx, userId, client) => parts.subjects.pairwise(recordOf(client), userId),
    // `none` is for the account pages, whose client wants a session and no code.
    responseTypes: ['code', 'none'],
    clientAuthMethods: [...CLIENT_AUTH_METHODS],
    clientDefaults: {
      grant_types: [...GRANT_TYPES],
      response_types: [],
      id_token_signed_response_alg: 'RS256',
      token_endpoint_auth_method: 'client_secret_basic',
    },
    // What this runtime could sign; what has an active key is set from the ring (`current-provider`).
    // HS256 and the like would need readable secrets; `none` and HS are refused everywhere.
    enabledJWA: {
      clientAuthSigningAlgValues: ['ES256', 'RS256', 'PS256', 'EdDSA'],
      idTokenSigningAlgValues: [...AVAILABLE_ALGORITHMS],
      requestObjectSigningAlgValues: [...REQUEST_OBJECT_ALGORITHMS],
      userinfoSigningAlgValues: [...AVAILABLE_ALGORITHMS],
      introspectionSigningAlgValues: [...AVAILABLE_ALGORITHMS],
      authorizationSigningAlgValues: [...AVAILABLE_ALGORITHMS],
      dPoPSigningAlgValues: [...DPOP_ALGORITHMS],
    },
    findAccount: accounts.find,
    loadExistingGrant: existingGrant({ ...parts, recordOf, identityScopes: new Set(identity) }),
    interactions: {
      policy: buildInteractionPolicy(recordOf),
      url: (_ctx, { uid }) => `${new URL(config.issuer).pathname.replace(/\/$/, '')}/interaction/${uid}`,
    },
    pkce: { required: (_ctx, client) => recordOf(client).requirePkce },
    allowOmittingSingleRegisteredRedirectUri: false,
    conformIdTokenClaims: true,
    issueRefreshToken: (_ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') && asksOffline(recordOf(client), source.scopes),
    expiresWithSession: ({ oidc: { client } }, source) =>
      client === undefined || !asksOffline(recordOf(client), source.scopes),
    rotateRefreshToken: mayRotate(config.refreshTokens, recordOf),
    extraTokenClaims: userTokenClaims(parts.artifacts),
    // Whatever of a client the core may ever fetch, it fetches through the guard.
    fetch: (url, init) => parts.fetch(url, init as GuardedInit),
    sectorIdentifierUriValidate: () => false,
    // Origins are judged after the core, which would tell strangers which clients exist.
    clientBasedCORS: () => false,
    cookies: {
      keys: [...parts.cookieKeys],
      // RFC 6265bis §4.1.3: a browser takes them from this host alone, over TLS; two of them have a path.
      names: isHttps
        ? { session: '__Host-session', interaction: '__Secure-interaction', resume: '__Secure-resume' }
        : { session: 'session', interaction: 'interaction', resume: 'resume' },
      long: { signed: true, httpOnly: true, sameSite: 'lax', secure: isHttps },
      short: { signed: true, httpOnly: true, sameSite: 'lax', secure: isHttps },
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      claimsParameter: { enabled: true },
      dPoP: { enabled: true, nonceSecret: parts.dpopNonceSecret },
      // Lets a key be published whose private half does not exist (retained) or stays sealed (announced).
      externalSigningSupport: { enabled: true, ack: 'experimental-01' },
      introspection: { enabled: true, allowedPolicy: tokenPolicy.mayIntrospect },
      revocation: { enabled: true, allowedPolicy: tokenPolicy.mayRevoke },
      pushedAuthorizationRequests: { enabled: true },
      requestObjects: { enabled: true },
      jwtResponseModes: { enabled: true },
      jwtUserinfo: { enabled: true },
      rpInitiatedLogout: logoutSources(pages, recordOf),
      backchannelLogout: { enabled: true },
      userinfo: { enabled: true },
      deviceFlow: {
        enabled: true,
        charset: 'base-20',
        mask: '****-****',
        deviceInfo: ctx => ({ ip: (ctx.state.facts as RequestFacts).ip ?? '', ua: '' }),
        ...deviceSources(pages, recordOf),
      },
      ciba: backchannelFeature(parts.backchannel, recordOf),
      resourceIndicators: {
        enabled: true,
        defaultResource: indicators.defaultResource,
        getResourceServerInfo: indicators.getResourceServerInfo,
        useGrantedResource: () => true,
      },
    },
    formats: { customizers: { jwt: stampTokens(parts, parts.ownAccessTokens.userinfoUrl) } },
    ttl: lifetimes(config, recordOf, databaseNow),
    renderError: renderErrorOf(pages, recordOf),
  };
  const provider = new Provider(config.issuer, configuration);
  pinIssuer(provider, config.issuer);
  installed = installClients(provider, parts.clients, config.issuer);
  installClientAuthentication(provider, installed, parts);
  installReplayDetection(provider, parts);
  installResponseRules(provider);
  installRefreshRotation(provider, parts.rotation);
  installOfflineAccess(provider);
  installOwnAccessTokens(provider, parts.ownAccessTokens);
  installAccessTokenHash(provider);
  installUnsavedSessions(provider);
  installLogoutNotices(provider, installed, parts);
  return { provider, recordOf };
}
