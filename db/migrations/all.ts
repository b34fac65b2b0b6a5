import type { Migration } from '../../src/database/migrate.js';
import { foundation } from './0001-foundation.js';
import { people } from './0002-people.js';

/** In the order in which they apply. A migration never changes once it has been released. */
export const migrations: readonly Migration[] = [foundation, people];
