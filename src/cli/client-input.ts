import type { ClientResource, ClientResourceInput } from '../clients/client.js';
import type { Queryable } from '../database/connect.js';
import { resourceServerOf } from '../resources/change-resource-server.js';
import type { ResourceServer } from '../resources/resource-server.js';
import { UsageError } from './command.js';
import { words } from './options.js';

export interface AccessOptions {
  readonly resource?: readonly string[];
  readonly scope?: readonly string[];
  readonly defaultScope?: readonly string[];
  readonly defaultResource?: string;
}

function refuseContradictions({ defaultScope, defaultResource }: AccessOptions, hasResources: boolean): void {
  if (hasResources) return;
  if (defaultScope !== undefined || defaultResource !== undefined) {
    throw new UsageError('--default-scope and --default-resource need --resource.');
  }
}

function shareOf(
  server: ResourceServer,
  servers: readonly ResourceServer[],
  scopes: readonly string[],
): string[] {
  const isKnown = (scope: string) => servers.some(other => other.scopes.includes(scope));
  // What no resource server knows goes to the first, so that the refusal names a place where to add it.
  return scopes.filter(scope => server.scopes.includes(scope) || (server === servers[0] && !isKnown(scope)));
}

/**
 * `--scope` names scopes of any of the resource servers; each gets those that it knows.
 *
 * @param before what the client may do now, for an update that names scopes only.
 * @returns undefined when the options say nothing about it.
 */
export async function resourcesFrom(
  on: Queryable,
  options: AccessOptions,
  before: readonly ClientResource[] = [],
): Promise<ClientResourceInput[] | undefined> {
  const named = options.resource ?? before.map(({ identifier }) => identifier);
  const scopes = words(options.scope);
  refuseContradictions(options, named.length > 0);
  const saysNothing =
    options.resource === undefined &&
    scopes === undefined &&
    options.defaultScope === undefined &&
    options.defaultResource === undefined;
  if (saysNothing) return undefined;
  if (named.length === 0) throw new UsageError('A scope belongs to a resource server: add --resource.');

  const servers: ResourceServer[] = [];
  for (const resource of named) servers.push(await resourceServerOf(on, resource));
  const defaultScopes = words(options.defaultScope);
  const standard = options.defaultResource;
  if (
    standard !== undefined &&
    !servers.some(({ id, identifier }) => id === standard || identifier === standard)
  ) {
    throw new UsageError(`--default-resource must be one of the client's: ${named.join(', ')}.`);
  }
  return servers.map(server => {
    const old = before.find(({ identifier }) => identifier === server.identifier);
    const mine = scopes === undefined ? (old?.scopes ?? []) : shareOf(server, servers, scopes);
    const isDefault =
      standard === undefined ? old?.isDefault : standard === server.id || standard === server.identifier;
    return {
      identifier: server.identifier,
      scopes: mine,
      defaultScopes:
        defaultScopes === undefined ? keptDefaults(old, mine) : shareOf(server, servers, defaultScopes),
      isDefault,
    };
  });
}

/** What a request without scopes gets stays the same where it can; all of them unless somebody chose. */
function keptDefaults(old: ClientResource | undefined, scopes: readonly string[]): string[] | undefined {
  if (old === undefined || old.defaultScopes.length === old.scopes.length) return undefined;
  return old.defaultScopes.filter(scope => scopes.includes(scope));
}
