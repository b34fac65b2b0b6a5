import { type Configuration, Provider } from 'oidc-provider';
import type { ClientRecord } from '../clients/client.js';
import type { SecretUses } from '../clients/secret-uses.js';
import type { Config } from '../config/config.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import type { Database } from '../database/connect.js';
import type { RecordCache } from '../database/record-cache.js';
import type { KeyRing } from '../keys/key-ring.js';
import { CLIENT_AUTH_METHODS, GRANT_TYPES } from '../protocol.js';
import type { ResourceServer } from '../resources/resource-server.js';
import { ArtifactAdapter } from './adapter.js';
import type { ArtifactStore } from './artifact-store.js';
import { installClients, type RecordOf } from './client-adapter.js';
import { installClientAuthentication } from './client-authentication.js';
import { pinIssuer } from './issuer-host.js';
import { installReplayDetection } from './replay-detection.js';
import { ResourceIndicators } from './resource-indicators.js';
import type { TokenPolicy } from './token-policy.js';

export interface ProviderParts {
  readonly config: Config;
  readonly database: Database;
  readonly artifacts: ArtifactStore;
  readonly clients: RecordCache<ClientRecord>;
  readonly resources: RecordCache<ResourceServer>;
  readonly ring: KeyRing;
  readonly secretUses: SecretUses;
  readonly hasher: SecretHasher;
  readonly cookieKeys: readonly string[];
  readonly dpopNonceSecret: Buffer;
  readonly tokenPolicy: TokenPolicy;
  /** The database's clock as this node knows it, milliseconds. */
  readonly databaseNow: () => number;
}

export const ROUTES = {
  authorization: '/oauth2/authorize',
  code_verification: '/oauth2/device/verify',
  device_authorization: '/oauth2/device',
  end_session: '/oauth2/logout',
  introspection: '/oauth2/introspect',
  jwks: '/.well-known/jwks.json',
  pushed_authorization_request: '/oauth2/par',
  registration: '/oauth2/register',
  revocation: '/oauth2/revoke',
  token: '/oauth2/token',
  userinfo: '/oauth2/userinfo',
  backchannel_authentication: '/oauth2/ciba',
} as const;

export const DPOP_ALGORITHMS = ['ES256', 'EdDSA'] as const;

/** Paths that the core answers, with the methods they take. Whatever is not here does not exist. */
export const CORE_PATHS: ReadonlyMap<string, readonly string[]> = new Map([
  [ROUTES.token, ['POST']],
  [ROUTES.introspection, ['POST']],
  [ROUTES.revocation, ['POST']],
]);

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
  const indicators = new ResourceIndicators(recordOf, parts);
  const { tokenPolicy } = parts;
  const configuration: Configuration = {
    adapter: model => new ArtifactAdapter(model, parts),
    jwks: jwks as NonNullable<Configuration['jwks']>,
    routes: ROUTES,
    scopes: ['openid', 'offline_access'],
    responseTypes: ['code'],
    clientAuthMethods: [...CLIENT_AUTH_METHODS],
    clientDefaults: {
      grant_types: [...GRANT_TYPES],
      response_types: [],
      id_token_signed_response_alg: 'RS256',
      token_endpoint_auth_method: 'client_secret_basic',
    },
    // HS256 and the like would need readable secrets; `none` and HS are refused everywhere.
    enabledJWA: {
      clientAuthSigningAlgValues: ['ES256', 'RS256', 'PS256', 'EdDSA'],
      idTokenSigningAlgValues: ['ES256', 'RS256'],
      requestObjectSigningAlgValues: ['ES256', 'RS256', 'PS256', 'EdDSA'],
      userinfoSigningAlgValues: ['ES256', 'RS256'],
      introspectionSigningAlgValues: ['ES256', 'RS256'],
      authorizationSigningAlgValues: ['ES256', 'RS256'],
      dPoPSigningAlgValues: [...DPOP_ALGORITHMS],
    },
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
    conformIdTokenClaims: true,
    rotateRefreshToken: true,
    sectorIdentifierUriValidate: () => false,
    clientBasedCORS: () => false,
    cookies: { keys: [...parts.cookieKeys] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: parts.dpopNonceSecret },
      // Lets a key be published whose private half does not exist (retained) or stays sealed (announced).
      externalSigningSupport: { enabled: true, ack: 'experimental-01' },
      introspection: { enabled: true, allowedPolicy: tokenPolicy.mayIntrospect },
      revocation: { enabled: true, allowedPolicy: tokenPolicy.mayRevoke },
      pushedAuthorizationRequests: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: indicators.defaultResource,
        getResourceServerInfo: indicators.getResourceServerInfo,
        useGrantedResource: () => true,
      },
    },
    formats: {
      customizers: {
        // The core stamps tokens with this node's clock. Others judge them by the time everybody shares.
        jwt: (_ctx, _token, { payload }) => {
          const aheadFor = Math.trunc(parts.ring.clockDrift / 1000);
          if (aheadFor === 0) return;
          payload.iat = Number(payload.iat) - aheadFor;
          payload.exp = Number(payload.exp) - aheadFor;
        },
      },
    },
    ttl: {
      ClientCredentials: (_ctx, token) =>
        token.resourceServer?.accessTokenTTL ?? parts.config.tokens.accessTokenFor,
    },
    renderError: (ctx, out) => {
      ctx.type = 'json';
      ctx.body = out;
    },
  };
  const provider = new Provider(parts.config.issuer, configuration);
  pinIssuer(provider, parts.config.issuer);
  installed = installClients(provider, parts.clients);
  installClientAuthentication(provider, installed, parts);
  installReplayDetection(provider, parts);
  return { provider, recordOf };
}
