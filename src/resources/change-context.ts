import type { Database } from '../database/connect.js';

/** What every change of a subject needs besides its input and its actor. */
export interface ChangeContext {
  readonly database: Database;
  /** Stands in the audit row: which node, or which run of the CLI, wrote it. */
  readonly nodeId: string;
}
