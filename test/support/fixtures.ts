import { removeSharedCluster } from './postgres.js';

/** Loaded by mocha through `require` in .mocharc.json. PostgreSQL starts when a test first asks for it. */
export async function mochaGlobalTeardown(): Promise<void> {
  await removeSharedCluster();
}
