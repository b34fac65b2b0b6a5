import type { Migration } from '../../src/database/migrate.js';
import { foundation } from './0001-foundation.js';
import { people } from './0002-people.js';
import { nodeAlgorithms } from './0003-node-algorithms.js';
import { jwksFetches } from './0004-jwks-fetches.js';
import { alerts } from './0005-alerts.js';
import { statusLists } from './0006-status-lists.js';
import { rootKeys } from './0007-root-keys.js';
import { externalKeys } from './0008-external-keys.js';

/** In the order in which they apply. A migration never changes once it has been released. */
export const migrations: readonly Migration[] = [
  foundation,
  people,
  nodeAlgorithms,
  jwksFetches,
  alerts,
  statusLists,
  rootKeys,
  externalKeys,
];
