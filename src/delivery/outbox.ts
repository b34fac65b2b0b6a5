import { randomInt } from 'node:crypto';
import type { Envelope } from '../crypto/envelope.js';
import { randomBase62 } from '../crypto/random-id.js';
import type { Database, Transaction } from '../database/connect.js';
import type { MailName, Mails } from './mails.js';
import { type OutboxRow, OutboxStore } from './outbox-store.js';

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
export type DeliveryKind = Delivery['kind'];

/** A delivery that this node may try until its lease ends. Sealed until it is opened for the attempt. */
export interface ClaimedDelivery {
  readonly id: string;
  readonly kind: DeliveryKind;
  /** This one included. */
  readonly attempts: number;
  readonly createdAt: number;
  /** Too old to be of use: to be given up without an attempt. */
  readonly isExpired: boolean;
  readonly sealed: string;
}

/** Seconds. */
const EXPIRES_AFTER: Readonly<Record<DeliveryKind, number>> = {
  mail: 48 * 3600,
  backchannel_logout: 24 * 3600,
};

/** Longer than any attempt may take, so that nobody else begins the same one meanwhile. */
const LEASE_FOR = 60;

const FIRST_RETRY_AFTER = 5;
/** Before chance makes it half an hour at most. */
const LAST_RETRY_AFTER = 20 * 60;

/**
 * Milliseconds until the attempt after `attempts` failed ones: doubled each time, and up to half as much again by
 * chance, so that what failed together does not come back together.
 */
export function retryAfter(attempts: number, chance: number): number {
  const doubled = Math.min(FIRST_RETRY_AFTER * 2 ** (attempts - 1), LAST_RETRY_AFTER);
  return Math.round(doubled * (1 + chance / 2) * 1000);
}

function contextOf(id: string): string {
  return `outbox.payload:${id}`;
}

/**
 * What must reach the outside: stored in the transaction that decides it, sent afterwards, again until it arrives.
 *
 * At least once, not exactly once: a node that dies between the answer of the other side and `done` leaves a row
 * that is sent again. Both kinds bear it: a mail keeps its Message-ID, a second logout finds nothing to end.
 */
export class Outbox {
  readonly #envelope: Envelope;
  readonly #store = new OutboxStore();

  constructor(envelope: Envelope) {
    this.#envelope = envelope;
  }

  async enqueue(trx: Transaction, delivery: Delivery, now: number): Promise<void> {
    const id = randomBase62(22);
    await this.#store.insert(trx, {
      id,
      kind: delivery.kind,
      sealed: this.#envelope.seal(JSON.stringify(delivery), contextOf(id)),
      createdAt: now,
      expiresAt: now + EXPIRES_AFTER[delivery.kind] * 1000,
    });
  }

  /**
   * Claims what is due, on one node each: a claim is also the next attempt, at the end of the lease, so the claim of
   * a node that died comes back by itself.
   */
  async take(database: Database, kind: DeliveryKind, limit: number): Promise<ClaimedDelivery[]> {
    // Most of the time there is nothing: a look that holds up no writer.
    const isDue = await database.read(async on => this.#store.isDue(on, kind, await database.now(on)));
    if (!isDue) return [];
    return database.transaction(async trx => {
      const now = await database.now(trx);
      const rows = await this.#store.claim(trx, {
        kind,
        limit,
        now,
        until: now + LEASE_FOR * 1000,
        skipsLocked: database.dialect === 'postgres',
      });
      return rows.map(row => claimedOf(row, now));
    });
  }

  /** @throws AppError `sealed_value_damaged` */
  open(claimed: ClaimedDelivery): Delivery {
    return JSON.parse(this.#envelope.open(claimed.sealed, contextOf(claimed.id)).toString('utf8'));
  }

  async done(trx: Transaction, claimed: ClaimedDelivery): Promise<boolean> {
    return this.#store.remove(trx, claimed.id);
  }

  /** Plans the next attempt, or gives up when that would come too late. */
  async failed(
    trx: Transaction,
    claimed: ClaimedDelivery,
    now: number,
  ): Promise<'planned' | 'given_up' | 'taken_over'> {
    const chance = randomInt(1_000_001) / 1_000_000;
    const nextAttemptAt = now + retryAfter(claimed.attempts, chance);
    const planned = await this.#store.plan(trx, claimed, nextAttemptAt);
    if (planned) return 'planned';
    return (await this.#store.removeClaimed(trx, claimed)) ? 'given_up' : 'taken_over';
  }
}

function claimedOf(row: OutboxRow, now: number): ClaimedDelivery {
  return {
    id: row.id,
    kind: row.kind as DeliveryKind,
    attempts: row.attempts,
    createdAt: row.createdAt,
    isExpired: row.expiresAt <= now,
    sealed: row.sealed,
  };
}
