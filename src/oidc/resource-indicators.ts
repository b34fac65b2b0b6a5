import {
  type Client,
  type ResourceServer as CoreResourceServer,
  errors,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import type { ClientRecord, ClientResource } from '../clients/client.js';
import type { Config } from '../config/config.js';
import type { RecordCache } from '../database/record-cache.js';
import { AppError } from '../errors.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { ResourceServer } from '../resources/resource-server.js';
import type { RecordOf } from './client-adapter.js';
import { restoreOfflineAccess } from './offline-access.js';
import type { JwtOptions } from './token-status.js';

export interface ResourceIndicatorsParts {
  readonly resources: RecordCache<ResourceServer>;
  readonly ring: KeyRing;
  readonly config: Pick<Config, 'tokens'>;
}

/**
 * The core knows one global, frozen set of scopes. Resource scopes are ours: what a token may carry is decided
 * here, per client and resource server, at the moment it is issued.
 */
export class ResourceIndicators {
  readonly #recordOf: RecordOf;
  readonly #identityScopes: ReadonlySet<string>;
  readonly #resources: RecordCache<ResourceServer>;
  readonly #ring: KeyRing;
  readonly #longestTokenFor: number;

  /** @param identityScopes those that belong to no resource server */
  constructor(
    recordOf: RecordOf,
    identityScopes: readonly string[],
    { resources, ring, config }: ResourceIndicatorsParts,
  ) {
    this.#recordOf = recordOf;
    this.#identityScopes = new Set(identityScopes);
    this.#resources = resources;
    this.#ring = ring;
    this.#longestTokenFor = config.tokens.longestTokenFor;
  }

  /**
   * A request without `resource` is for the client's default resource server; real clients send none. One that asks
   * for nothing but who the person is, is for none.
   */
  readonly defaultResource = (ctx: KoaContextWithOIDC, client?: Client): string => {
    const record = client === undefined ? undefined : this.#recordOf(client);
    const link = record?.resources.find(({ isDefault }) => isDefault);
    const { params } = ctx.oidc;
    const isForPeople = !isClientCredentials(ctx);
    if (isForPeople && record !== undefined && params !== undefined) {
      if (link !== undefined && params.scope === undefined) takeDefaultScopes(params, link);
      const asked = scopesOf(params.scope);
      if (asked.every(scope => this.#identityScopes.has(scope))) {
        this.#takeOfflineAccess(ctx, record);
        // The core takes "none" for "no resource server", and its types do not.
        return undefined as unknown as string;
      }
    }
    if (link === undefined) {
      throw new errors.InvalidTarget('resource is required: the client has no default resource server');
    }
    return link.identifier;
  };

  readonly getResourceServerInfo = async (
    ctx: KoaContextWithOIDC,
    identifier: string,
    client: Client,
  ): Promise<CoreResourceServer> => {
    // Scopes of two resource servers have no meaning in one token; the core would look at them first.
    const asked: unknown = ctx.oidc.params?.resource;
    if (Array.isArray(asked) && asked.length > 1)
      throw new errors.InvalidTarget('ask for one resource server at a time');
    const record = this.#recordOf(client);
    const link = record.resources.find(resource => resource.identifier === identifier);
    if (link === undefined) throw new errors.InvalidTarget('the client may not use this resource server');
    const resource = this.#resources.peek(link.resourceId) ?? (await this.#resources.find(link.resourceId));
    if (resource === undefined) throw new errors.InvalidTarget('the resource server does not exist');
    if (!this.#ring.served.signing.has(resource.alg)) {
      // Its key is still being announced, or damaged. Nothing is signed with another algorithm in its place.
      throw new AppError('not_ready', 'The resource server cannot be served now.', { detail: resource.alg });
    }
    this.#takeScopes(ctx, link);
    this.#takeOfflineAccess(ctx, record);
    return {
      scope: link.scopes.join(' '),
      audience: resource.identifier,
      // Signing keys stay published for the longest life that the configuration allows, whatever was stored earlier.
      accessTokenTTL: Math.min(resource.accessTokenFor, this.#longestTokenFor),
      accessTokenFormat: resource.accessTokenFormat,
      jwt: {
        sign: { alg: resource.alg },
        hasStatus: resource.revocation === 'status-list',
      } satisfies JwtOptions,
    } as CoreResourceServer;
  };

  /** RFC 6749 §3.3: without `scope` the pre-defined ones; one that the client lacks fails the whole request. */
  #takeScopes(ctx: KoaContextWithOIDC, link: ClientResource): void {
    const { params, route } = ctx.oidc;
    if (params === undefined) return;
    const isAlone = isClientCredentials(ctx);
    if (params.scope === undefined) {
      // A code or a refresh token brings its own.
      if (isAlone || route !== 'token') takeDefaultScopes(params, link);
      return;
    }
    const foreign = scopesOf(params.scope).find(
      scope => !link.scopes.includes(scope) && (isAlone || !this.#identityScopes.has(scope)),
    );
    if (foreign === undefined) return;
    throw new errors.InvalidScope(
      'requested scope is not allowed for this client and resource server',
      foreign,
    );
  }

  #takeOfflineAccess(ctx: KoaContextWithOIDC, record: ClientRecord): void {
    const { params, client, route } = ctx.oidc;
    if (params === undefined || route === 'token' || client?.grantTypeAllowed('refresh_token') !== true)
      return;
    const before = typeof params.scope === 'string' ? params.scope : undefined;
    const scope = restoreOfflineAccess(ctx.oidc, before);
    if (scope === before) return;
    if (!record.oidcScopes.includes('offline_access')) {
      throw new errors.InvalidScope('requested scope is not allowed', 'offline_access');
    }
    params.scope = scope;
  }
}

type Params = NonNullable<KoaContextWithOIDC['oidc']['params']>;

function takeDefaultScopes(params: Params, link: ClientResource): void {
  if (link.defaultScopes.length > 0) params.scope = link.defaultScopes.join(' ');
}

function scopesOf(scope: unknown): string[] {
  return typeof scope === 'string' ? scope.split(' ') : [];
}

function isClientCredentials({ oidc }: KoaContextWithOIDC): boolean {
  return oidc.route === 'token' && oidc.params?.grant_type === 'client_credentials';
}
