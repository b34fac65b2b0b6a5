import { closeChromium } from './chromium.js';
import { removeSharedCluster } from './postgres.js';

/** Loaded by mocha through `require` in .mocharc.json. PostgreSQL and Chromium start when a test first asks for them. */
export async function mochaGlobalTeardown(): Promise<void> {
  await closeChromium();
  await removeSharedCluster();
}
