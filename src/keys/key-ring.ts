import type { JWK } from 'jose';
import type { Clock } from '../clock.js';
import type { Envelope } from '../crypto/envelope.js';
import type { ChangeFeed } from '../database/change-feed.js';
import type { Database } from '../database/connect.js';
import { endNodeLease, LEASE_FOR, renewNodeLease } from '../database/node-leases.js';
import type { Logger } from '../log.js';
import type { SigningAlgorithm } from '../protocol.js';
import type { KeyPolicy } from './key-policy.js';
import { isPublished } from './key-state.js';
import { readRing } from './key-store.js';
import { type PublishedJwks, publishJwks } from './published-jwks.js';
import { sealContext } from './rotate.js';
import type { Ring } from './signing-key.js';

/** What this node signs with and publishes, all of one ring version. */
export interface ServedRing {
  readonly ring: Ring;
  readonly published: PublishedJwks;
  /** The private half of each algorithm's active key. Others stay sealed until they are promoted. */
  readonly signing: ReadonlyMap<SigningAlgorithm, { readonly kid: string; readonly privateJwk: JWK }>;
}

export type RingListener = (served: ServedRing) => void;

export interface KeyRingOptions {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly policy: KeyPolicy;
  readonly envelope: Envelope;
  readonly nodeId: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Seconds. */
const CONFIRM_AGAIN_AFTER = 1;
/** Seconds. A node whose clock is further off is taken out of service: somebody has to look at it. */
export const LARGEST_DRIFT_FOR = 30;

/**
 * The ring as this node holds it. Two fences, both by the age of the last successful heartbeat, never by a
 * comparison of clocks: an old ring may neither sign (a key may have been demoted or revoked since) nor be
 * published (a verifier could cache a JWKS without the key that others already sign with).
 */
export class KeyRing {
  readonly #options: KeyRingOptions;
  readonly #listeners: RingListener[] = [];
  #served: ServedRing | undefined;
  #sentAt: { monotonic: number; wall: number } | undefined;
  #isRegressed = false;
  /** Readings are taken in one after the other: a slow older one must not look like a restored backup. */
  #reading: Promise<void> = Promise.resolve();
  #databaseTime = { at: 0, monotonic: 0 };
  #confirming: Promise<void> | undefined;
  #confirmAgainAt = 0;

  constructor(options: KeyRingOptions) {
    this.#options = options;
    options.feed.listen(async change => {
      if (change === undefined || change.kind === 'key_ring') await this.#load();
    });
  }

  get served(): ServedRing {
    if (this.#served === undefined) throw new TypeError('the key ring has not been loaded');
    return this.#served;
  }

  /**
   * The database's clock, milliseconds: as read at the last heartbeat, moved on by our monotonic clock. So what
   * this node judges and stamps does not follow its wall clock when somebody sets it.
   */
  get databaseNow(): number {
    const { at, monotonic } = this.#databaseTime;
    return at + this.#options.clock.monotonic() - monotonic;
  }

  /** Milliseconds by which this node's wall clock is ahead of the database's. */
  get clockDrift(): number {
    return this.#options.clock.now() - this.databaseNow;
  }

  get isClockTrusted(): boolean {
    return Math.abs(this.clockDrift) <= LARGEST_DRIFT_FOR * 1000;
  }

  /** Told before this node begins to answer with the new ring; must not throw. */
  listen(listener: RingListener): void {
    this.#listeners.push(listener);
  }

  get canSign(): boolean {
    return !this.#isRegressed && this.isClockTrusted && this.#age() < LEASE_FOR;
  }

  get canServeJwks(): boolean {
    return this.#served !== undefined && this.#age() < this.#options.policy.serveJwksFor;
  }

  /**
   * Reads the ring and tells the database which version this node has been answering with. The age counts from
   * before the request was sent, because that is the latest moment at which what it read is known to be true.
   */
  async heartbeat(): Promise<void> {
    await this.#inTurn(() => this.#beat());
  }

  /**
   * Tries to become fresh again, for a request that finds this node overdue. One attempt for all who ask at once,
   * and none for a second after a failure: with the database away, requests are to be refused, not to queue up.
   */
  async confirm(): Promise<void> {
    const { clock, log } = this.#options;
    if (clock.monotonic() < this.#confirmAgainAt) return;
    this.#confirming ??= this.heartbeat()
      .catch((error: unknown) => {
        this.#confirmAgainAt = clock.monotonic() + CONFIRM_AGAIN_AFTER * 1000;
        log.warn({ event: 'key_ring.unconfirmed', err: error }, 'the key ring could not be confirmed');
      })
      .finally(() => {
        this.#confirming = undefined;
      });
    await this.#confirming;
  }

  /** At a clean stop. */
  async leave(): Promise<void> {
    await this.#options.database.transaction(trx => endNodeLease(trx, this.#options.nodeId));
  }

  async #beat(): Promise<void> {
    const { database, nodeId, clock } = this.#options;
    const sentAt = { monotonic: clock.monotonic(), wall: clock.now() };
    const servedVersion = this.#served?.ring.version ?? 0;
    const ring = await database.transaction(async trx => {
      const askedAt = clock.monotonic();
      const now = await database.now(trx);
      this.#databaseTime = { at: now, monotonic: (askedAt + clock.monotonic()) / 2 };
      await renewNodeLease(trx, nodeId, servedVersion, now);
      return readRing(trx);
    });
    this.#take(ring);
    this.#sentAt = sentAt;
  }

  async #load(): Promise<void> {
    await this.#inTurn(async () => this.#take(await this.#options.database.read(readRing)));
  }

  async #inTurn(read: () => Promise<void>): Promise<void> {
    const turn = this.#reading.catch(() => undefined).then(read);
    this.#reading = turn;
    await turn;
  }

  #take(ring: Ring): void {
    const { log } = this.#options;
    const current = this.#served?.ring;
    if (current !== undefined && isAnotherHistory(ring, current)) {
      // A restored backup: its older keys would sign tokens that nobody can verify, so nothing is signed at all
      // until the process is started again, which is somebody's decision.
      if (!this.#isRegressed) {
        log.error(
          { event: 'key_ring.regressed', version: ring.version, served: current.version },
          'the key ring went back',
        );
      }
      this.#isRegressed = true;
      return;
    }
    if (current?.version === ring.version || ring.keys.length === 0) return;
    const served = { ring, published: publishJwks(ring), signing: this.#unseal(ring) };
    for (const listener of this.#listeners) listener(served);
    this.#served = served;
  }

  #unseal(ring: Ring): ServedRing['signing'] {
    const signing = new Map<SigningAlgorithm, { kid: string; privateJwk: JWK }>();
    for (const key of ring.keys) {
      if (key.state !== 'active' || key.sealedPrivate === undefined) continue;
      try {
        const opened = this.#options.envelope.open(key.sealedPrivate, sealContext(key.kid));
        signing.set(key.alg, { kid: key.kid, privateJwk: JSON.parse(opened.toString('utf8')) as JWK });
      } catch (error) {
        // One damaged key must not take the others with it: its algorithm stops, the rest goes on signing.
        this.#options.log.error(
          { event: 'signing_key.damaged', kid: key.kid, err: error },
          'a key cannot be opened',
        );
      }
    }
    return signing;
  }

  /** Seconds. The larger of both clocks: one stops while a machine sleeps, the other can be set back. */
  #age(): number {
    if (this.#sentAt === undefined) return Number.POSITIVE_INFINITY;
    const { clock } = this.#options;
    const age = Math.max(clock.monotonic() - this.#sentAt.monotonic, clock.now() - this.#sentAt.wall);
    return age / 1000;
  }
}

/**
 * A ring only grows. An older version, or one that lacks a key verifiers were shown, comes from another past: the
 * version alone would not tell once somebody has rotated the restored ring up to it.
 */
function isAnotherHistory(ring: Ring, known: Ring): boolean {
  if (ring.version < known.version) return true;
  const kids = new Set(ring.keys.map(({ kid }) => kid));
  return known.keys.some(key => isPublished(key) && !kids.has(key.kid));
}
