import type { ClientRecord } from '../clients/client.js';
import type { RecordCache } from '../database/record-cache.js';
import type { ResourceServer } from '../resources/resource-server.js';
import type { ScopeView } from './view-models.js';

/** Scopes with the operator's words for them, of whatever resource server of the client they belong to. */
export async function scopeViews(
  scopes: readonly string[],
  client: ClientRecord,
  resources: RecordCache<ResourceServer>,
  locale: string,
): Promise<ScopeView[]> {
  const servers = await Promise.all(client.resources.map(({ resourceId }) => resources.find(resourceId)));
  return scopes.map(scope => {
    const words = servers.find(server => server?.scopes.includes(scope))?.scopeDescriptions[scope];
    return { scope, description: words?.[locale] ?? words?.en, isOptional: false };
  });
}
