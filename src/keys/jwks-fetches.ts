import { createHmac, randomBytes } from 'node:crypto';
import { type BlockList, isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';
import { trustedProxyList } from '../config/trusted-proxies.js';
import type { Database } from '../database/connect.js';
import {
  addressBlock,
  type Fetcher,
  type FetchSource,
  type JwksFetch,
  LONGEST_USER_AGENT,
  shownUserAgent,
} from './jwks-fetch.js';
import { JwksFetchStore, MOST_FETCHERS } from './jwks-fetch-store.js';

export interface JwksFetchesOptions {
  readonly database: Database;
  /** keys.verifierNetworks */
  readonly networks: readonly string[];
  /** The client that an Authorization header proves, or undefined. Asked in the background only. */
  readonly authenticate: (authorization: string) => Promise<string | undefined>;
  /** Database clock as this node knows it, milliseconds. */
  readonly databaseNow: () => number;
}

/** Between two flushes. Known ones have room of their own: nobody who invents names can push them out. */
export const MOST_NOTED = { anonymous: 200, known: 1000, claims: 64, claimsOfOneNetwork: 8 } as const;

const MOST_SOURCES = 4096;
const MOST_ANSWERS = 2000;
const LONGEST_AUTHORIZATION = 512;
/** Seconds for which a checked header is not checked again; a wrong one may soon be right. */
const TRUSTS_FOR = 600;
const REFUSES_FOR = 60;

/** Who asks, with its key in the maps. */
interface Source {
  readonly key: string;
  readonly fetcher: Fetcher;
}

/** An Authorization header that nobody has checked yet. */
interface Claim {
  readonly digest: string;
  readonly authorization: string;
  readonly source: Source;
  readonly fetch: JwksFetch;
}

/**
 * Who has been given which version of the ring. Kept in memory, coalesced and written every few seconds: the answer
 * itself waits for nothing, and what a crash loses is a few seconds of fetches, which come again.
 */
export class JwksFetches {
  readonly #options: JwksFetchesOptions;
  readonly #listed: ReadonlyArray<{ readonly entry: string; readonly addresses: BlockList }>;
  readonly #store = new JwksFetchStore();
  readonly #sources = new LRUCache<string, Source>({ max: MOST_SOURCES });
  /** By a digest under a key of this process, so that no header stays in memory longer than until its check. */
  readonly #answers = new LRUCache<string, { readonly clientId: string | undefined; readonly at: number }>({
    max: MOST_ANSWERS,
  });
  readonly #digestKey = randomBytes(32);
  #anonymous = new Map<string, JwksFetch>();
  #known = new Map<string, JwksFetch>();
  readonly #claims = new Map<string, Claim>();

  constructor(options: JwksFetchesOptions) {
    this.#options = options;
    this.#listed = options.networks.map(entry => ({ entry, addresses: trustedProxyList([entry]) }));
  }

  /** On the way of the answer: no promise, no database, and nothing that grows without a bound. */
  note(from: FetchSource, ringVersion: number): void {
    const now = this.#options.databaseNow();
    const source = this.#sourceOf(from);
    const fetch = { ...source.fetcher, ringVersion, firstSeenAt: now, lastSeenAt: now, fetches: 1 };
    const { authorization } = from;
    if (authorization === undefined || !isBasic(authorization)) this.#add(source.key, fetch);
    else this.#noteClaim(authorization, source, fetch);
  }

  /** Checks what claims to be a client, then writes everything in one statement. What fails is kept and tried again. */
  async flush(): Promise<void> {
    try {
      await this.#checkClaims();
    } finally {
      // One claim that cannot be checked keeps nobody else out of the table.
      await this.#write();
    }
  }

  async #checkClaims(): Promise<void> {
    // A copy: what is claimed meanwhile is checked at the next flush.
    for (const [key, claim] of [...this.#claims]) {
      try {
        const clientId = await this.#options.authenticate(claim.authorization);
        this.#answers.set(claim.digest, { clientId, at: this.#options.databaseNow() });
        // More may have come in while it was being checked.
        const latest = this.#claims.get(key) ?? claim;
        this.#claims.delete(key);
        this.#addAs(clientId, latest.source, latest.fetch);
      } catch (error) {
        // To the end: next time the others come first.
        const latest = this.#claims.get(key) ?? claim;
        this.#claims.delete(key);
        this.#claims.set(key, latest);
        throw error;
      }
    }
  }

  async #write(): Promise<void> {
    const [known, anonymous] = [this.#known, this.#anonymous];
    if (known.size + anonymous.size === 0) return;
    this.#known = new Map();
    this.#anonymous = new Map();
    try {
      await this.#options.database.write(on =>
        this.#store.record(on, [...known.values(), ...anonymous.values()]),
      );
    } catch (error) {
      // The older ones first: where the room is short, it is they who go.
      const [newKnown, newAnonymous] = [this.#known, this.#anonymous];
      this.#known = new Map();
      this.#anonymous = new Map();
      for (const noted of [known, anonymous, newKnown, newAnonymous]) {
        for (const [key, fetch] of noted) this.#add(key, fetch);
      }
      throw error;
    }
  }

  #sourceOf({ address, userAgent }: FetchSource): Source {
    const sent = `${address}\n${userAgent?.slice(0, LONGEST_USER_AGENT) ?? ''}`;
    const known = this.#sources.get(sent);
    if (known !== undefined) return known;
    const listedAs = this.#listed.find(
      ({ addresses }) => address !== undefined && addresses.check(address, isIPv6(address) ? 'ipv6' : 'ipv4'),
    )?.entry;
    const fetcher = { network: addressBlock(address), userAgent: shownUserAgent(userAgent), listedAs };
    const source = { key: `${fetcher.network}\n${listedAs ?? ''}\n${fetcher.userAgent}`, fetcher };
    this.#sources.set(sent, source);
    return source;
  }

  #noteClaim(authorization: string, source: Source, fetch: JwksFetch): void {
    const digest = createHmac('sha256', this.#digestKey).update(authorization).digest('base64url');
    const answer = this.#answers.get(digest);
    if (answer !== undefined) {
      const holdsFor = answer.clientId === undefined ? REFUSES_FOR : TRUSTS_FOR;
      if (fetch.lastSeenAt - answer.at < holdsFor * 1000) {
        this.#addAs(answer.clientId, source, fetch);
        return;
      }
    }
    const key = `${digest}\n${source.key}`;
    const claimed = this.#claims.get(key);
    if (claimed !== undefined) {
      this.#claims.set(key, { ...claimed, fetch: merged(claimed.fetch, fetch) });
    } else if (this.#hasRoomForClaim(source)) {
      this.#claims.set(key, { digest, authorization, source, fetch });
    } else {
      // It is counted, and its next fetch may find room.
      this.#add(source.key, fetch);
    }
  }

  #hasRoomForClaim({ fetcher }: Source): boolean {
    if (this.#claims.size >= MOST_NOTED.claims) return false;
    let ofNetwork = 0;
    for (const { source } of this.#claims.values()) {
      if (source.fetcher.network === fetcher.network) ofNetwork += 1;
    }
    return ofNetwork < MOST_NOTED.claimsOfOneNetwork;
  }

  #addAs(clientId: string | undefined, source: Source, fetch: JwksFetch): void {
    if (clientId === undefined) this.#add(source.key, fetch);
    else this.#add(`${source.key}\n${clientId}`, { ...fetch, clientId });
  }

  #add(key: string, fetch: JwksFetch): void {
    const isKnown = fetch.clientId !== undefined || fetch.listedAs !== undefined;
    const [noted, most] = isKnown ? [this.#known, MOST_NOTED.known] : [this.#anonymous, MOST_NOTED.anonymous];
    const before = noted.get(key);
    if (before === undefined) makeRoom(noted, most, fetch.clientId);
    else noted.delete(key);
    noted.set(key, before === undefined ? fetch : merged(before, fetch));
  }
}

/** The first in the Map is the one that has been silent longest. A client that invents names pushes out its own. */
function makeRoom(noted: Map<string, JwksFetch>, most: number, clientId: string | undefined): void {
  const own = clientId === undefined ? [] : [...noted].filter(([, each]) => each.clientId === clientId);
  const isOwnFull = own.length >= MOST_FETCHERS.ofOneClient;
  const [oldest] = isOwnFull ? own : noted;
  if (oldest !== undefined && (isOwnFull || noted.size >= most)) noted.delete(oldest[0]);
}

function isBasic(authorization: string): boolean {
  return authorization.length <= LONGEST_AUTHORIZATION && /^basic /i.test(authorization);
}

function merged(a: JwksFetch, b: JwksFetch): JwksFetch {
  return {
    ...b,
    ringVersion: Math.max(a.ringVersion, b.ringVersion),
    firstSeenAt: Math.min(a.firstSeenAt, b.firstSeenAt),
    lastSeenAt: Math.max(a.lastSeenAt, b.lastSeenAt),
    fetches: a.fetches + b.fetches,
  };
}
