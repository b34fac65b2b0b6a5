import type { Actor } from '../../src/audit/events.js';
import type { ClientRecord } from '../../src/clients/client.js';
import { STANDARD_METADATA } from '../../src/clients/client-metadata.js';
import { ClientStore } from '../../src/clients/client-store.js';
import { makeSecret } from '../../src/clients/make-secret.js';
import { clientId as newClientId } from '../../src/crypto/random-id.js';
import { localRootKey } from '../../src/crypto/root-key.js';
import { openDatabase } from '../../src/database/connect.js';
import { openInstallation } from '../../src/database/installation.js';
import { createResourceServer } from '../../src/resources/change-resource-server.js';
import type { ResourceServer } from '../../src/resources/resource-server.js';
import { BENCH_RESOURCES, BENCH_SCOPE, type BenchClient } from './bench-names.js';

export interface SeedTarget {
  /** `sqlite:PATH`; the file does not exist yet. */
  readonly databaseUrl: string;
  /** 32 bytes, base64url: what the server gets as CLAVIGER_ROOT_KEY. */
  readonly rootKey: string;
  readonly issuer: string;
  readonly environment: string;
}

export type Seed = (target: SeedTarget, count: number) => Promise<readonly BenchClient[]>;

const ACTOR: Actor = 'os:bench@localhost';
const NODE = 'bench';

/**
 * Migrates a new database and fills it by the real stores: the two resource servers of `BENCH_RESOURCES` that sign
 * (`es256` first and default, `rs256`; scope `BENCH_SCOPE`; access tokens for 600 s) and exactly `count` clients:
 * grant client_credentials, secret by client_secret_basic, `BENCH_SCOPE` at both resource servers.
 * Returns the clients with their readable secrets. Leaves nothing open.
 */
export const seedClaviger: Seed = async (target, count) => {
  const database = openDatabase({ url: target.databaseUrl });
  try {
    const { keys } = await openInstallation(database, localRootKey(target.rootKey), target);
    const servers: ResourceServer[] = [];
    for (const [name, alg] of [
      ['es256', 'ES256'],
      ['rs256', 'RS256'],
    ] as const) {
      servers.push(
        await createResourceServer(
          { database, nodeId: NODE },
          { identifier: BENCH_RESOURCES[name], name, scopes: [BENCH_SCOPE], alg, accessTokenFor: 600 },
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
    return made.map(({ client, clientSecret }) => ({ clientId: client.clientId, clientSecret }));
  } finally {
    await database.close();
  }
};
