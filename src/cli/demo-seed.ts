import { readFileSync } from 'node:fs';
import { createClient, enableClient } from '../clients/change-client.js';
import { addClientSecret } from '../clients/change-client-secret.js';
import type { ClientRecord } from '../clients/client.js';
import { matchClientSecret } from '../clients/client-secret.js';
import { ClientStore } from '../clients/client-store.js';
import { createResourceServer } from '../resources/change-resource-server.js';
import { ResourceStore } from '../resources/resource-store.js';
import type { Opened } from './context.js';

export const DEMO_RESOURCE = 'https://api.example.test/orders';
export const DEMO_SCOPES = ['orders.read', 'orders.write'] as const;
const DEMO_CLIENT = 'Demo client';

/** A lost file may have been copied before: what it held ends a day later, not at once. */
const LOST_SECRET_ENDS_IN = 86_400;

/** What stands in `.claviger/demo.json`, by its wire names. */
export interface DemoFacts {
  readonly issuer: string;
  readonly client_id: string;
  readonly client_secret: string;
  readonly resource: string;
  readonly scope: string;
}

type Credentials = Pick<DemoFacts, 'client_id' | 'client_secret'>;
type Parts = Pick<Opened, 'database' | 'hasher' | 'nodeId' | 'actor' | 'longestTokenFor' | 'config'>;

export function readDemoFile(path: string): Credentials | undefined {
  try {
    const found: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof found !== 'object' || found === null) return undefined;
    const { client_id, client_secret } = found as Record<string, unknown>;
    if (typeof client_id !== 'string' || typeof client_secret !== 'string') return undefined;
    return { client_id, client_secret };
  } catch {
    // Missing or damaged: a new secret is made.
    return undefined;
  }
}

async function findClient(parts: Parts): Promise<ClientRecord | undefined> {
  const clients = await parts.database.read(on => new ClientStore().list(on, { limit: 1000 }));
  return clients.find(({ name }) => name === DEMO_CLIENT);
}

/** The same client at each start, and the same secret as long as the file from last time is there. */
export async function seedDemo(parts: Parts, remembered: Credentials | undefined): Promise<Credentials> {
  const { database, actor, hasher } = parts;
  if ((await database.read(on => new ResourceStore().findByIdentifier(on, DEMO_RESOURCE))) === undefined) {
    const { accessTokenFor } = parts.config.tokens;
    const input = { identifier: DEMO_RESOURCE, name: 'Orders (demo)', scopes: DEMO_SCOPES, accessTokenFor };
    await createResourceServer(parts, input, actor);
  }
  const store = new ClientStore();
  const known =
    remembered === undefined ? undefined : await database.read(on => store.find(on, remembered.client_id));
  const client = known ?? (await findClient(parts));
  if (client === undefined) {
    const resources = [{ identifier: DEMO_RESOURCE, scopes: DEMO_SCOPES }];
    const created = await createClient(parts, { name: DEMO_CLIENT, resources }, actor);
    if (created.secret === undefined) throw new TypeError('the demo client was made without a secret');
    return { client_id: created.client.clientId, client_secret: created.secret.clientSecret };
  }
  const { clientId } = client;
  if (client.disabledAt !== undefined) await enableClient(parts, { clientId }, actor);
  const now = await database.now();
  if (
    remembered !== undefined &&
    known !== undefined &&
    matchClientSecret(hasher, client.secrets, remembered.client_secret, now) !== undefined
  ) {
    return remembered;
  }
  const input = { clientId, name: 'demo', retireOthersIn: LOST_SECRET_ENDS_IN };
  const { secret } = await addClientSecret(parts, input, actor);
  return { client_id: clientId, client_secret: secret.clientSecret };
}
