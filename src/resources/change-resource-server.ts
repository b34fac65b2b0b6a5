import { appendAuditEvents } from '../audit/audit-log.js';
import type { Actor, AuditEvent } from '../audit/events.js';
import type { Config } from '../config/config.js';
import { lockChanges, recordChange, recordChanges } from '../database/changes.js';
import type { Queryable, Transaction } from '../database/connect.js';
import { readAlgorithmStates } from '../database/signing-algorithms.js';
import { AppError } from '../errors.js';
import type { SigningAlgorithm } from '../protocol.js';
import { revokeStatusesOfClients } from '../status-lists/revoke-statuses.js';
import type { ChangeContext } from './change-context.js';
import { chosenAlgorithmProblem, defaultAlgorithm } from './chosen-algorithm.js';
import {
  type CheckedResourceServer,
  type ResourceServer,
  type ResourceServerInput,
  resourceServerId,
  type ScopeDescriptions,
  validateResourceServer,
} from './resource-server.js';
import { ResourceStore } from './resource-store.js';
import { quoted, refuseFaults } from './text-checks.js';

type Given<T> = { readonly [Field in keyof T]?: T[Field] | undefined };

/** What is undefined stays as it is. */
export type ResourceServerUpdate = Given<Omit<ResourceServerInput, 'identifier'>> & {
  /** `rs_…` or the identifier. The identifier never changes: it stands in tokens that verifiers hold. */
  readonly resource: string;
};

export interface ResourceServerDeletion {
  /** `rs_…` or the identifier. */
  readonly resource: string;
  /** Delete it although clients use it; they lose it. */
  readonly force?: boolean | undefined;
}

export interface ResourceServerChangeContext extends ChangeContext {
  /** Seconds; `config.tokens.longestTokenFor`. Default: the hour that nobody may exceed. */
  readonly longestTokenFor?: number | undefined;
  /** Absent: which algorithms the operator wants is not known, only which have keys. */
  readonly config?: Pick<Config, 'keys'> | undefined;
}

const store = new ResourceStore();

/** @throws AppError `not_found` */
export async function resourceServerOf(on: Queryable, resource: string): Promise<ResourceServer> {
  const server = (await store.find(on, resource)) ?? (await store.findByIdentifier(on, resource));
  if (server !== undefined) return server;
  throw new AppError(
    'not_found',
    `There is no resource server ${quoted(resource)}. List them, and give an id or an identifier.`,
  );
}

/** @throws AppError `invalid_request`, `already_exists` */
export async function createResourceServer(
  context: ResourceServerChangeContext,
  input: ResourceServerInput,
  actor: Actor,
): Promise<ResourceServer> {
  const validated = validateResourceServer(input, context.longestTokenFor);
  const id = resourceServerId();
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const checked = { ...validated, alg: await algorithmFor(context, trx, input.alg) };
    if ((await store.findByIdentifier(trx, checked.identifier)) !== undefined) {
      throw new AppError(
        'already_exists',
        `There is a resource server ${quoted(checked.identifier)} already. Update it, or choose another identifier.`,
      );
    }
    const server: ResourceServer = { id, ...checked, createdAt: now, updatedAt: now };
    await store.insert(trx, server);
    await write(context, trx, now, server, [{ ...told('created', actor, server), detail: detailOf(server) }]);
    return server;
  });
}

/**
 * Scopes that the update takes away are taken from the clients too, in the same transaction.
 *
 * @throws AppError `invalid_request`, `not_found`
 */
export async function updateResourceServer(
  context: ResourceServerChangeContext,
  input: ResourceServerUpdate,
  actor: Actor,
): Promise<ResourceServer> {
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const before = await resourceServerOf(trx, input.resource);
    const checked = validateResourceServer(
      {
        identifier: before.identifier,
        name: input.name ?? before.name,
        scopes: input.scopes ?? before.scopes,
        scopeDescriptions: input.scopeDescriptions ?? keptDescriptions(before, input.scopes ?? before.scopes),
        alg: input.alg ?? before.alg,
        accessTokenFor: input.accessTokenFor ?? before.accessTokenFor,
        accessTokenFormat: input.accessTokenFormat ?? before.accessTokenFormat,
        revocation: input.revocation ?? before.revocation,
        introspectors: input.introspectors ?? before.introspectors,
      },
      context.longestTokenFor,
    );
    const changed = changedFields(before, checked);
    if (changed.length === 0) return before;
    if (checked.alg !== before.alg) await algorithmFor(context, trx, checked.alg);
    const server: ResourceServer = { ...before, ...checked, updatedAt: now };
    await store.update(trx, server);
    const clientIds = await store.withdrawScopes(trx, server.id, server.scopes, now);
    await recordChanges(trx, 'client', clientIds, now);
    const removed = before.scopes.filter(scope => !server.scopes.includes(scope));
    await revokeStatusesOfClients(trx, await store.lostScopesOf(trx, clientIds, removed), now);
    await write(context, trx, now, server, [
      {
        ...told('updated', actor, server),
        detail: { ...detailOf(server), changed, scopes_removed: removed },
      },
      ...clientIds.map(clientId => clientTold(clientId, actor, server, { scopes_removed: removed })),
    ]);
    return server;
  });
}

/**
 * After `lockChanges`, so that the algorithm cannot be given up before this transaction has said that it is used.
 *
 * @throws AppError `invalid_request` when nothing can be signed with it now
 */
async function algorithmFor(
  { config }: ResourceServerChangeContext,
  trx: Transaction,
  chosen: SigningAlgorithm | undefined,
): Promise<SigningAlgorithm> {
  const states = await readAlgorithmStates(trx);
  if (chosen === undefined) return defaultAlgorithm('accessTokenAlgorithm', states, config?.keys);
  const problem = chosenAlgorithmProblem(chosen, states, config?.keys);
  if (problem !== undefined) refuseFaults('resource server', [{ at: 'alg', problem }]);
  return chosen;
}

/** @throws AppError `not_found`; `conflict` while clients use it, unless `force` */
export async function deleteResourceServer(
  context: ChangeContext,
  input: ResourceServerDeletion,
  actor: Actor,
): Promise<ResourceServer> {
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const server = await resourceServerOf(trx, input.resource);
    const clientIds = await store.clientsOf(trx, server.id);
    if (clientIds.length > 0 && input.force !== true) {
      throw new AppError(
        'conflict',
        `${clientIds.length} client(s) use ${quoted(server.identifier)}. Take it from them first, or delete it with force.`,
      );
    }
    await store.delete(trx, server.id);
    await revokeStatusesOfClients(trx, await store.lostScopesOf(trx, clientIds, server.scopes), now);
    await store.touchClients(trx, clientIds, now);
    await recordChanges(trx, 'client', clientIds, now);
    await write(context, trx, now, server, [
      { ...told('deleted', actor, server), detail: { clients: clientIds.length } },
      ...clientIds.map(clientId => clientTold(clientId, actor, server, { resource_removed: true })),
    ]);
    return server;
  });
}

async function write(
  context: ChangeContext,
  trx: Transaction,
  now: number,
  server: ResourceServer,
  events: readonly AuditEvent[],
): Promise<void> {
  await appendAuditEvents(context.database, trx, events, context.nodeId, now);
  await recordChange(trx, 'resource_server', server.id, now);
}

function told(what: 'created' | 'updated' | 'deleted', actor: Actor, server: ResourceServer): AuditEvent {
  return {
    event: `resource_server.${what}`,
    outcome: 'success',
    actor,
    subject: server.id,
    resource: server.identifier,
  };
}

function clientTold(
  clientId: string,
  actor: Actor,
  server: ResourceServer,
  detail: NonNullable<AuditEvent['detail']>,
): AuditEvent {
  return {
    event: 'client.updated',
    outcome: 'success',
    actor,
    subject: clientId,
    clientId,
    resource: server.identifier,
    detail,
  };
}

function detailOf(server: CheckedResourceServer): NonNullable<AuditEvent['detail']> {
  return {
    name: server.name,
    scopes: server.scopes,
    scope_descriptions: JSON.stringify(server.scopeDescriptions),
    alg: server.alg,
    access_token_for: server.accessTokenFor,
    access_token_format: server.accessTokenFormat,
    revocation: server.revocation,
    introspectors: server.introspectors,
  };
}

/** The words for a scope go with it. */
function keptDescriptions(
  { scopeDescriptions }: ResourceServer,
  scopes: readonly string[],
): ScopeDescriptions {
  return Object.fromEntries(Object.entries(scopeDescriptions).filter(([scope]) => scopes.includes(scope)));
}

/** By their wire names. */
function changedFields(before: CheckedResourceServer, after: CheckedResourceServer): string[] {
  const [old, next] = [detailOf(before), detailOf(after)];
  return Object.keys(next).filter(field => JSON.stringify(old[field]) !== JSON.stringify(next[field]));
}
