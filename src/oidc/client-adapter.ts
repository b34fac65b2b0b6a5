import { randomBytes } from 'node:crypto';
import type { Client, Provider } from 'oidc-provider';
import type { ClientRecord } from '../clients/client.js';
import type { RecordCache } from '../database/record-cache.js';
import { SharedValues } from '../database/shared-values.js';

/** Our record of a client, from the core's built object: scopes, secrets and what else the core does not know. */
export type RecordOf = (client: Client) => ClientRecord;

const RECORD: unique symbol = Symbol('record');
type BuiltClient = Client & { [RECORD]?: ClientRecord };

/**
 * The core demands a client secret in the metadata of a client that authenticates with one, and would use it as
 * a key for HS256, which is switched off. It gets a value that nobody knows and no request is compared with.
 */
const PLACEHOLDER_SECRET = randomBytes(32).toString('base64url');

function metadataOf(record: ClientRecord): Record<string, unknown> {
  return {
    client_id: record.clientId,
    client_name: record.name,
    client_secret: PLACEHOLDER_SECRET,
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
export function installClients(provider: Provider, clients: RecordCache<ClientRecord>): RecordOf {
  const built = new WeakMap<ClientRecord, BuiltClient>();
  const lists = new SharedValues<readonly unknown[]>();
  const Client = provider.Client as typeof provider.Client & {
    new (metadata: Record<string, unknown>): BuiltClient;
  };

  function build(record: ClientRecord): BuiltClient {
    const client = new Client(metadataOf(record));
    for (const [name, value] of Object.entries(client)) {
      // The core makes every client its own copy of every empty list.
      if (Array.isArray(value))
        Object.assign(client, { [name]: lists.of(JSON.stringify(value), () => value) });
    }
    client[RECORD] = record;
    built.set(record, client);
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
    const record = (client as BuiltClient)[RECORD];
    if (record === undefined) throw new TypeError('not a client of this server');
    return record;
  };
}
