import { BENCH_PEOPLE, BENCH_RESOURCES, BENCH_SCOPE } from './bench-names.js';
import { basicAuthorization, EACH_CLIENT, type JourneyName, type LoadRequest } from './load-job.js';
import type { Side, SideName } from './sides.js';

interface AnyCase {
  readonly name: string;
  readonly sides: readonly SideName[];
  /** Said below the table: what a reader must know before comparing. */
  readonly remark?: string;
}

/** One request, again and again. */
export interface RequestCase extends AnyCase {
  prepare(side: Side): Promise<LoadRequest>;
  /** A fast wrong answer must not win: why this answer is not the expected one, or undefined. */
  faultIn(body: string): string | undefined;
}

/** What no single request can show; every answer on the way is checked. */
export interface JourneyCase extends AnyCase {
  readonly journey: JourneyName;
  readonly connections: number;
  /** Journeys of a round at most; default: as many as fit into it. */
  readonly most?: number;
  readonly isFixed?: boolean;
}

export type BenchCase = RequestCase | JourneyCase;

export function isJourneyCase(benchCase: BenchCase): benchCase is JourneyCase {
  return 'journey' in benchCase;
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

function tokenCase(alg: 'ES256' | 'RS256', sides: readonly SideName[]): RequestCase {
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

export const STATUS_LIST_CASE = 'client_credentials ES256, status lists';

/** On one server, in turn: tokens with a place in a status list, and tokens without. */
function statusListCase(): RequestCase {
  const resourceOf = (side: Side) =>
    side.name === 'claviger-plain' ? BENCH_RESOURCES.es256 : BENCH_RESOURCES.statusList;
  return {
    name: STATUS_LIST_CASE,
    sides: ['claviger', 'claviger-plain'],
    remark: `${STATUS_LIST_CASE}: one server; each token has its bit in a status list (claviger), or none has (claviger-plain).`,
    prepare: async side => tokenRequest(side, resourceOf(side), EACH_CLIENT),
    faultIn: body => {
      const payload = String(JSON.parse(body).access_token).split('.')[1];
      const { aud, status } = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString());
      const isListed = status?.status_list?.uri !== undefined;
      return isListed === (aud === BENCH_RESOURCES.statusList)
        ? undefined
        : `audience ${aud}, status ${isListed}`;
    },
  };
}

/** Also what every side is warmed up with. */
export const WARMING_CASE = tokenCase('ES256', ['claviger', 'bare', 'bare-sqlite']);
export const CROWD_CASE = `${BENCH_PEOPLE} simultaneous sign-ins: JWKS`;

/** Bare keeps its last thousand codes, and one code is not worth more than a minute anywhere. */
const MOST_CODES = 128;

export const CASES: readonly BenchCase[] = [
  WARMING_CASE,
  tokenCase('RS256', ['claviger', 'bare']),
  statusListCase(),
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
  {
    name: 'code exchange',
    sides: ['claviger', 'bare'],
    journey: 'code',
    connections: 32,
    most: MOST_CODES,
    remark:
      'code exchange: the token request only, with PKCE; ID and access token by ES256, and a refresh token. Bare keeps all of it in memory.',
  },
  {
    name: 'refresh with rotation',
    sides: ['claviger', 'bare'],
    journey: 'refresh',
    connections: 32,
    remark:
      'refresh with rotation: 32 families, each token used once; the same tokens come back. Bare keeps them in memory, and knows no grace for a repeat.',
  },
  {
    name: 'a whole sign-in',
    sides: ['claviger', 'bare'],
    journey: 'sign-in',
    connections: 8,
    remark:
      'a whole sign-in: a request is authorize, sign-in page, password (argon2id, the same on both), consent remembered, code and tokens, 8 people at a time. Bare shows a page of three lines, throttles nobody and asks nothing of a database.',
  },
  {
    name: CROWD_CASE,
    sides: ['claviger'],
    journey: 'crowd',
    connections: BENCH_PEOPLE,
    most: BENCH_PEOPLE,
    isFixed: true,
    remark: `${CROWD_CASE}: latency of the key set for 4 verifiers while ${BENCH_PEOPLE} people sign in at once; the CPU is that of the sign-ins, and req/s say how often the verifiers asked.`,
  },
];
