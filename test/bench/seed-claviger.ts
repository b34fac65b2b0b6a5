import type { Actor } from '../../src/audit/events.js';
import { createClient, type NewClientInput } from '../../src/clients/change-client.js';
import type { ClientRecord } from '../../src/clients/client.js';
import { STANDARD_METADATA } from '../../src/clients/client-metadata.js';
import { ClientStore } from '../../src/clients/client-store.js';
import { makeSecret } from '../../src/clients/make-secret.js';
import type { Config } from '../../src/config/config.js';
import { loadConfig } from '../../src/config/load.js';
import { PasswordHasher } from '../../src/crypto/password-hash.js';
import { clientId as newClientId } from '../../src/crypto/random-id.js';
import { localRootKey } from '../../src/crypto/root-key.js';
import { type Database, openDatabase } from '../../src/database/connect.js';
import { type DataKeys, openInstallation } from '../../src/database/installation.js';
import { openAccess } from '../../src/oidc/people.js';
import { createResourceServer } from '../../src/resources/change-resource-server.js';
import type { ResourceServer } from '../../src/resources/resource-server.js';
import { importUsers } from '../../src/users/import-users.js';
import {
  BENCH_PASSWORD,
  BENCH_PEOPLE,
  BENCH_REDIRECT_URI,
  BENCH_RESOURCES,
  BENCH_SCOPE,
  type BenchClient,
  benchEmail,
} from './bench-names.js';

export interface SeedTarget {
  /** `sqlite:PATH`; the file does not exist yet. */
  readonly databaseUrl: string;
  /** 32 bytes, base64url: what the server gets as CLAVIGER_ROOT_KEY. */
  readonly rootKey: string;
  readonly issuer: string;
  readonly environment: string;
}

export interface Seeded {
  readonly clients: readonly BenchClient[];
  readonly webClient: BenchClient;
}

export type Seed = (target: SeedTarget, count: number) => Promise<Seeded>;

const ACTOR: Actor = 'os:bench@localhost';
const NODE = 'bench';

/**
 * Migrates a new database and fills it by the real stores: the resource servers of `BENCH_RESOURCES` that sign
 * (`es256` first and default, `rs256`, `statusList`; scope `BENCH_SCOPE`; access tokens for 600 s) and exactly `count` clients:
 * grant client_credentials, secret by client_secret_basic, `BENCH_SCOPE` at each resource server.
 * Beside them the client that people sign in to, and the people. Returns the clients with their readable secrets.
 * Leaves nothing open.
 */
export const seedClaviger: Seed = async (target, count) => {
  const database = openDatabase({ url: target.databaseUrl });
  try {
    const { keys } = await openInstallation(database, localRootKey(target.rootKey), target);
    const servers: ResourceServer[] = [];
    for (const [name, alg, revocation] of [
      ['es256', 'ES256', 'none'],
      ['rs256', 'RS256', 'none'],
      ['statusList', 'ES256', 'status-list'],
    ] as const) {
      servers.push(
        await createResourceServer(
          { database, nodeId: NODE },
          {
            identifier: BENCH_RESOURCES[name],
            name,
            scopes: [BENCH_SCOPE],
            alg,
            revocation,
            accessTokenFor: 600,
          },
          ACTOR,
        ),
      );
    }
    const now = await database.now();
    const made = Array.from({ length: count }, (_, index): { client: ClientRecord; clientSecret: string } => {
      const clientId = newClientId();
      const secret = makeSecret(keys.hasher, clientId, ACTOR);
      return {
        clientSecret: secret.clientSecret,
        client: {
          ...STANDARD_METADATA,
          clientId,
          name: `bench ${index}`,
          authMethod: 'client_secret_basic',
          grantTypes: ['client_credentials'],
          responseTypes: [],
          createdAt: now,
          updatedAt: now,
          resources: servers.map(({ id, identifier }, position) => ({
            resourceId: id,
            identifier,
            scopes: [BENCH_SCOPE],
            defaultScopes: [BENCH_SCOPE],
            isDefault: position === 0,
          })),
          secrets: [secret.record({ name: 'initial' }, now)],
        },
      };
    });
    await database.transaction(trx =>
      new ClientStore().insertMany(
        trx,
        made.map(({ client }) => client),
      ),
    );
    const config = configOf(target);
    const changing = { database, nodeId: NODE, config, hasher: keys.hasher };
    const { client, secret } = await createClient(changing, WEB_CLIENT, ACTOR);
    await seedPeople({ ...changing, keys });
    return {
      clients: made.map(({ client, clientSecret }) => ({ clientId: client.clientId, clientSecret })),
      webClient: { clientId: client.clientId, clientSecret: secret?.clientSecret ?? '' },
    };
  } finally {
    await database.close();
  }
};

const WEB_CLIENT: NewClientInput = {
  name: 'bench desk',
  grantTypes: ['authorization_code', 'refresh_token'],
  redirectUris: [BENCH_REDIRECT_URI],
  oidcScopes: ['openid', 'offline_access'],
  idTokenSignedResponseAlg: 'ES256',
  resources: [{ identifier: BENCH_RESOURCES.es256, scopes: [BENCH_SCOPE] }],
};

function configOf({ databaseUrl, rootKey, issuer, environment }: SeedTarget): Config {
  const env = {
    CLAVIGER_ENVIRONMENT: environment,
    CLAVIGER_ISSUER: issuer,
    CLAVIGER_DATABASE_URL: databaseUrl,
    CLAVIGER_ROOT_KEY: rootKey,
  };
  return loadConfig({ env, cwd: '/nonexistent' }).config;
}

/** One hash for all of them: made once, it costs as much to check as if each had its own. */
async function seedPeople(parts: {
  readonly database: Database;
  readonly nodeId: string;
  readonly config: Config;
  readonly keys: DataKeys;
}): Promise<void> {
  const { outbox, ending } = openAccess(parts);
  const { keys, ...rest } = parts;
  const passwords = new PasswordHasher();
  const password_hash = await passwords.hash(BENCH_PASSWORD);
  const rows = Array.from({ length: BENCH_PEOPLE }, (_, index) =>
    JSON.stringify({ email: benchEmail(index), email_verified: true, password_hash }),
  );
  await importUsers(
    {
      ...rest,
      hasher: keys.hasher,
      envelope: keys.accountEnvelope,
      passwords,
      outbox,
      endAccess: ending.endAccess,
    },
    { text: rows.join('\n') },
    { actor: ACTOR },
  );
}
