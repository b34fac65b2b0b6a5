import { isDeepStrictEqual } from 'node:util';
import { appendAuditEvents } from '../audit/audit-log.js';
import type { Actor, AuditDetail, AuditEventName } from '../audit/events.js';
import { type Config, DEVELOPMENT } from '../config/config.js';
import { clientId as newClientId } from '../crypto/random-id.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import { lockChanges, recordChange } from '../database/changes.js';
import type { Queryable, Transaction } from '../database/connect.js';
import { readAlgorithmStates } from '../database/signing-algorithms.js';
import { AppError } from '../errors.js';
import { SIGNING_ALGORITHMS } from '../protocol.js';
import type { ChangeContext } from '../resources/change-context.js';
import { chosenAlgorithmProblem, defaultAlgorithm } from '../resources/chosen-algorithm.js';
import { ResourceStore } from '../resources/resource-store.js';
import { quoted } from '../resources/text-checks.js';
import { revokeStatusesOfClients } from '../status-lists/revoke-statuses.js';
import { type DerivedField, derivedMetadata, SIGNED_FIELDS } from './check-metadata.js';
import { type CheckedClient, type ClientInput, type ClientRecord, validateClient } from './client.js';
import type { ClientSecretRecord } from './client-secret.js';
import { ClientStore } from './client-store.js';
import { checkSecret, makeSecret, type NewClientSecret } from './make-secret.js';
import { metadataDetail } from './metadata-json.js';
import { RevokedTokenStore } from './revoked-token-store.js';

export interface ClientChangeContext extends ChangeContext {
  /** What the server allows a client. Absent: the strictest. */
  readonly config?: Pick<Config, 'environment' | 'keys' | 'refreshTokens' | 'users'> | undefined;
}

/** Changes that make a secret also need the pepper. */
export interface SecretChangeContext extends ClientChangeContext {
  readonly hasher: SecretHasher;
}

export interface NewClientInput extends ClientInput {
  /** Of its first secret; default: a secret named `initial` that does not expire. A public client gets none. */
  readonly secret?:
    | { readonly name?: string | undefined; readonly expiresIn?: number | undefined }
    | undefined;
}

export interface CreatedClient {
  readonly client: ClientRecord;
  /** Shown this once. */
  readonly secret?: NewClientSecret | undefined;
}

/** What is undefined stays as it is; `resources` replaces all of them. */
export type ClientUpdate = { readonly [Field in keyof ClientInput]?: ClientInput[Field] | undefined } & {
  readonly clientId: string;
};

export interface ClientReference {
  readonly clientId: string;
}

/** Seconds for which a grant could be refreshed at most, and a while longer. */
const LONGEST_GRANT_FOR = 400 * 86_400;

const clients = new ClientStore();
const resources = new ResourceStore();
const revokedTokens = new RevokedTokenStore();

/** @throws AppError `not_found` */
export async function clientOf(on: Queryable, clientId: string): Promise<ClientRecord> {
  const client = await clients.find(on, clientId);
  if (client !== undefined) return client;
  throw new AppError(
    'not_found',
    `There is no client ${quoted(clientId)}. List the clients and give one's id.`,
  );
}

/** @throws AppError `invalid_request` */
export async function createClient(
  context: SecretChangeContext,
  input: NewClientInput,
  actor: Actor,
): Promise<CreatedClient> {
  const secretInput = { ...input.secret, name: input.secret?.name ?? 'initial' };
  checkSecret(secretInput);
  const clientId = newClientId();
  const made = makeSecret(context.hasher, clientId, actor);
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const checked = await check(context, trx, input);
    const isPublic = checked.authMethod === 'none';
    const secret: ClientSecretRecord = made.record(secretInput, now);
    const client: ClientRecord = {
      clientId,
      ...checked,
      disabledAt: undefined,
      createdAt: now,
      updatedAt: now,
      // RFC 6749 §2.1: it could not keep one.
      secrets: isPublic ? [] : [secret],
    };
    await clients.insert(trx, client);
    await tell(context, trx, now, actor, 'client.created', client, {
      ...detailOf(client),
      ...(isPublic ? {} : { client_secret: secret.id }),
    });
    if (isPublic) return { client };
    return {
      client,
      secret: { id: secret.id, clientSecret: made.clientSecret, expiresAt: secret.expiresAt },
    };
  });
}

/** @throws AppError `invalid_request`, `not_found` */
export async function updateClient(
  context: ClientChangeContext,
  input: ClientUpdate,
  actor: Actor,
): Promise<ClientRecord> {
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const before = await clientOf(trx, input.clientId);
    const checked = await check(context, trx, { ...keptOf(before), ...given(input) }, before);
    const changed = changedFields(before, checked);
    if (changed.length === 0) return before;
    const client: ClientRecord = { ...before, ...checked, updatedAt: now };
    await clients.update(trx, client);
    await revokeLostStatuses(trx, before, client, now);
    await tell(context, trx, now, actor, 'client.updated', client, { ...detailOf(client), changed });
    // As a reader will find it, in the store's order.
    return clientOf(trx, client.clientId);
  });
}

/**
 * From the commit on it gets no token, and the tokens it holds are inactive. Again is the same as once.
 *
 * @throws AppError `not_found`
 */
export async function disableClient(
  context: ChangeContext,
  input: ClientReference,
  actor: Actor,
): Promise<ClientRecord> {
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const before = await clientOf(trx, input.clientId);
    if (before.disabledAt !== undefined) return before;
    const client: ClientRecord = { ...before, disabledAt: now, updatedAt: now };
    await clients.update(trx, client);
    await revokeTokens(trx, client.clientId, now);
    await tell(context, trx, now, actor, 'client.disabled', client);
    return client;
  });
}

/**
 * It gets tokens again; those from before it was disabled stay inactive.
 *
 * @throws AppError `not_found`
 */
export async function enableClient(
  context: ChangeContext,
  input: ClientReference,
  actor: Actor,
): Promise<ClientRecord> {
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const before = await clientOf(trx, input.clientId);
    if (before.disabledAt === undefined) return before;
    const client: ClientRecord = { ...before, disabledAt: undefined, updatedAt: now };
    await clients.update(trx, client);
    await tell(context, trx, now, actor, 'client.enabled', client);
    return client;
  });
}

/** @throws AppError `not_found` */
export async function deleteClient(
  context: ChangeContext,
  input: ClientReference,
  actor: Actor,
): Promise<ClientRecord> {
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const client = await clientOf(trx, input.clientId);
    await clients.delete(trx, client.clientId);
    await revokeTokens(trx, client.clientId, now);
    await tell(context, trx, now, actor, 'client.deleted', client, { name: client.name });
    return client;
  });
}

async function check(
  { config }: ClientChangeContext,
  trx: Transaction,
  input: ClientInput,
  before?: ClientRecord,
): Promise<CheckedClient> {
  const named = Array.isArray(input.resources) ? input.resources.map(resource => resource?.identifier) : [];
  const servers = await resources.findByIdentifiers(trx, named);
  if (config === undefined) return validateClient(input, servers);
  const { keys } = config;
  const states = await readAlgorithmStates(trx);
  // What is registered has its key, and keeps it, also after the operator has taken it off the list.
  const kept = new Set(before === undefined ? [] : SIGNED_FIELDS.map(field => before[field]));
  return validateClient(input, servers, {
    isDevelopment: config.environment === DEVELOPMENT,
    claimScopes: config.users.claimScopes.map(entry => entry.split(':')[0] ?? ''),
    algorithms: SIGNING_ALGORITHMS,
    algorithmProblem: alg => (kept.has(alg) ? undefined : chosenAlgorithmProblem(alg, states, keys)),
    idTokenAlgorithm: defaultAlgorithm('idTokenAlgorithm', states, keys),
    refreshTokens: config.refreshTokens,
  });
}

/** The client as it is, without what only followed from the rest: that follows from what it is then. */
function keptOf(client: ClientRecord): ClientInput {
  const derived = derivedMetadata(client, client);
  const isDerived = (field: DerivedField) => JSON.stringify(client[field]) === JSON.stringify(derived[field]);
  return {
    ...client,
    oidcScopes: isDerived('oidcScopes') ? undefined : client.oidcScopes,
    corsOrigins: isDerived('corsOrigins') ? undefined : client.corsOrigins,
    sectorIdentifier: isDerived('sectorIdentifier') ? undefined : client.sectorIdentifier,
  };
}

function given(input: ClientUpdate): Partial<ClientInput> {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
}

/**
 * Its JWTs are not stored and live on by themselves, and its grants lie in another folder: whatever is older than this
 * is refused until the last of it has expired, also once the client is enabled again.
 */
async function revokeTokens(trx: Transaction, clientId: string, now: number): Promise<void> {
  const expiresAt = now + LONGEST_GRANT_FOR * 1000;
  // Nodes stamp whole seconds of the database's time as they know it.
  const issuedBefore = now + 2_000;
  await revokedTokens.revoke(trx, { kind: 'client', value: clientId, issuedBefore, expiresAt, now });
  await revokeStatusesOfClients(trx, [{ clientId }], now);
}

/** As introspection decides: a token with a scope that its client has lost is dead, and one of a person it has lost. */
async function revokeLostStatuses(
  trx: Transaction,
  before: ClientRecord,
  after: ClientRecord,
  now: number,
): Promise<void> {
  const { clientId } = after;
  if (after.allowedUsers !== 'all' && !isDeepStrictEqual(before.allowedUsers, after.allowedUsers)) {
    await revokeStatusesOfClients(trx, [{ clientId }], now);
    return;
  }
  const held = new Set(scopesOf(after));
  const scopes = scopesOf(before).filter(scope => !held.has(scope));
  if (scopes.length > 0) await revokeStatusesOfClients(trx, [{ clientId, scopes }], now);
}

function scopesOf({ oidcScopes, resources: held }: ClientRecord): string[] {
  return [...oidcScopes, ...held.flatMap(resource => resource.scopes)];
}

async function tell(
  context: ChangeContext,
  trx: Transaction,
  now: number,
  actor: Actor,
  event: AuditEventName,
  client: ClientRecord,
  detail: AuditDetail = {},
): Promise<void> {
  const { clientId } = client;
  const told = { event, outcome: 'success', actor, subject: clientId, clientId, detail } as const;
  await appendAuditEvents(context.database, trx, [told], context.nodeId, now);
  await recordChange(trx, 'client', clientId, now);
}

function detailOf(client: CheckedClient): AuditDetail {
  return {
    ...metadataDetail(client),
    name: client.name,
    token_endpoint_auth_method: client.authMethod,
    grant_types: client.grantTypes,
    resources: [...client.resources]
      .sort((a, b) => (a.identifier < b.identifier ? -1 : 1))
      .map(resource =>
        [
          resource.identifier,
          `scope=${resource.scopes.join(' ')}`,
          `default_scope=${resource.defaultScopes.join(' ')}`,
          ...(resource.isDefault ? ['default'] : []),
        ].join(' '),
      ),
  };
}

/** By their wire names. */
function changedFields(before: CheckedClient, after: CheckedClient): string[] {
  const [old, next] = [detailOf(before), detailOf(after)];
  const fields = new Set([...Object.keys(next), ...Object.keys(old)]);
  return [...fields].filter(field => JSON.stringify(old[field]) !== JSON.stringify(next[field]));
}
