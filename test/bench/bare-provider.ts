/**
 * The other side: oidc-provider with nothing around it, as its documentation shows it.
 * `node bare-provider.js` keeps one static client and the library's memory adapter;
 * `node bare-provider.js FILE` reads its clients from table `bench_clients` of that SQLite file.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import knex, { type Knex } from 'knex';
import { type Adapter, type AdapterConstructor, type Configuration, Provider } from 'oidc-provider';
import { answerInteraction, isInteraction, newAccounts, peopleConfiguration } from './bare-people.js';
import {
  BENCH_RESOURCES,
  BENCH_SCOPE,
  bareWebClientMetadata,
  STATIC_CLIENT,
  STATIC_WEB_CLIENT,
} from './bench-names.js';

function newSigningKeys() {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  // As long as Claviger's: signatures with keys of different length cannot be compared.
  const rsa = generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey.export({ format: 'jwk' });
  return [
    { ...ec, kid: 'es256', alg: 'ES256', use: 'sig' },
    { ...rsa, kid: 'rs256', alg: 'RS256', use: 'sig' },
  ];
}

/** A plain adapter: one SELECT for each client asked for. Clients are all that this load stores. */
function clientAdapter(database: Knex): AdapterConstructor {
  const unused = () => Promise.reject(new TypeError('the benchmark stores nothing but clients'));
  return class ClientAdapter implements Adapter {
    readonly #model: string;
    constructor(model: string) {
      this.#model = model;
    }
    async find(id: string) {
      if (this.#model !== 'Client') return undefined;
      const row = await database('bench_clients').where({ id }).first('metadata');
      return row === undefined ? undefined : JSON.parse(row.metadata);
    }
    upsert = unused;
    findByUserCode = unused;
    findByUid = unused;
    consume = unused;
    destroy = unused;
    revokeByGrantId = unused;
  };
}

/** What Claviger offers beside: each feature costs every request something, and that is the library's cost, not ours. */
const SAME_FEATURES = {
  backchannelLogout: { enabled: true },
  ciba: {
    enabled: true,
    deliveryModes: ['poll'],
    processLoginHint: async () => undefined,
    processLoginHintToken: async () => undefined,
    triggerAuthenticationDevice: async () => undefined,
    validateBindingMessage: async () => undefined,
    validateRequestContext: async () => undefined,
    verifyUserCode: async () => undefined,
  },
  claimsParameter: { enabled: true },
  deviceFlow: { enabled: true },
  dPoP: { enabled: true, nonceSecret: randomBytes(32) },
  jwtResponseModes: { enabled: true },
  jwtUserinfo: { enabled: true },
  pushedAuthorizationRequests: { enabled: true },
  requestObjects: { enabled: true },
  revocation: { enabled: true },
} satisfies Configuration['features'];

function configuration(file: string | undefined): Configuration {
  return {
    ...(file === undefined
      ? { clients: [STATIC_CLIENT, bareWebClientMetadata(STATIC_WEB_CLIENT)] }
      : {
          adapter: clientAdapter(
            knex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true }),
          ),
        }),
    jwks: { keys: newSigningKeys() },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    scopes: ['openid', 'offline_access', BENCH_SCOPE],
    ...peopleConfiguration,
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      ...SAME_FEATURES,
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => {
          const common = { scope: BENCH_SCOPE, audience: resource, accessTokenTTL: 600 };
          if (resource === BENCH_RESOURCES.opaque) return { ...common, accessTokenFormat: 'opaque' };
          const alg = resource === BENCH_RESOURCES.rs256 ? 'RS256' : 'ES256';
          return { ...common, accessTokenFormat: 'jwt', jwt: { sign: { alg } } };
        },
      },
    },
  };
}

const accounts = await newAccounts();
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  const provider = new Provider(`http://localhost:${port}`, configuration(process.argv[2]));
  provider.on('server_error', (_ctx, error) => process.stderr.write(`${error.stack}\n`));
  const core = provider.callback();
  server.on('request', (request, response) => {
    if (isInteraction(request)) answerInteraction(provider, accounts, request, response);
    else core(request, response);
  });
  process.send?.({ port });
});
// Never outlive the benchmark, however it ended.
process.on('disconnect', () => process.exit(0));
