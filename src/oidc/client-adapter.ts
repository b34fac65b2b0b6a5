import type { Client, Provider } from 'oidc-provider';
import type { ClientRecord } from '../clients/client.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import type { RecordCache } from '../database/record-cache.js';

/** Our record of a client, from the core's built object: scopes, secrets and what else the core does not know. */
export type RecordOf = (client: Client) => ClientRecord;

/**
 * The core demands a client secret in the metadata of a client that authenticates with one, and would use it as
 * a key for HS256, which is switched off. It gets a value that nobody knows and no request is compared with.
 */
function placeholderSecret(hasher: SecretHasher, clientId: string): string {
  return hasher.hashOf('client_secret.placeholder', clientId);
}

function metadataOf(record: ClientRecord, hasher: SecretHasher): Record<string, unknown> {
  return {
    client_id: record.clientId,
    client_name: record.name,
    client_secret: placeholderSecret(hasher, record.clientId),
    token_endpoint_auth_method: record.authMethod,
    grant_types: [...record.grantTypes],
    response_types: [],
    redirect_uris: [],
  };
}

/**
 * Replaces the core's look-up of clients. Its own reads the adapter, serialises and hashes the metadata on each
 * request and keeps 100 built clients; ours keeps the built client beside the cached record, for as long as the
 * record itself is in memory. Built clients belong to one Provider, so each Provider installs its own.
 */
export function installClients(
  provider: Provider,
  clients: RecordCache<ClientRecord>,
  hasher: SecretHasher,
): RecordOf {
  const built = new WeakMap<ClientRecord, Client>();
  const records = new WeakMap<Client, ClientRecord>();
  const Client = provider.Client as typeof provider.Client & {
    new (metadata: Record<string, unknown>): Client;
  };

  function build(record: ClientRecord): Client {
    const client = new Client(metadataOf(record, hasher));
    built.set(record, client);
    records.set(client, record);
    return client;
  }

  Client.find = async (id: string): Promise<Client | undefined> => {
    if (typeof id !== 'string' || id === '') return undefined;
    const record = clients.peek(id) ?? (await clients.find(id));
    // A disabled client is to the outside what an unknown one is.
    if (record === undefined || record.disabledAt !== undefined) return undefined;
    return built.get(record) ?? build(record);
  };

  return client => {
    const record = records.get(client);
    if (record === undefined) throw new TypeError('a client of another provider');
    return record;
  };
}
