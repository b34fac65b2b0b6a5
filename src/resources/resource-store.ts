import type { Queryable, Transaction } from '../database/connect.js';
import type { AccessTokenFormat, RevocationWay, SigningAlgorithm } from '../protocol.js';
import {
  isResourceIdentifier,
  isResourceServerId,
  type ResourceServer,
  type ResourceServerId,
  type ScopeDescriptions,
} from './resource-server.js';

interface Row {
  readonly id: ResourceServerId;
  readonly identifier: string;
  readonly name: string;
  readonly scopes: string;
  readonly scope_descriptions: string;
  readonly alg: SigningAlgorithm;
  readonly access_token_for: number;
  readonly access_token_format: AccessTokenFormat;
  readonly revocation: RevocationWay;
  readonly introspectors: string;
  readonly created_at: number;
  readonly updated_at: number;
}

/** What clients hold at a resource server, seen from its side. */
interface UseRow {
  readonly client_id: string;
  readonly scopes: string;
  readonly default_scopes: string;
}

/** A statement's bound values stay far below SQLite's 32 766. */
const IDS_PER_STATEMENT = 1000;

export class ResourceStore {
  async find(on: Queryable, id: string): Promise<ResourceServer | undefined> {
    // What no row can hold is not looked for: PostgreSQL fails on some texts, for example on NUL.
    if (!isResourceServerId(id)) return undefined;
    const row: Row | undefined = await on('resource_servers').where({ id }).first();
    return row === undefined ? undefined : serverOf(row);
  }

  async findByIdentifier(on: Queryable, identifier: string): Promise<ResourceServer | undefined> {
    if (!isResourceIdentifier(identifier)) return undefined;
    const row: Row | undefined = await on('resource_servers').where({ identifier }).first();
    return row === undefined ? undefined : serverOf(row);
  }

  async findByIdentifiers(on: Queryable, identifiers: readonly string[]): Promise<ResourceServer[]> {
    const known = [...new Set(identifiers)].filter(isResourceIdentifier);
    if (known.length === 0) return [];
    const rows: Row[] = await on('resource_servers').whereIn('identifier', known);
    return rows.map(serverOf);
  }

  /** By identifier. */
  async list(on: Queryable): Promise<ResourceServer[]> {
    const rows: Row[] = await on('resource_servers').orderBy('identifier');
    return rows.map(serverOf);
  }

  /** Identifiers of those whose tokens are signed with this algorithm: at most `limit`. */
  async signedWith(on: Queryable, alg: SigningAlgorithm, limit: number): Promise<string[]> {
    const rows: Pick<Row, 'identifier'>[] = await on('resource_servers')
      .where({ alg })
      .orderBy('identifier')
      .limit(limit)
      .select('identifier');
    return rows.map(row => row.identifier);
  }

  async insert(trx: Transaction, server: ResourceServer): Promise<void> {
    await trx('resource_servers').insert(rowOf(server));
  }

  async update(trx: Transaction, server: ResourceServer): Promise<void> {
    await trx('resource_servers').where({ id: server.id }).update(rowOf(server));
  }

  /** What clients hold there goes with it. */
  async delete(trx: Transaction, id: ResourceServerId): Promise<void> {
    await trx('resource_servers').where({ id }).delete();
  }

  /** Ids of the clients that may use it. */
  async clientsOf(on: Queryable, id: ResourceServerId): Promise<string[]> {
    const rows: UseRow[] = await on('client_resources').where({ resource_id: id }).orderBy('client_id');
    return rows.map(row => row.client_id);
  }

  /**
   * Takes every scope that is not among `remaining` from the clients that hold it.
   *
   * @returns the ids of the clients that lost a scope.
   */
  async withdrawScopes(
    trx: Transaction,
    id: ResourceServerId,
    remaining: readonly string[],
    now: number,
  ): Promise<string[]> {
    const rows: UseRow[] = await trx('client_resources').where({ resource_id: id }).orderBy('client_id');
    const allowed = new Set(remaining);
    const kept = (list: string) => JSON.stringify(scopesOf(list).filter(scope => allowed.has(scope)));
    const losers = rows.filter(row => kept(row.scopes) !== row.scopes);
    // Thousands of clients usually hold the same few sets of scopes: one statement per set.
    const sets = new Map(losers.map(row => [`${row.scopes}\n${row.default_scopes}`, row]));
    for (const { scopes, default_scopes } of sets.values()) {
      await trx('client_resources')
        .where({ resource_id: id, scopes, default_scopes })
        .update({ scopes: kept(scopes), default_scopes: kept(default_scopes) });
    }
    const clientIds = losers.map(row => row.client_id);
    await this.touchClients(trx, clientIds, now);
    return clientIds;
  }

  /**
   * Who of them has really lost what: a scope of the same name that a client holds at another resource server stays
   * its own.
   */
  async lostScopesOf(
    trx: Transaction,
    clientIds: readonly string[],
    taken: readonly string[],
  ): Promise<{ readonly clientId: string; readonly scopes: readonly string[] }[]> {
    if (taken.length === 0) return [];
    const losses: { clientId: string; scopes: string[] }[] = [];
    for (let start = 0; start < clientIds.length; start += IDS_PER_STATEMENT) {
      const ids = clientIds.slice(start, start + IDS_PER_STATEMENT);
      const rows: UseRow[] = await trx('client_resources').whereIn('client_id', ids);
      const heldBy = new Map<string, Set<string>>();
      for (const { client_id: clientId, scopes } of rows) {
        heldBy.set(clientId, new Set([...(heldBy.get(clientId) ?? []), ...scopesOf(scopes)]));
      }
      for (const clientId of ids) {
        const held = heldBy.get(clientId) ?? new Set();
        const scopes = taken.filter(scope => !held.has(scope));
        if (scopes.length > 0) losses.push({ clientId, scopes });
      }
    }
    return losses;
  }

  /** What they may do has changed through a resource server. */
  async touchClients(trx: Transaction, clientIds: readonly string[], now: number): Promise<void> {
    for (let start = 0; start < clientIds.length; start += IDS_PER_STATEMENT) {
      const ids = clientIds.slice(start, start + IDS_PER_STATEMENT);
      await trx('clients').whereIn('client_id', ids).update({ updated_at: now });
    }
  }
}

function scopesOf(list: string): string[] {
  return JSON.parse(list) as string[];
}

function serverOf(row: Row): ResourceServer {
  return {
    id: row.id,
    identifier: row.identifier,
    name: row.name,
    scopes: scopesOf(row.scopes),
    scopeDescriptions: JSON.parse(row.scope_descriptions) as ScopeDescriptions,
    alg: row.alg,
    accessTokenFor: Number(row.access_token_for),
    accessTokenFormat: row.access_token_format,
    revocation: row.revocation,
    introspectors: JSON.parse(row.introspectors) as string[],
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}

function rowOf(server: ResourceServer): Row {
  return {
    id: server.id,
    identifier: server.identifier,
    name: server.name,
    scopes: JSON.stringify(server.scopes),
    scope_descriptions: JSON.stringify(server.scopeDescriptions),
    alg: server.alg,
    access_token_for: server.accessTokenFor,
    access_token_format: server.accessTokenFormat,
    revocation: server.revocation,
    introspectors: JSON.stringify(server.introspectors),
    created_at: server.createdAt,
    updated_at: server.updatedAt,
  };
}
