import { appendAuditEvents } from '../audit/audit-log.js';
import type { Actor } from '../audit/events.js';
import type { Config } from '../config/config.js';
import type { Database, Transaction } from '../database/connect.js';
import type { Outbox } from '../delivery/outbox.js';
import { AlertStore, type QuietSpan } from './alert-store.js';
import { type Alert, commandFor, evidenceLines, termsOf } from './signals.js';

/** Seconds in which the same signal about the same subject is raised once, however many nodes see it. */
export const QUIET_FOR = 3600;

export interface AlertLog {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface AlertsOptions {
  readonly database: Database;
  readonly nodeId: string;
  readonly outbox: Outbox;
  readonly config: Pick<Config, 'alerts' | 'branding'>;
  /** Absent on the command line, which tells the person in front of it. */
  readonly log?: AlertLog;
}

/**
 * Tells people that something needs them: an audit event, a log entry, and a mail to each address of `alerts.mailTo`.
 * All that is stored is stored in the transaction of what it tells of, so a crash loses neither or both.
 */
export class Alerts {
  readonly #options: AlertsOptions;
  readonly #store = new AlertStore();

  constructor(options: AlertsOptions) {
    this.#options = options;
  }

  /**
   * In the transaction of what it tells of.
   *
   * @returns false when the same was raised within the last hour, by whichever node; then nothing is written.
   */
  async raise(trx: Transaction, alert: Alert, actor: Actor, now: number): Promise<boolean> {
    const { database, nodeId } = this.#options;
    const { signal, subject, evidence } = alert;
    const { severity } = termsOf(signal);
    const isNew = await this.#store.mark(trx, { signal, subject, severity, now }, quietAt(now));
    if (!isNew) return false;
    const detail = { ...evidence, signal, severity, command: commandFor(alert) };
    const event = { event: 'alert.raised', outcome: 'success', actor, subject, detail } as const;
    await appendAuditEvents(database, trx, [event], nodeId, now);
    await this.#mail(trx, alert, now);
    // A log entry cannot be taken back, so it waits for the commit.
    void trx.executionPromise.then(
      () => this.#tell(alert),
      () => undefined,
    );
    return true;
  }

  /** In a transaction of its own: for what a node notices, again and again, until somebody has mended it. */
  async raiseAlone(alert: Alert, actor: Actor): Promise<boolean> {
    const { database } = this.#options;
    // Most of the time it is known: a look that holds up no writer.
    const isKnown = await database.read(async on =>
      this.#store.isRaisedWithin(on, alert, quietAt(await database.now(on))),
    );
    if (isKnown) return false;
    return database.transaction(async trx => this.raise(trx, alert, actor, await database.now(trx)));
  }

  async #mail(trx: Transaction, alert: Alert, now: number): Promise<void> {
    const { outbox, config } = this.#options;
    const { severity, summary } = termsOf(alert.signal);
    const values = {
      severity,
      summary,
      subject: alert.subject,
      evidence: evidenceLines(alert.evidence).join('\n'),
      command: commandFor(alert),
    };
    for (const to of config.alerts.mailTo) {
      const { locale } = config.branding;
      await outbox.enqueue(trx, { kind: 'mail', to, locale, mail: 'alert', values }, now);
    }
  }

  #tell(alert: Alert): void {
    const { severity, summary } = termsOf(alert.signal);
    const fields = {
      event: 'alert.raised',
      signal: alert.signal,
      subject: alert.subject,
      evidence: alert.evidence,
      command: commandFor(alert),
    };
    if (severity === 'critical') this.#options.log?.error(fields, summary);
    else this.#options.log?.warn(fields, summary);
  }
}

function quietAt(now: number): QuietSpan {
  return { from: now - QUIET_FOR * 1000 + 1, to: now + QUIET_FOR * 1000 };
}
