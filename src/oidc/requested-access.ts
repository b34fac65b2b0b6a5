import type { ClientRecord } from '../clients/client.js';
import type { RecordCache } from '../database/record-cache.js';
import type { ResourceServer } from '../resources/resource-server.js';

export interface RequestedResource {
  readonly identifier: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** What the resource server offers and the client does not ask for. */
  readonly withheld: readonly string[];
  /** The operator's words for a scope, by language. */
  readonly descriptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** What a client asks a person for. */
export interface RequestedAccess {
  readonly oidcScopes: readonly string[];
  readonly claims: readonly string[];
  readonly resources: readonly RequestedResource[];
  /** Whether it may go on without the person being there. */
  readonly isOffline: boolean;
}

type Params = Readonly<Record<string, unknown>>;

function words(value: unknown): string[] {
  return typeof value === 'string' ? value.split(' ').filter(word => word !== '') : [];
}

/** Those that exist (OpenID Connect Core §5.5): anybody can write words of his own into the link of a client. */
function requestedClaims(params: Params, known: ReadonlySet<string>): string[] {
  if (typeof params.claims !== 'string') return [];
  const { userinfo = {}, id_token: idToken = {} } = JSON.parse(params.claims) as Record<string, object>;
  const protocol = new Set(['sub', 'sid', 'auth_time', 'acr', 'amr', 'iss']);
  return [...new Set([...Object.keys(userinfo), ...Object.keys(idToken)])].filter(
    name => known.has(name) && !protocol.has(name),
  );
}

/** Parameters as the core has checked and completed them. */
export async function requestedAccess(
  client: ClientRecord,
  params: Params,
  {
    identityScopes,
    claims,
    servers,
  }: {
    readonly identityScopes: ReadonlySet<string>;
    readonly claims: ReadonlySet<string>;
    readonly servers: RecordCache<ResourceServer>;
  },
): Promise<RequestedAccess> {
  const scopes = [...new Set(words(params.scope))];
  const identifiers = Array.isArray(params.resource) ? params.resource : [params.resource];
  const links = client.resources.filter(({ identifier }) => identifiers.includes(identifier));
  const resources: RequestedResource[] = [];
  for (const link of links) {
    const server = await servers.find(link.resourceId);
    if (server === undefined) continue;
    const asked = scopes.filter(scope => link.scopes.includes(scope));
    resources.push({
      identifier: link.identifier,
      name: server.name,
      scopes: asked,
      withheld: server.scopes.filter(scope => !asked.includes(scope)),
      descriptions: server.scopeDescriptions,
    });
  }
  const oidcScopes = scopes.filter(scope => identityScopes.has(scope));
  return {
    oidcScopes,
    claims: requestedClaims(params, claims),
    resources,
    isOffline: oidcScopes.includes('offline_access') || client.alwaysIssueRefreshToken,
  };
}
