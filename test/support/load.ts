import { Agent, request } from 'node:http';

export interface LoadRequest {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface LoadResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface LoadResult {
  readonly responses: number;
  /** How often each status came. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Requests without an answer: connection refused, cut, or too late. */
  readonly errors: readonly Error[];
  /** Milliseconds, ascending. */
  readonly latencies: readonly number[];
}

export interface LoadOptions {
  readonly connections: number;
  /** The next request to send; called once per request. */
  readonly next: (count: number) => LoadRequest;
  /** Sees every answer. A throw ends the load and is thrown by `stop()`. */
  readonly onResponse?: (response: LoadResponse, sent: LoadRequest) => void | Promise<void>;
  /** Without an answer for this long (milliseconds) a request counts as an error. */
  readonly answerLimit?: number;
}

export interface RunningLoad {
  /** Requests answered so far. */
  readonly responses: number;
  /** Lets each connection finish its request, then tells what happened. */
  stop(): Promise<LoadResult>;
}

export function send(agent: Agent, sent: LoadRequest, answerLimit = 10_000): Promise<LoadResponse> {
  return new Promise((resolve, reject) => {
    const { method = sent.body === undefined ? 'GET' : 'POST', headers = {}, body } = sent;
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const outgoing = request(sent.url, { agent, method, headers: { ...headers, ...length } }, incoming => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
    outgoing.setTimeout(answerLimit, () => outgoing.destroy(new Error(`no answer within ${answerLimit} ms`)));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Keep-alive load: each connection sends its next request as soon as the last one is answered. */
export function startLoad(options: LoadOptions): RunningLoad {
  const { connections, next, onResponse, answerLimit } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const statuses = new Map<number, number>();
  const errors: Error[] = [];
  const latencies: number[] = [];
  let isStopping = false;
  let count = 0;

  async function connection(): Promise<void> {
    while (!isStopping) {
      const sent = next(count++);
      const started = performance.now();
      let response: LoadResponse;
      try {
        response = await send(agent, sent, answerLimit);
      } catch (error) {
        errors.push(error instanceof Error ? error : new Error(String(error)));
        // A server that is gone answers at once with a refusal: leave the processor to the others.
        await new Promise(done => setImmediate(done));
        continue;
      }
      latencies.push(performance.now() - started);
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      try {
        await onResponse?.(response, sent);
      } catch (error) {
        isStopping = true;
        throw error;
      }
    }
  }

  const running = Promise.allSettled(Array.from({ length: connections }, connection));
  return {
    get responses() {
      return latencies.length;
    },
    async stop() {
      isStopping = true;
      const ends = await running;
      agent.destroy();
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
      latencies.sort((a, b) => a - b);
      return { responses: latencies.length, statuses, errors, latencies };
    },
  };
}
