import { appendAuditEvents } from '../audit/audit-log.js';
import type { AuditDetail, AuditEvent, AuditEventName } from '../audit/events.js';
import { recordChange } from '../database/changes.js';
import type { Transaction } from '../database/connect.js';
import type { MailName, Mails } from '../delivery/mails.js';
import type { Acting, PeopleContext } from './people-context.js';
import type { User } from './user.js';

/**
 * An event about a person. It names what changed, never the values: the log outlives the account, and addresses and
 * names in it could not be deleted with it.
 */
export function userEvent(
  event: AuditEventName,
  userId: string | undefined,
  acting: Acting,
  detail: AuditDetail = {},
  outcome: AuditEvent['outcome'] = 'success',
): AuditEvent {
  const { ip, userAgent, requestId } = acting.facts ?? {};
  return { event, outcome, actor: acting.actor, subject: userId, userId, ip, userAgent, requestId, detail };
}

/** Audits a change of an account and has other nodes drop what they hold of it. */
export async function tellOfUser(
  context: Pick<PeopleContext, 'database' | 'nodeId'>,
  trx: Transaction,
  now: number,
  userId: string,
  events: readonly AuditEvent[],
): Promise<void> {
  await appendAuditEvents(context.database, trx, events, context.nodeId, now);
  await recordChange(trx, 'user', userId, now);
}

export function localeOf(context: Pick<PeopleContext, 'config'>, user: Pick<User, 'profile'>): string {
  return user.profile.locale ?? context.config.branding.locale;
}

/** To the address that the account holds, or to one that it held or asks for. */
export async function mailToUser<Name extends MailName>(
  context: PeopleContext,
  trx: Transaction,
  user: User,
  mail: Name,
  values: Mails[Name],
  now: number,
  to: string = user.email,
): Promise<void> {
  const locale = localeOf(context, user);
  await context.outbox.enqueue(trx, { kind: 'mail', to, locale, userId: user.id, mail, values }, now);
}
