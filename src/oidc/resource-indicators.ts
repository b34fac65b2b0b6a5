import {
  type Client,
  type ResourceServer as CoreResourceServer,
  errors,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import type { ClientResource } from '../clients/client.js';
import type { Config } from '../config/config.js';
import type { RecordCache } from '../database/record-cache.js';
import { AppError } from '../errors.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { ResourceServer } from '../resources/resource-server.js';
import type { RecordOf } from './client-adapter.js';

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
  readonly #resources: RecordCache<ResourceServer>;
  readonly #ring: KeyRing;
  readonly #longestTokenFor: number;

  constructor(recordOf: RecordOf, { resources, ring, config }: ResourceIndicatorsParts) {
    this.#recordOf = recordOf;
    this.#resources = resources;
    this.#ring = ring;
    this.#longestTokenFor = config.tokens.longestTokenFor;
  }

  /** A request without `resource` is for the client's default resource server; real clients send none. */
  readonly defaultResource = (_ctx: KoaContextWithOIDC, client?: Client): string => {
    const record = client === undefined ? undefined : this.#recordOf(client);
    const link = record?.resources.find(({ isDefault }) => isDefault);
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
    const link = this.#recordOf(client).resources.find(resource => resource.identifier === identifier);
    if (link === undefined) throw new errors.InvalidTarget('the client may not use this resource server');
    const resource = this.#resources.peek(link.resourceId) ?? (await this.#resources.find(link.resourceId));
    if (resource === undefined) throw new errors.InvalidTarget('the resource server does not exist');
    if (!this.#ring.served.signing.has(resource.alg)) {
      // Its key is still being announced, or damaged. Nothing is signed with another algorithm in its place.
      throw new AppError('not_ready', 'The resource server cannot be served now.', { detail: resource.alg });
    }
    takeScopes(ctx, link);
    return {
      scope: link.scopes.join(' '),
      audience: resource.identifier,
      // Signing keys stay published for the longest life that the configuration allows, whatever was stored earlier.
      accessTokenTTL: Math.min(resource.accessTokenFor, this.#longestTokenFor),
      accessTokenFormat: resource.accessTokenFormat,
      jwt: { sign: { alg: resource.alg } },
    } as CoreResourceServer;
  };
}

/** RFC 6749 §3.3: without `scope` the pre-defined ones; one that the client lacks fails the whole request. */
function takeScopes(ctx: KoaContextWithOIDC, link: ClientResource): void {
  const params = ctx.oidc.params;
  if (params === undefined) return;
  if (params.scope === undefined) {
    if (link.defaultScopes.length > 0) params.scope = link.defaultScopes.join(' ');
    return;
  }
  const foreign = String(params.scope)
    .split(' ')
    .find(scope => !link.scopes.includes(scope));
  if (foreign !== undefined) {
    throw new errors.InvalidScope(
      'requested scope is not allowed for this client and resource server',
      foreign,
    );
  }
}
