/** What both sides are set up with, and nothing else: imported by the bare server too, so it imports nothing. */

export const BENCH_SCOPE = 'bench.read';

/** Resource servers, by how their access tokens are made. `opaque` exists on the bare side only, `statusList` on ours. */
export const BENCH_RESOURCES = {
  es256: 'https://es256.bench.example',
  rs256: 'https://rs256.bench.example',
  opaque: 'https://opaque.bench.example',
  statusList: 'https://status-list.bench.example',
} as const;

/** People, all with one password. Nobody is ever in two sign-ins at a time. */
export const BENCH_PEOPLE = 64;
export const BENCH_PASSWORD = 'ferret lamp under bridge';
export const BENCH_REDIRECT_URI = 'https://client.bench.example/callback';
export const PEOPLE_SCOPE = `openid offline_access ${BENCH_SCOPE}`;

export function benchEmail(index: number): string {
  return `person-${index}@people.bench.example`;
}

export interface BenchClient {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** Same lengths as real ones, so that parsing and comparing cost the same. */
export function bareClientMetadata(client: BenchClient) {
  return {
    client_id: client.clientId,
    client_secret: client.clientSecret,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: 'client_secret_basic' as const,
    scope: BENCH_SCOPE,
  };
}

/** Of a client that people sign in to. */
export function bareWebClientMetadata(client: BenchClient) {
  return {
    client_id: client.clientId,
    client_secret: client.clientSecret,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code' as const],
    redirect_uris: [BENCH_REDIRECT_URI],
    token_endpoint_auth_method: 'client_secret_basic' as const,
    id_token_signed_response_alg: 'ES256' as const,
    scope: PEOPLE_SCOPE,
  };
}

export const STATIC_BENCH_CLIENT: BenchClient = {
  clientId: 'cl_benchbenchbenchbenchb',
  clientSecret: `cvg_cs_${'benchbenchbenchbench'.repeat(2)}bench0000`,
};

export const STATIC_CLIENT = bareClientMetadata(STATIC_BENCH_CLIENT);

export const STATIC_WEB_CLIENT: BenchClient = {
  clientId: 'cl_webwebwebwebwebwebwe',
  clientSecret: `cvg_cs_${'webwebwebwebwebwebwe'.repeat(2)}webwe0000`,
};
