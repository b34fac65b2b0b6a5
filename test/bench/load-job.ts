/** What the benchmark and its load generator say to each other. */
import type { BenchClient } from './bench-names.js';

export interface LoadRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  /** 'each-client': the side's clients in turn; otherwise the header's value, or none. */
  readonly authorization?: string;
}

export const EACH_CLIENT = 'each-client';

/** RFC 6749 §2.3.1 */
export function basicAuthorization({ clientId, clientSecret }: BenchClient): string {
  const pair = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/** A side as people and the client that they sign in to see it. */
export interface Site {
  readonly url: string;
  readonly paths: { readonly authorization: string; readonly token: string; readonly jwks: string };
  readonly client: BenchClient;
}

export interface ClientsMessage {
  readonly kind: 'clients';
  readonly side: string;
  /** One Authorization header per client, built once. */
  readonly authorizations: readonly string[];
  readonly site: Site;
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

/**
 * `code`: a code for tokens. `refresh`: a refresh token for the next one. `sign-in`: from the authorization request,
 * in a browser without a session, to tokens. `crowd`: as many sign-ins at once, and the key set in the meantime.
 */
export type JourneyName = 'code' | 'refresh' | 'sign-in' | 'crowd';

export interface JourneyMessage {
  /** `prepare`: obtains what the journeys begin with. */
  readonly kind: 'prepare' | 'journey';
  readonly side: string;
  readonly journey: JourneyName;
  readonly connections: number;
  readonly amount: number;
}

export type LoadMessage = ClientsMessage | RunMessage | JourneyMessage;

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
