import { BENCH_RESOURCES, BENCH_SCOPE, type BenchClient } from './bench-names.js';
import { EACH_CLIENT, type LoadRequest } from './load-job.js';
import type { Side, SideName } from './sides.js';

export interface BenchCase {
  readonly name: string;
  readonly sides: readonly SideName[];
  /** Said below the table: what a reader must know before comparing. */
  readonly remark?: string;
  prepare(side: Side): Promise<LoadRequest>;
  /** A fast wrong answer must not win: why this answer is not the expected one, or undefined. */
  faultIn(body: string): string | undefined;
}

/** RFC 6749 §2.3.1 */
export function basicAuthorization({ clientId, clientSecret }: BenchClient): string {
  const pair = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

export async function sendOnce(side: Side, request: LoadRequest): Promise<string> {
  const { authorization } = request;
  const first = firstAuthorization(side);
  const response = await fetch(side.url + request.path, {
    method: request.method,
    ...(request.body === undefined ? {} : { body: request.body }),
    headers: {
      ...(request.body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      ...(authorization === undefined
        ? {}
        : { authorization: authorization === EACH_CLIENT ? first : authorization }),
    },
  });
  const body = await response.text();
  if (response.status !== 200) {
    throw new Error(`${side.name} answers ${request.path} with ${response.status}: ${body}`);
  }
  return body;
}

function firstAuthorization(side: Side): string {
  const [client] = side.clients;
  if (client === undefined) throw new TypeError(`${side.name} has no client`);
  return basicAuthorization(client);
}

function tokenRequest(side: Side, resource: string, authorization: string): LoadRequest {
  const body = new URLSearchParams({ grant_type: 'client_credentials', scope: BENCH_SCOPE, resource });
  return { method: 'POST', path: side.paths.token, body: body.toString(), authorization };
}

function tokenCase(alg: 'ES256' | 'RS256', sides: readonly SideName[]): BenchCase {
  const resource = alg === 'ES256' ? BENCH_RESOURCES.es256 : BENCH_RESOURCES.rs256;
  return {
    name: `client_credentials ${alg}`,
    sides,
    prepare: async side => tokenRequest(side, resource, EACH_CLIENT),
    faultIn: body => {
      const [header, payload] = String(JSON.parse(body).access_token).split('.');
      if (payload === undefined) return 'the access token is not a JWT';
      const { alg: signedBy } = JSON.parse(Buffer.from(header ?? '', 'base64url').toString());
      const { aud, scope } = JSON.parse(Buffer.from(payload, 'base64url').toString());
      if (signedBy !== alg) return `signed by ${signedBy}`;
      return aud === resource && scope === BENCH_SCOPE ? undefined : `audience ${aud}, scope ${scope}`;
    },
  };
}

export const CASES: readonly BenchCase[] = [
  tokenCase('ES256', ['claviger', 'bare', 'bare-sqlite']),
  tokenCase('RS256', ['claviger', 'bare']),
  {
    name: 'jwks',
    sides: ['claviger', 'bare'],
    prepare: async side => ({ method: 'GET', path: side.paths.jwks }),
    faultIn: body => (JSON.parse(body).keys.length >= 2 ? undefined : 'fewer than two keys'),
  },
  {
    name: 'discovery',
    sides: ['claviger', 'bare'],
    prepare: async side => ({ method: 'GET', path: side.paths.discovery }),
    faultIn: body => (JSON.parse(body).jwks_uri ? undefined : 'no jwks_uri'),
  },
  {
    name: 'introspection',
    sides: ['claviger', 'bare'],
    remark: 'introspection: Claviger is asked about a JWT, bare about an opaque token (it refuses JWTs).',
    prepare: async side => {
      const authorization = firstAuthorization(side);
      const resource = side.name === 'claviger' ? BENCH_RESOURCES.es256 : BENCH_RESOURCES.opaque;
      const answer = await sendOnce(side, tokenRequest(side, resource, authorization));
      const body = new URLSearchParams({ token: JSON.parse(answer).access_token });
      return { method: 'POST', path: side.paths.introspection, body: body.toString(), authorization };
    },
    faultIn: body => (JSON.parse(body).active === true ? undefined : 'the token is not active'),
  },
];
