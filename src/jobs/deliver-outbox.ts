import { appendAuditEvents } from '../audit/audit-log.js';
import type { AuditEvent, AuditEventName } from '../audit/events.js';
import type { Database } from '../database/connect.js';
import type { Mailer } from '../delivery/mailer.js';
import type {
  ClaimedDelivery,
  Delivery,
  DeliveryKind,
  LogoutDelivery,
  MailDelivery,
  Outbox,
} from '../delivery/outbox.js';
import type { Logger } from '../log.js';

export interface DeliveryParts {
  readonly database: Database;
  readonly nodeId: string;
  readonly outbox: Outbox;
  readonly mailer: Mailer;
  /** @param at when what the mail tells of happened, epoch milliseconds. */
  readonly renderMail: (
    delivery: MailDelivery,
    at: number,
  ) => { readonly subject: string; readonly text: string };
  /** `gone`: nobody is there to be told any more. Throws for what may go better later. */
  readonly deliverLogout: (delivery: LogoutDelivery) => Promise<'delivered' | 'gone'>;
  readonly log: Logger;
}

/** Also how many go out at once: all that is claimed is tried at once, within its lease. */
const AT_ONCE = 10;
/** Then other jobs have their turn to be stopped. */
const MOST_BATCHES = 50;

const EVENTS: Readonly<
  Record<DeliveryKind, { readonly delivered: AuditEventName; readonly givenUp: AuditEventName }>
> = {
  mail: { delivered: 'mail.delivered', givenUp: 'mail.given_up' },
  backchannel_logout: { delivered: 'logout.delivered', givenUp: 'logout.given_up' },
};

type Outcome = 'delivered' | 'refused' | 'gone' | 'expired';

/** Sends what is due of one kind. The kinds have their own jobs: a client that hangs must not hold up mails. */
export async function deliverOutbox(parts: DeliveryParts, kind: DeliveryKind): Promise<void> {
  for (let batch = 0; batch < MOST_BATCHES; batch += 1) {
    const claimed = await parts.outbox.take(parts.database, kind, AT_ONCE);
    const attempts = await Promise.allSettled(claimed.map(each => attempt(parts, each)));
    // All have ended before the job does: a node that stops closes its database next.
    const broken = attempts.find(each => each.status === 'rejected');
    if (broken !== undefined) throw broken.reason;
    if (claimed.length < AT_ONCE) return;
  }
}

/** Rejects only when the database does; the lease brings that claim back. */
async function attempt(parts: DeliveryParts, claimed: ClaimedDelivery): Promise<void> {
  let delivery: Delivery | undefined;
  let outcome: Outcome;
  try {
    delivery = parts.outbox.open(claimed);
    outcome = claimed.isExpired ? 'expired' : await send(parts, claimed, delivery);
  } catch (error) {
    await fail(parts, claimed, delivery, error);
    return;
  }
  await finish(parts, claimed, delivery, outcome);
}

function send(
  { mailer, renderMail, deliverLogout }: DeliveryParts,
  claimed: ClaimedDelivery,
  delivery: Delivery,
): Promise<Outcome> {
  if (delivery.kind === 'backchannel_logout') return deliverLogout(delivery);
  const { subject, text } = renderMail(delivery, claimed.createdAt);
  return mailer.deliver({ id: claimed.id, to: delivery.to, subject, text });
}

/** Tells which, about whom and after how many attempts; never an address, a link or a token. */
function eventOf(
  nodeId: string,
  claimed: ClaimedDelivery,
  delivery: Delivery | undefined,
  reason: string | undefined,
): AuditEvent {
  const { delivered, givenUp } = EVENTS[claimed.kind];
  const mail = delivery?.kind === 'mail' ? delivery : undefined;
  const logout = delivery?.kind === 'backchannel_logout' ? delivery : undefined;
  return {
    event: reason === undefined ? delivered : givenUp,
    outcome: reason === undefined ? 'success' : 'refused',
    actor: `node:${nodeId}`,
    subject: claimed.id,
    userId: mail?.userId,
    clientId: logout?.clientId,
    detail: { mail: mail?.mail, attempts: claimed.attempts, reason },
  };
}

async function finish(
  { database, nodeId, outbox }: DeliveryParts,
  claimed: ClaimedDelivery,
  delivery: Delivery,
  outcome: Outcome,
): Promise<void> {
  await database.transaction(async trx => {
    // Whoever deletes the row tells of it: once, also when a slow attempt was overtaken.
    if (!(await outbox.done(trx, claimed))) return;
    const event = eventOf(nodeId, claimed, delivery, outcome === 'delivered' ? undefined : outcome);
    await appendAuditEvents(database, trx, [event], nodeId, await database.now(trx));
  });
}

async function fail(
  { database, nodeId, outbox, log }: DeliveryParts,
  claimed: ClaimedDelivery,
  delivery: Delivery | undefined,
  error: unknown,
): Promise<void> {
  const { id, kind, attempts } = claimed;
  const next = await database.transaction(async trx => {
    const now = await database.now(trx);
    const outcome = await outbox.failed(trx, claimed, now);
    if (outcome === 'given_up') {
      const event = eventOf(nodeId, claimed, delivery, 'expired');
      await appendAuditEvents(database, trx, [event], nodeId, now);
    }
    return outcome;
  });
  log.warn({ event: 'delivery.failed', delivery: id, kind, attempts, next, err: error }, 'a delivery failed');
}
