import { appendAuditEvents } from '../audit/audit-log.js';
import type { Actor, AuditEvent } from '../audit/events.js';
import { lockChanges, recordChange } from '../database/changes.js';
import { AppError } from '../errors.js';
import type { ChangeContext } from '../resources/change-context.js';
import { quoted } from '../resources/text-checks.js';
import { clientOf, type SecretChangeContext } from './change-client.js';
import { type ClientSecretRecord, isLive, MOST_LIVE_SECRETS } from './client-secret.js';
import { checkSecret, makeSecret, type NewClientSecret, type SecretInput } from './make-secret.js';
import { SecretStore } from './secret-store.js';

export interface AddedSecretInput extends SecretInput {
  readonly clientId: string;
  /** Seconds after which the client's other live secrets end; those that end sooner keep their end. */
  readonly retireOthersIn?: number | undefined;
}

export interface SecretReference {
  readonly clientId: string;
  /** `cs_…` */
  readonly id: string;
}

export interface AddedSecret {
  /** Shown this once. */
  readonly secret: NewClientSecret;
  /** The others that now end sooner. */
  readonly retired: readonly ClientSecretRecord[];
}

const secrets = new SecretStore();

/**
 * A second secret beside the first: the client changes over while both are live.
 *
 * @throws AppError `invalid_request`, `not_found`; `conflict` at MOST_LIVE_SECRETS
 */
export async function addClientSecret(
  context: SecretChangeContext,
  input: AddedSecretInput,
  actor: Actor,
): Promise<AddedSecret> {
  checkSecret(input);
  const made = makeSecret(context.hasher, input.clientId, actor);
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const { clientId, authMethod } = await clientOf(trx, input.clientId);
    if (authMethod === 'none') {
      throw new AppError(
        'conflict',
        'A public client has no secrets, because it could not keep one. Give it another authentication method first.',
      );
    }
    const live = (await secrets.list(trx, clientId)).filter(secret => isLive(secret, now));
    const retired = live.flatMap(secret => endingSooner(secret, input.retireOthersIn, now));
    const ended = retired.filter(secret => !isLive(secret, now)).length;
    if (live.length - ended >= MOST_LIVE_SECRETS) {
      throw new AppError(
        'conflict',
        `The client has ${live.length} live secrets, the most allowed. Revoke one that is no longer used first.`,
      );
    }
    const secret = made.record(input, now);
    await secrets.insertMany(trx, [secret]);
    for (const other of retired) await secrets.setEnd(trx, other);
    const events: AuditEvent[] = [
      told('client_secret.created', actor, secret),
      ...retired.map(other => told('client_secret.expires_sooner', actor, other)),
    ];
    await appendAuditEvents(context.database, trx, events, context.nodeId, now);
    await recordChange(trx, 'client', clientId, now);
    const { id, expiresAt } = secret;
    return { secret: { id, clientSecret: made.clientSecret, expiresAt }, retired };
  });
}

/**
 * From the commit on it opens nothing. Tokens it opened before stay: disable the client to end those too. Again is
 * the same as once.
 *
 * @throws AppError `not_found`
 */
export async function revokeClientSecret(
  context: ChangeContext,
  input: SecretReference,
  actor: Actor,
): Promise<ClientSecretRecord> {
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const { clientId } = await clientOf(trx, input.clientId);
    const before = (await secrets.list(trx, clientId)).find(({ id }) => id === input.id);
    if (before === undefined) {
      throw new AppError(
        'not_found',
        `The client has no secret ${quoted(input.id)}. List its secrets and give the id (cs_…) of one.`,
      );
    }
    if (before.revokedAt !== undefined) return before;
    const secret: ClientSecretRecord = { ...before, revokedAt: now };
    await secrets.setEnd(trx, secret);
    await appendAuditEvents(
      context.database,
      trx,
      [told('client_secret.revoked', actor, secret)],
      context.nodeId,
      now,
    );
    await recordChange(trx, 'client', clientId, now);
    return secret;
  });
}

function endingSooner(
  secret: ClientSecretRecord,
  retireOthersIn: number | undefined,
  now: number,
): ClientSecretRecord[] {
  if (retireOthersIn === undefined) return [];
  const expiresAt = now + retireOthersIn * 1000;
  return secret.expiresAt !== undefined && secret.expiresAt <= expiresAt ? [] : [{ ...secret, expiresAt }];
}

function told(event: AuditEvent['event'], actor: Actor, secret: ClientSecretRecord): AuditEvent {
  return {
    event,
    outcome: 'success',
    actor,
    subject: secret.id,
    clientId: secret.clientId,
    credentialId: secret.id,
    detail: { name: secret.name, expires_at: secret.expiresAt },
  };
}
