import type { Envelope } from '../crypto/envelope.js';
import type { Transaction } from '../database/connect.js';
import type { MailName, Mails } from './mails.js';

export interface MailDelivery<Name extends MailName = MailName> {
  readonly kind: 'mail';
  readonly to: string;
  readonly locale: string;
  readonly userId?: string | undefined;
  readonly mail: Name;
  readonly values: Mails[Name];
}

/** OpenID Connect Back-Channel Logout 1.0 §2.5; the token is made at each attempt, with the keys of then. */
export interface LogoutDelivery {
  readonly kind: 'backchannel_logout';
  readonly clientId: string;
  /** As the client knows the person: may be pairwise. */
  readonly subject: string;
  readonly sid: string | undefined;
}

export type Delivery = MailDelivery | LogoutDelivery;

/** What must reach the outside: stored in the transaction that decides it, sent afterwards, again until it arrives. */
export class Outbox {
  readonly #envelope: Envelope;

  constructor(envelope: Envelope) {
    this.#envelope = envelope;
  }

  async enqueue(_trx: Transaction, _delivery: Delivery, _now: number): Promise<void> {
    throw new TypeError(`not written yet ${this.#envelope.keyId}`);
  }
}
