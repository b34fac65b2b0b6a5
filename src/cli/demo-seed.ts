import { readFileSync } from 'node:fs';
import { createClient, enableClient } from '../clients/change-client.js';
import { addClientSecret } from '../clients/change-client-secret.js';
import type { ClientRecord } from '../clients/client.js';
import { matchClientSecret } from '../clients/client-secret.js';
import { ClientStore } from '../clients/client-store.js';
import { createResourceServer } from '../resources/change-resource-server.js';
import { ResourceStore } from '../resources/resource-store.js';
import type { Opened } from './context.js';
import { type DemoProgram, type DemoUser, seedProgram, seedUser } from './demo-people.js';

export const DEMO_RESOURCE = 'https://api.example.test/orders';
export const DEMO_SCOPES = ['orders.read', 'orders.write'] as const;
const DEMO_SCOPE_TEXTS = {
  'orders.read': { en: 'Read your orders', de: 'Ihre Bestellungen lesen' },
  'orders.write': { en: 'Place and change orders for you', de: 'In Ihrem Namen bestellen und ändern' },
} as const;
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
  readonly user: DemoUser;
  readonly redirect_client: DemoProgram;
}

type Credentials = Pick<DemoFacts, 'client_id' | 'client_secret'>;

/** What of last time's file can still be used. */
export interface Remembered {
  readonly credentials?: Credentials | undefined;
  readonly user?: DemoUser | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

export function readDemoFile(path: string): Remembered {
  try {
    const found = fieldsOf(JSON.parse(readFileSync(path, 'utf8')));
    const { client_id, client_secret } = found;
    const { email, password } = fieldsOf(found.user);
    return {
      credentials:
        typeof client_id === 'string' && typeof client_secret === 'string'
          ? { client_id, client_secret }
          : undefined,
      user: typeof email === 'string' && typeof password === 'string' ? { email, password } : undefined,
    };
  } catch {
    // Missing or damaged: new secrets are made.
    return {};
  }
}

async function findClient(parts: Opened): Promise<ClientRecord | undefined> {
  const clients = await parts.database.read(on => new ClientStore().list(on, { limit: 1000 }));
  return clients.find(({ name }) => name === DEMO_CLIENT);
}

/** The same clients and the same person at each start. */
export async function seedDemo(
  parts: Opened,
  remembered: Remembered,
): Promise<Credentials & Pick<DemoFacts, 'user' | 'redirect_client'>> {
  const { database, actor } = parts;
  if ((await database.read(on => new ResourceStore().findByIdentifier(on, DEMO_RESOURCE))) === undefined) {
    const { accessTokenFor } = parts.config.tokens;
    const named = { identifier: DEMO_RESOURCE, name: 'Orders (demo)' };
    const input = { ...named, scopes: DEMO_SCOPES, scopeDescriptions: DEMO_SCOPE_TEXTS, accessTokenFor };
    await createResourceServer(parts, input, actor);
  }
  const credentials = await seedClient(parts, remembered.credentials);
  const user = await seedUser(parts, remembered.user);
  const resource = { identifier: DEMO_RESOURCE, scopes: DEMO_SCOPES };
  return { ...credentials, user, redirect_client: await seedProgram(parts, resource) };
}

/** The same secret as long as the file from last time is there. */
async function seedClient(parts: Opened, remembered: Credentials | undefined): Promise<Credentials> {
  const { database, actor, hasher } = parts;
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
