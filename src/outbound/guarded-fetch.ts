import { lookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import type { Agent } from 'undici';
import { isIn, isPublic, type Network, readNetworks } from './special-use.js';

/** As libraries fill it in: with `undefined` for what they leave out. */
export interface GuardedInit extends Omit<RequestInit, 'body' | 'signal'> {
  readonly body?: RequestInit['body'] | Uint8Array | undefined;
  readonly signal?: AbortSignal | null | undefined;
}

/** WHATWG fetch, as far as a server needs it; libraries take it in place of the global one. */
export type GuardedFetch = (input: string | URL | Request, init?: GuardedInit) => Promise<Response>;

/** Every address of a name. */
export type Resolve = (host: string) => Promise<readonly string[]>;

export interface GuardOptions {
  /** Default: the system's resolver. */
  readonly resolve?: Resolve;
  /** Seconds for the whole exchange, at most 5. */
  readonly timeoutAfter?: number;
  /** PEM of the certificate authorities that count, instead of those that Node trusts. */
  readonly ca?: string;
  /**
   * Only for a host that the operator names and that is called often: its connections stay open and are used again.
   * Their addresses were checked when they were opened.
   */
  readonly keepsConnections?: boolean;
}

export type OutboundReason = 'forbidden' | 'unresolved' | 'timed_out' | 'too_large' | 'failed';

/** For logs: what is told to whoever chose the URL must not differ by reason, or it maps our network for them. */
export class OutboundError extends Error {
  override readonly name = 'OutboundError';
  readonly reason: OutboundReason;

  constructor(reason: OutboundReason, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}

const LONGEST = 5;
const LARGEST_BODY = 64 * 1024;
const KEPT_CONNECTIONS = 8;
/** Fetch §2.2.3: a response with one of these cannot be made with a body. */
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);
/** They describe what came over the wire; the body given out is decoded and whole. */
const WIRE_HEADERS: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-length',
  'transfer-encoding',
]);

async function systemResolve(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
}

/** The host as an address, if it is one. The URL parser has made `0x7f.1`, `017700000001` and `2130706433` plain. */
function literalAddress(hostname: string): string | undefined {
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  return isIP(bare) === 0 ? undefined : bare;
}

/** The connection goes where the check looked: a name asked again could answer differently (DNS rebinding). */
function pinned(addresses: readonly string[]): LookupFunction {
  const all = addresses.map(address => ({ address, family: isIP(address) }));
  return (_host, options, done) => {
    const [first] = all;
    if (options.all === true) done(null, all);
    else if (first !== undefined) done(null, first.address, first.family);
  };
}

async function boundedBody(body: AsyncIterable<unknown> | null): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('a response body consists of bytes');
    size += chunk.byteLength;
    // Counted as it arrives and after decompression: neither Content-Length nor the sender is to be believed.
    if (size > LARGEST_BODY)
      throw new OutboundError('too_large', `the answer is longer than ${LARGEST_BODY} bytes`);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

/** What is thrown for a malformed header quotes it, credentials and all; so nothing of that is passed on. */
function requestOf(input: string | URL | Request, init: RequestInit): Request {
  try {
    return new Request(input, init);
  } catch {
    throw new OutboundError('failed', 'the request cannot be made: a header or its method is malformed');
  }
}

class Guard {
  readonly #allowed: readonly Network[];
  readonly #resolve: Resolve;
  readonly #timeoutAfter: number;
  readonly #trust: { readonly ca?: string };
  readonly #keepsConnections: boolean;
  #kept: { readonly origin: string; readonly agent: Agent } | undefined;

  constructor(allowedNetworks: readonly string[], options: GuardOptions) {
    const { resolve, timeoutAfter = LONGEST, ca, keepsConnections = false } = options;
    this.#allowed = readNetworks(allowedNetworks);
    this.#resolve = resolve ?? systemResolve;
    this.#timeoutAfter = Math.min(timeoutAfter, LONGEST);
    this.#trust = ca === undefined ? {} : { ca };
    this.#keepsConnections = keepsConnections;
  }

  async fetch(input: string | URL | Request, init: GuardedInit = {}): Promise<Response> {
    const text = input instanceof Request ? input.url : String(input);
    if (!URL.canParse(text)) throw new OutboundError('forbidden', 'what is to be called is no URL');
    const url = new URL(text);
    const { protocol, username, password } = url;
    if (protocol !== 'https:' && protocol !== 'http:')
      throw new OutboundError('forbidden', `${protocol} is not called`);
    if (username !== '' || password !== '')
      throw new OutboundError('forbidden', 'a URL with credentials is not called');
    const { body, signal: caller, ...rest } = init;
    const request = requestOf(input, {
      ...rest,
      ...(body === undefined ? {} : { body: body instanceof Uint8Array ? new Uint8Array(body) : body }),
    });
    return this.#inTime(url, request, caller ?? (input instanceof Request ? input.signal : undefined));
  }

  /**
   * With a timer of its own, and ended by destroying the agent: signals that follow other signals (AbortSignal.any,
   * and the one inside a Request) can be collected as garbage before they fire, and then there is no limit.
   */
  async #inTime(url: URL, request: Request, caller: AbortSignal | undefined): Promise<Response> {
    const ending = new AbortController();
    const end = () => ending.abort();
    const timer = setTimeout(end, this.#timeoutAfter * 1000);
    caller?.addEventListener('abort', end);
    try {
      if (caller?.aborted === true) end();
      const exchange = this.#keepsConnections ? this.#keptExchange : this.#exchange;
      return await exchange.call(this, url, request, ending.signal);
    } catch (error) {
      if (error instanceof OutboundError) throw error;
      if (ending.signal.aborted)
        throw new OutboundError('timed_out', `${url.host} did not answer whole in time`, error);
      throw new OutboundError('failed', `${url.host} could not be called`, error);
    } finally {
      clearTimeout(timer);
      caller?.removeEventListener('abort', end);
    }
  }

  async #exchange(url: URL, request: Request, signal: AbortSignal): Promise<Response> {
    const addresses = await this.#checkedAddresses(url, signal);
    // Loaded with the first call: a server that calls nobody does without its 20 MB.
    const { Agent, fetch: undiciFetch } = await import('undici');
    signal.throwIfAborted();
    // An own agent for each exchange: no proxy from the environment, no connection that an earlier check let in.
    const agent = new Agent({
      connect: { ...this.#trust, lookup: pinned(addresses), timeout: this.#timeoutAfter * 1000 },
      connections: 1,
    });
    signal.addEventListener('abort', () => void agent.destroy());
    try {
      const answer = await undiciFetch(url, {
        method: request.method,
        headers: [...request.headers],
        body: request.body === null ? null : await request.arrayBuffer(),
        // A redirect would lead where nothing was checked; the caller sees the 3xx itself.
        redirect: 'manual',
        dispatcher: agent,
      });
      const body = await boundedBody(answer.body);
      return new Response(WITHOUT_BODY.has(answer.status) ? null : body, {
        status: answer.status,
        headers: [...answer.headers].filter(([name]) => !WIRE_HEADERS.has(name)),
      });
    } finally {
      await agent.destroy();
    }
  }

  async #keptExchange(url: URL, request: Request, signal: AbortSignal): Promise<Response> {
    // An address needs no look-up, so it is checked here; a name is when a connection to it is opened.
    if (literalAddress(url.hostname) !== undefined) await this.#checkedAddresses(url, signal);
    const agent = await this.#keptAgent(url);
    signal.throwIfAborted();
    // Not `fetch`: its limit is a signal that follows ours, and others wait on the same agent.
    const answer = await agent.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: request.method,
      headers: Object.fromEntries(request.headers),
      body: request.body === null ? null : new Uint8Array(await request.arrayBuffer()),
      signal,
    });
    const body = await boundedBody(answer.body);
    const headers = Object.entries(answer.headers).flatMap(([name, values]): [string, string][] =>
      WIRE_HEADERS.has(name) ? [] : [values ?? []].flat().map(value => [name, value]),
    );
    return new Response(WITHOUT_BODY.has(answer.statusCode) ? null : body, {
      status: answer.statusCode,
      headers,
    });
  }

  async #keptAgent(url: URL): Promise<Agent> {
    const { Agent } = await import('undici');
    if (this.#kept?.origin === url.origin) return this.#kept.agent;
    void this.#kept?.agent.close();
    const lookup: LookupFunction = (host, options, done) => {
      this.#checkedAddresses(url, AbortSignal.timeout(this.#timeoutAfter * 1000)).then(
        addresses => pinned(addresses)(host, options, done),
        (error: unknown) => done(error instanceof Error ? error : new Error('no address'), []),
      );
    };
    const agent = new Agent({
      connect: { ...this.#trust, lookup, timeout: this.#timeoutAfter * 1000 },
      connections: KEPT_CONNECTIONS,
    });
    this.#kept = { origin: url.origin, agent };
    return agent;
  }

  async #checkedAddresses(url: URL, signal: AbortSignal): Promise<readonly string[]> {
    const literal = literalAddress(url.hostname);
    const addresses = literal === undefined ? await this.#resolved(url.hostname, signal) : [literal];
    for (const address of addresses) {
      if (isIn(address, this.#allowed)) continue;
      // All of them: a name that points inside as well as outside is an attempt.
      if (!isPublic(address))
        throw new OutboundError(
          'forbidden',
          `${url.host} is ${address}, which is not public; outbound.allowedNetworks may allow it`,
        );
      if (url.protocol === 'http:')
        throw new OutboundError(
          'forbidden',
          `${url.host} is only called by https; outbound.allowedNetworks may allow http`,
        );
    }
    return addresses;
  }

  async #resolved(hostname: string, signal: AbortSignal): Promise<readonly string[]> {
    signal.throwIfAborted();
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    const addresses = await Promise.race([this.#resolve(hostname), late]).catch((error: unknown) => {
      if (signal.aborted) throw error;
      throw new OutboundError('unresolved', `${hostname} has no address`, error);
    });
    if (addresses.length === 0) throw new OutboundError('unresolved', `${hostname} has no address`);
    return addresses;
  }
}

/**
 * The only way out of this server. Whoever can name a URL here (a client's metadata, another provider's discovery
 * document) would otherwise make it call hosts that only it can reach (server-side request forgery).
 *
 * @param allowedNetworks addresses and CIDR ranges that may be called although they are not public, also by http.
 */
export function createGuardedFetch(
  allowedNetworks: readonly string[],
  options: GuardOptions = {},
): GuardedFetch {
  const guard = new Guard(allowedNetworks, options);
  return (input, init) => guard.fetch(input, init);
}
