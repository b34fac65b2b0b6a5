/** What the benchmark and its load generator say to each other. */

export interface LoadRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  /** 'each-client': the side's clients in turn; otherwise the header's value, or none. */
  readonly authorization?: string;
}

export const EACH_CLIENT = 'each-client';

export interface ClientsMessage {
  readonly kind: 'clients';
  readonly side: string;
  /** One Authorization header per client, built once. */
  readonly authorizations: readonly string[];
}

export interface RunMessage {
  readonly kind: 'run';
  readonly side: string;
  readonly url: string;
  readonly request: LoadRequest;
  readonly connections: number;
  readonly amount: number;
  /** Index of the first client: each round goes on where the last one ended. */
  readonly firstClient: number;
}

export type LoadMessage = ClientsMessage | RunMessage;

export interface LoadResult {
  readonly answers: number;
  /** Everything that was not a 200: other statuses, connection errors, time limits. */
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly seconds: number;
  readonly p50: number;
  readonly p99: number;
  /** CPU of the generator itself: near 1 per second, it and not the server was the limit. */
  readonly generatorCpuSeconds: number;
}
