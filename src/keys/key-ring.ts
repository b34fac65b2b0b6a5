import type { JWK } from 'jose';
import type { Clock } from '../clock.js';
import { AVAILABLE_ALGORITHMS } from '../config/available-algorithms.js';
import type { Envelope } from '../crypto/envelope.js';
import type { ChangeFeed } from '../database/change-feed.js';
import type { Database } from '../database/connect.js';
import { endNodeLease, LEASE_FOR, renewNodeLease } from '../database/node-leases.js';
import type { Logger } from '../log.js';
import type { SigningAlgorithm } from '../protocol.js';
import type { KeyPolicy } from './key-policy.js';
import { readRing } from './key-store.js';
import { isAnotherHistory } from './merge-rings.js';
import { type PublishedJwks, publishJwks } from './published-jwks.js';
import { RememberedRingStore } from './remembered-ring-store.js';
import { sealContext } from './rotate.js';
import type { SignElsewhere, SigningBackends } from './signing-backends/signing-backends.js';
import type { Ring, SigningKey } from './signing-key.js';

/** The private half itself, or the way to where it stays. */
export type ActiveSigner =
  | { readonly kid: string; readonly privateJwk: JWK; readonly signElsewhere?: undefined }
  | { readonly kid: string; readonly privateJwk?: undefined; readonly signElsewhere: SignElsewhere };

/** What this node signs with and publishes, all of one ring version. */
export interface ServedRing {
  readonly ring: Ring;
  readonly published: PublishedJwks;
  /** The private half of each algorithm's active key. Others stay sealed until they are promoted. */
  readonly signing: ReadonlyMap<SigningAlgorithm, ActiveSigner>;
  /** Kids of active and announced keys whose private half cannot be opened. */
  readonly damaged: readonly string[];
}

/** The database holds another past than the one this node has served. */
export interface Regression {
  readonly found: Ring;
  readonly knownVersion: number;
}

export type RingListener = (served: ServedRing) => void;

export interface KeyRingOptions {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly policy: KeyPolicy;
  readonly envelope: Envelope;
  /** The way to private halves that are not in the database. Absent: their keys do not sign on this node. */
  readonly backends?: SigningBackends;
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
  readonly #remembered = new RememberedRingStore();
  #isRemembered = false;
  #regression: { readonly found: Ring; readonly served: ServedRing } | undefined;
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
    const served = this.#regression?.served ?? this.#served;
    if (served === undefined) throw new TypeError('the key ring has not been loaded');
    return served;
  }

  /** While it is there this node signs nothing, and publishes the keys of both pasts. */
  get regression(): Regression | undefined {
    if (this.#regression === undefined) return undefined;
    const { found, served } = this.#regression;
    return { found, knownVersion: served.ring.version };
  }

  /** Seconds since what this node knows of the ring was last confirmed. */
  get age(): number {
    return this.#age();
  }

  /**
   * The database's clock, milliseconds: as read at the last heartbeat, moved on by our monotonic clock. So what
   * this node judges and stamps does not follow its wall clock when somebody sets it.
   */
  get databaseNow(): number {
    const { at, monotonic } = this.#databaseTime;
    // Whole milliseconds, as the database's own are: it goes into queries.
    return Math.floor(at + this.#options.clock.monotonic() - monotonic);
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
    return this.#regression === undefined && this.isClockTrusted && this.#age() < LEASE_FOR;
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
    const { database, nodeId, clock, policy } = this.#options;
    const sentAt = { monotonic: clock.monotonic(), wall: clock.now() };
    // Versions of two pasts cannot be compared: what counts for the barrier is the database's.
    const servedVersion = this.#regression?.found.version ?? this.#served?.ring.version ?? 0;
    const { ring, isOther } = await database.transaction(async trx => {
      const askedAt = clock.monotonic();
      const now = await database.now(trx);
      this.#databaseTime = { at: now, monotonic: (askedAt + clock.monotonic()) / 2 };
      await renewNodeLease(trx, nodeId, servedVersion, now, policy.algorithms);
      const found = await readRing(trx);
      const known = this.#served?.ring;
      if (known !== undefined && isAnotherHistory(found, known)) {
        // Nobody else may know these keys any more; an operator's word brings them back.
        this.#isRemembered = true;
        await this.#remembered.remember(trx, nodeId, known, now);
        return { ring: found, isOther: true };
      }
      // What was written while a confirmation was being committed would count as another past for ever.
      if (this.#isRemembered) await this.#remembered.forget(trx, [nodeId]);
      return { ring: found, isOther: false };
    });
    this.#isRemembered = isOther;
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
    const current = this.#served;
    if (current !== undefined && isAnotherHistory(ring, current.ring)) {
      this.#regress(current, ring);
      return;
    }
    this.#regression = undefined;
    if (current?.ring.version === ring.version || ring.keys.length === 0) return;
    const served = { ring, published: publishJwks(ring), ...this.#unseal(ring) };
    for (const listener of this.#listeners) listener(served);
    this.#served = served;
  }

  /**
   * A restored backup: its older keys would sign tokens that nobody can verify, so nothing is signed until an
   * operator confirms it. Who holds a token of either past can verify it meanwhile.
   */
  #regress(current: ServedRing, found: Ring): void {
    const before = this.#regression?.found;
    if (before?.version === found.version && before.keys.length === found.keys.length) return;
    if (before === undefined) {
      this.#options.log.error(
        { event: 'key_ring.regressed', version: found.version, served: current.ring.version },
        'the key ring went back',
      );
    }
    const kids = new Set(found.keys.map(({ kid }) => kid));
    const lost = current.ring.keys.filter(({ kid }) => !kids.has(kid));
    // A key that this node knows to be revoked is not shown again because a backup has forgotten it.
    const revoked = new Set(current.ring.keys.filter(isRevoked).map(({ kid }) => kid));
    const keys = [...lost, ...found.keys.filter(({ kid }) => !revoked.has(kid))];
    const published = publishJwks({ version: found.version, keys });
    this.#regression = { found, served: { ...current, published } };
  }

  /** Announced keys are opened only to see that they can be: before they are needed, not when. */
  #unseal(ring: Ring): Pick<ServedRing, 'signing' | 'damaged'> {
    const signing = new Map<SigningAlgorithm, ActiveSigner>();
    const damaged: string[] = [];
    for (const key of ring.keys) {
      const signElsewhere = key.external === undefined ? undefined : this.#options.backends?.signerOf(key);
      // Whether it answers shows when it is asked: an HSM that is away may be back for the next token.
      if (signElsewhere !== undefined && key.state === 'active') {
        signing.set(key.alg, { kid: key.kid, signElsewhere });
      }
      if (key.sealedPrivate === undefined) continue;
      try {
        const opened = this.#options.envelope.open(key.sealedPrivate, sealContext(key.kid));
        const privateJwk = JSON.parse(opened.toString('utf8')) as JWK;
        // With a newer runtime another node signs with it; this one must not promise to.
        if (key.state === 'active' && AVAILABLE_ALGORITHMS.includes(key.alg))
          signing.set(key.alg, { kid: key.kid, privateJwk });
      } catch (error) {
        damaged.push(key.kid);
        // One damaged key must not take the others with it: its algorithm stops, the rest goes on signing.
        this.#options.log.error(
          { event: 'signing_key.damaged', kid: key.kid, err: error },
          'a key cannot be opened',
        );
      }
    }
    return { signing, damaged };
  }

  /** Seconds. The larger of both clocks: one stops while a machine sleeps, the other can be set back. */
  #age(): number {
    if (this.#sentAt === undefined) return Number.POSITIVE_INFINITY;
    const { clock } = this.#options;
    const age = Math.max(clock.monotonic() - this.#sentAt.monotonic, clock.now() - this.#sentAt.wall);
    return age / 1000;
  }
}

function isRevoked({ state }: SigningKey): boolean {
  return state === 'revoked';
}
