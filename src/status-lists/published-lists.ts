import type { Database } from '../database/connect.js';
import type { SigningAlgorithm } from '../protocol.js';
import {
  emptyBits,
  etagOf,
  LIST_FRESH_FOR,
  LIST_SIZE,
  listClaims,
  readListId,
  setBit,
} from './status-list.js';
import { type LiveList, StatusListStore } from './status-list-store.js';

/** Signs with the active key of an algorithm (`typ` and `kid` in the header). @throws when there is none. */
export type SignStatusList = (
  alg: SigningAlgorithm,
  claims: Readonly<Record<string, unknown>>,
) => Promise<string>;

export interface PublishedListsOptions {
  readonly database: Database;
  readonly issuer: string;
  readonly sign: SignStatusList;
  /** Whether this node may publish what it holds (`KeyRing.canServeJwks`). */
  readonly mayPublish: () => boolean;
  /** The database's clock as this node knows it, milliseconds. */
  readonly databaseNow: () => number;
  /** Milliseconds. */
  readonly monotonic: () => number;
}

/** What is sent. */
export interface PublishedList {
  readonly body: Buffer;
  readonly etag: string;
}

export type FoundList =
  | { readonly outcome: 'found'; readonly document: PublishedList }
  | { readonly outcome: 'unknown' }
  | { readonly outcome: 'unavailable' };

/** Milliseconds for which what was read counts as the present. */
const CURRENT_FOR = 250;
/** Milliseconds between two readings, however many ask for lists that nobody knows. */
const READ_AGAIN_AFTER = 250;
/** Milliseconds that a request waits for the database before it gets what there is. */
const WAIT_FOR = 1500;
/**
 * Milliseconds for which a node that cannot reach the database goes on with what it knows: with `ttl`, and as much in a
 * cache, still below the 30 s that are promised to whoever reaches this node.
 */
const STALE_FOR = 10_000;
/** Milliseconds before the last reading, in which a transaction may have been that is committed only now. */
const OVERLAP_FOR = 60_000;
/** Milliseconds between readings of everything: a paused node may commit later than any overlap. */
const READ_ALL_EVERY = 60_000;

interface HeldList {
  list: LiveList;
  /** Undefined: all 0. */
  bits: Uint8Array | undefined;
  /** Counts changes. */
  revision: number;
  signed: { readonly revision: number; readonly at: number; readonly document: PublishedList } | undefined;
  signing: Promise<PublishedList> | undefined;
}

/**
 * The lists as this node publishes them, from memory. Whoever asks gets what the database held a moment ago;
 * one reading serves everybody, and nothing is read while nobody asks. A list is signed again when a bit has changed
 * or when its copy is as old as others may keep it.
 */
export class PublishedLists {
  readonly #options: PublishedListsOptions;
  readonly #store = new StatusListStore();
  readonly #held = new Map<number, HeldList>();
  /** When the last successful reading was sent. */
  #readAt: number | undefined;
  #readAllAt: number | undefined;
  /** The same by the database's clock. */
  #readUntil = 0;
  #triedAt = Number.NEGATIVE_INFINITY;
  #current: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(options: PublishedListsOptions) {
    this.#options = options;
  }

  /** @param id the last part of its address. */
  async find(id: string): Promise<FoundList> {
    const { monotonic, mayPublish, databaseNow } = this.#options;
    const listId = readListId(id);
    if (listId === undefined) return { outcome: 'unknown' };
    const askedAt = monotonic();
    const isCurrent = this.#readAt !== undefined && askedAt - this.#readAt <= CURRENT_FOR;
    // Another node may have begun the list a moment ago, so "unknown" is an answer to a question asked after this one.
    if (!isCurrent || !this.#held.has(listId)) await this.#readInTime();
    const readAt = this.#readAt;
    if (!mayPublish() || readAt === undefined || monotonic() - readAt > STALE_FOR)
      return { outcome: 'unavailable' };
    const held = this.#held.get(listId);
    if (held === undefined) return { outcome: readAt >= askedAt ? 'unknown' : 'unavailable' };
    if (held.list.expiresAt <= databaseNow()) return { outcome: 'unknown' };
    try {
      return { outcome: 'found', document: await this.#documentOf(held) };
    } catch {
      // No active key of the algorithm: the node's other surfaces tell of it.
      return { outcome: 'unavailable' };
    }
  }

  async #readInTime(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>(resolve => {
      timer = setTimeout(resolve, WAIT_FOR);
    });
    await Promise.race([this.#readNext(), timeout]).catch(() => undefined);
    clearTimeout(timer);
  }

  /** A reading that begins after now; one for all who wait. */
  #readNext(): Promise<void> {
    this.#next ??= this.#prepare();
    return this.#next;
  }

  async #prepare(): Promise<void> {
    const { monotonic } = this.#options;
    await this.#current?.catch(() => undefined);
    const pause = this.#triedAt + READ_AGAIN_AFTER - monotonic();
    if (pause > 0) await new Promise(resolve => setTimeout(resolve, pause));
    this.#next = undefined;
    this.#triedAt = monotonic();
    this.#current = this.#read();
    await this.#current;
  }

  async #read(): Promise<void> {
    const { database, monotonic } = this.#options;
    const sentAt = monotonic();
    const isWhole = this.#readAllAt === undefined || sentAt - this.#readAllAt >= READ_ALL_EVERY;
    const since = isWhole ? 0 : this.#readUntil - OVERLAP_FOR;
    const { now, live, revoked } = await database.read(async on => {
      const read = await database.now(on);
      return {
        now: read,
        live: await this.#store.listLive(on, read),
        revoked: await this.#store.listRevoked(on, since, read),
      };
    });
    const ids = new Set(live.map(({ listId }) => listId));
    for (const listId of this.#held.keys()) if (!ids.has(listId)) this.#held.delete(listId);
    for (const list of live) this.#hold(list);
    for (const { listId, indices } of revoked) this.#mark(listId, indices);
    this.#readAt = sentAt;
    this.#readUntil = now;
    if (isWhole) this.#readAllAt = sentAt;
  }

  #hold(list: LiveList): void {
    const held = this.#held.get(list.listId);
    if (held === undefined) {
      const fresh = { list, bits: undefined, revision: 0, signed: undefined, signing: undefined };
      this.#held.set(list.listId, fresh);
    } else if (held.list.isAllRevoked !== list.isAllRevoked) {
      held.list = list;
      held.revision += 1;
    }
  }

  #mark(listId: number, indices: readonly number[]): void {
    const held = this.#held.get(listId);
    if (held === undefined) return;
    held.bits ??= emptyBits();
    let changes = 0;
    for (const index of indices) if (setBit(held.bits, index)) changes += 1;
    if (changes > 0) held.revision += 1;
  }

  async #documentOf(held: HeldList): Promise<PublishedList> {
    const { signed } = held;
    const isFresh = signed !== undefined && this.#options.monotonic() - signed.at < LIST_FRESH_FOR * 1000;
    if (isFresh && signed.revision === held.revision) return signed.document;
    // Whoever comes while a list is being signed waits for that one, and for another if a bit has changed since.
    if (held.signing !== undefined) {
      await held.signing;
      return this.#documentOf(held);
    }
    held.signing = this.#sign(held).finally(() => {
      held.signing = undefined;
    });
    return held.signing;
  }

  async #sign(held: HeldList): Promise<PublishedList> {
    const { issuer, sign, monotonic } = this.#options;
    const { list, revision } = held;
    const at = monotonic();
    // Dated by what it knows, not by when it is signed: a node that is cut off must not look newer than the others.
    const knownAt = this.#readUntil;
    const bits = list.isAllRevoked ? new Uint8Array(LIST_SIZE / 8).fill(255) : (held.bits ?? emptyBits());
    const claims = await listClaims(issuer, list, bits, knownAt);
    const body = Buffer.from(await sign(list.alg, claims));
    const document = { body, etag: etagOf(body) };
    held.signed = { revision, at, document };
    return document;
  }
}
