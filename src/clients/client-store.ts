import { isClientId } from '../crypto/random-id.js';
import type { Queryable, Transaction } from '../database/connect.js';
import { SharedValues } from '../database/shared-values.js';
import type { ClientAuthMethod, GrantType, SigningAlgorithm } from '../protocol.js';
import type { ResourceServerId } from '../resources/resource-server.js';
import { type ClientRecord, type ClientResource, responseTypesOf } from './client.js';
import type { ClientMetadata } from './client-metadata.js';
import type { ClientSecretRecord } from './client-secret.js';
import { readMetadata, storedMetadata } from './metadata-json.js';
import { SecretStore } from './secret-store.js';

interface Row {
  readonly client_id: string;
  readonly name: string;
  readonly auth_method: ClientAuthMethod;
  readonly grant_types: string;
  readonly metadata: string;
  readonly disabled_at: number | null;
  readonly created_at: number;
  readonly updated_at: number;
}

interface ResourceRow {
  readonly client_id: string;
  readonly resource_id: ResourceServerId;
  readonly scopes: string;
  readonly default_scopes: string;
  /** SQLite has no booleans: 0 or 1. */
  readonly is_default: boolean | number;
}

/** A client beside one of its resource servers, or beside none. */
type JoinedRow = Row & {
  readonly resource_id: ResourceServerId | null;
  readonly identifier: string;
  readonly scopes: string;
  readonly default_scopes: string;
  readonly is_default: boolean | number;
};

export interface ClientPage {
  /** At most 1000. */
  readonly limit: number;
  /** The last client id of the page before. */
  readonly after?: string | undefined;
}

const LARGEST_PAGE = 1000;
/** For SQLite knex joins rows by UNION ALL, of which SQLite takes 500. */
const ROWS_PER_STATEMENT = 400;

export class ClientStore {
  readonly #secrets = new SecretStore();
  readonly #resources = new SharedValues<readonly ClientResource[]>();
  readonly #grantTypes = new SharedValues<readonly GrantType[]>();
  readonly #metadata = new SharedValues<ClientMetadata>();
  readonly #lists = new SharedValues<readonly unknown[]>();

  async find(on: Queryable, clientId: string): Promise<ClientRecord | undefined> {
    // What this server cannot have issued is refused without a read.
    if (!isClientId(clientId)) return undefined;
    const [client] = await this.#load(on, on('clients').where({ client_id: clientId }));
    return client;
  }

  /** By client id, a page at a time. */
  async list(on: Queryable, page: ClientPage): Promise<ClientRecord[]> {
    const clients = on('clients').orderBy('client_id').limit(Math.min(page.limit, LARGEST_PAGE));
    if (page.after !== undefined) clients.where('client_id', '>', page.after);
    return this.#load(on, clients);
  }

  /** Ids of clients, disabled ones included, of which something is signed with this algorithm: at most `limit`. */
  async signedWith(on: Queryable, alg: SigningAlgorithm, limit: number): Promise<string[]> {
    // As `storedMetadata` writes it; inside a text of the JSON the quotation marks would be escaped. What is standard
    // is not written, and RS256, which is, is never given up.
    const rows: Pick<Row, 'client_id'>[] = await on('clients')
      .whereLike('metadata', `%_signed_response_alg":"${alg}"%`)
      .orderBy('client_id')
      .limit(limit)
      .select('client_id');
    return rows.map(row => row.client_id);
  }

  async insert(trx: Transaction, client: ClientRecord): Promise<void> {
    await this.insertMany(trx, [client]);
  }

  /** In a few statements however many they are. */
  async insertMany(trx: Transaction, clients: readonly ClientRecord[]): Promise<void> {
    await trx.batchInsert('clients', clients.map(rowOf), ROWS_PER_STATEMENT);
    await trx.batchInsert('client_resources', clients.flatMap(resourceRowsOf), ROWS_PER_STATEMENT);
    await this.#secrets.insertMany(
      trx,
      clients.flatMap(({ secrets }) => secrets),
    );
  }

  /** Everything but its secrets. */
  async update(trx: Transaction, client: ClientRecord): Promise<void> {
    await trx('clients').where({ client_id: client.clientId }).update(rowOf(client));
    await trx('client_resources').where({ client_id: client.clientId }).delete();
    await trx.batchInsert('client_resources', resourceRowsOf(client), ROWS_PER_STATEMENT);
  }

  /** Its secrets and what it may do go with it. */
  async delete(trx: Transaction, clientId: string): Promise<void> {
    await trx('clients').where({ client_id: clientId }).delete();
  }

  async #load(on: Queryable, selection: ReturnType<Queryable>): Promise<ClientRecord[]> {
    const rows: JoinedRow[] = await on
      .from(selection.select().as('clients'))
      .leftJoin('client_resources', 'client_resources.client_id', 'clients.client_id')
      .leftJoin('resource_servers', 'resource_servers.id', 'client_resources.resource_id')
      .select(
        'clients.*',
        'client_resources.resource_id',
        'client_resources.scopes',
        'client_resources.default_scopes',
        'client_resources.is_default',
        'resource_servers.identifier',
      )
      .orderBy('clients.client_id')
      .orderBy('resource_servers.identifier');
    if (rows.length === 0) return [];
    const byClient = new Map<string, JoinedRow[]>();
    for (const row of rows) {
      const ofClient = byClient.get(row.client_id);
      if (ofClient === undefined) byClient.set(row.client_id, [row]);
      else ofClient.push(row);
    }
    const secrets = await this.#secrets.listUsable(on, [...byClient.keys()]);
    return [...byClient.values()].flatMap(ofClient => {
      const [row] = ofClient;
      return row === undefined ? [] : [this.#clientOf(row, ofClient, secrets.get(row.client_id) ?? [])];
    });
  }

  #clientOf(row: Row, joined: readonly JoinedRow[], secrets: readonly ClientSecretRecord[]): ClientRecord {
    const grantTypes = this.#grantTypes.of(row.grant_types, () => JSON.parse(row.grant_types) as GrantType[]);
    return {
      ...this.#metadata.of(row.metadata, () => readMetadata(row.metadata, this.#lists)),
      clientId: row.client_id,
      name: row.name,
      authMethod: row.auth_method,
      grantTypes,
      responseTypes: responseTypesOf(grantTypes),
      disabledAt: row.disabled_at === null ? undefined : Number(row.disabled_at),
      createdAt: Number(row.created_at),
      updatedAt: Number(row.updated_at),
      resources: this.#resources.of(joined.map(keyOf).join('\n'), () => joined.flatMap(resourceOf)),
      secrets,
    };
  }
}

function keyOf(row: JoinedRow): string {
  return JSON.stringify([
    row.resource_id,
    row.identifier,
    row.scopes,
    row.default_scopes,
    Boolean(row.is_default),
  ]);
}

function resourceOf(row: JoinedRow): ClientResource[] {
  if (row.resource_id === null) return [];
  return [
    {
      resourceId: row.resource_id,
      identifier: row.identifier,
      scopes: JSON.parse(row.scopes) as string[],
      defaultScopes: JSON.parse(row.default_scopes) as string[],
      isDefault: Boolean(row.is_default),
    },
  ];
}

function rowOf(client: ClientRecord): Row {
  return {
    client_id: client.clientId,
    name: client.name,
    auth_method: client.authMethod,
    grant_types: JSON.stringify(client.grantTypes),
    metadata: storedMetadata(client),
    disabled_at: client.disabledAt ?? null,
    created_at: client.createdAt,
    updated_at: client.updatedAt,
  };
}

function resourceRowsOf(client: ClientRecord): ResourceRow[] {
  return client.resources.map(resource => ({
    client_id: client.clientId,
    resource_id: resource.resourceId,
    scopes: JSON.stringify(resource.scopes),
    default_scopes: JSON.stringify(resource.defaultScopes),
    is_default: resource.isDefault,
  }));
}
