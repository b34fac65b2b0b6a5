import type { ClientRecord } from '../clients/client.js';
import { ClientStore } from '../clients/client-store.js';
import type { ChangeFeed } from '../database/change-feed.js';
import type { Database } from '../database/connect.js';
import { RecordCache } from '../database/record-cache.js';
import type { ResourceServer } from '../resources/resource-server.js';
import { ResourceStore } from '../resources/resource-store.js';
import type { User } from '../users/user.js';
import { UserStore } from '../users/user-store.js';

/** What this node knows by heart of whom it serves, dropped as soon as the change feed names it. */
export interface Records {
  readonly clients: RecordCache<ClientRecord>;
  readonly resources: RecordCache<ResourceServer>;
  readonly users: RecordCache<User>;
}

/** @param size the most records of each kind */
export function openRecords(database: Database, feed: ChangeFeed, size: number): Records {
  const [clients, resources, users] = [new ClientStore(), new ResourceStore(), new UserStore()];
  const held = { database, feed, size };
  return {
    clients: new RecordCache({ ...held, kinds: ['client'], load: (on, id) => clients.find(on, id) }),
    resources: new RecordCache({
      ...held,
      kinds: ['resource_server'],
      load: (on, id) => resources.find(on, id),
    }),
    users: new RecordCache({ ...held, kinds: ['user'], load: (on, id) => users.find(on, id) }),
  };
}
