export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface FetchLimits {
  /** Seconds for the whole exchange, body included. */
  readonly timeoutAfter: number;
  /** Bytes of the body, as they arrive. */
  readonly sizeLimit: number;
}

export interface FetchedJson {
  readonly value: unknown;
  readonly headers: Headers;
}

/** An answer that arrived but was not 200. */
export class UnexpectedStatus extends Error {
  override readonly name = 'UnexpectedStatus';
  readonly status: number;

  constructor(url: string, status: number) {
    super(`${url} answered ${status}`);
    this.status = status;
  }
}

/**
 * A redirect is an error: the address was configured or came from metadata whose issuer was compared, and a redirect
 * would let whoever answers there move it, possibly into our own network.
 *
 * @throws Error on a redirect, another status than 200, a body over the limit, a body that is not JSON, the time limit.
 */
export async function fetchJson(
  fetchIt: Fetch,
  url: string,
  init: RequestInit,
  limits: FetchLimits,
): Promise<FetchedJson> {
  const { text, headers } = await fetchText(fetchIt, url, init, limits);
  return { value: JSON.parse(text), headers };
}

/** As `fetchJson`, of a body that is no JSON. */
export async function fetchText(
  fetchIt: Fetch,
  url: string,
  init: RequestInit,
  limits: FetchLimits,
): Promise<{ readonly text: string; readonly headers: Headers }> {
  const signal = AbortSignal.timeout(limits.timeoutAfter * 1000);
  const response = await fetchIt(url, { ...init, redirect: 'error', signal });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new UnexpectedStatus(url, response.status);
  }
  const text = await readBounded(response, url, limits.sizeLimit);
  return { text, headers: response.headers };
}

async function readBounded(response: Response, url: string, sizeLimit: number): Promise<string> {
  if (response.body === null) return '';
  const reader = response.body.getReader();
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let text = '';
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.byteLength;
    if (size > sizeLimit) {
      await reader.cancel();
      throw new Error(`${url} answered more than ${sizeLimit} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
}

/**
 * Keys and answers that arrive over plain http can be replaced on the way, and with them every token. Loopback never
 * leaves the machine.
 *
 * @throws TypeError for anything but https, http on loopback, or http when it is allowed explicitly.
 */
export function checkedUrl(text: string, name: string, isHttpAllowed: boolean): string {
  if (!URL.canParse(text)) throw new TypeError(`${name} is not a URL`);
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') throw new TypeError(`${name} must not contain credentials`);
  const isLoopback = /^(?:localhost|.+\.localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
  if (protocol === 'https:' || (protocol === 'http:' && (isLoopback || isHttpAllowed))) return text;
  throw new TypeError(`${name} must be https (set isHttpAllowed only inside a network you trust)`);
}
