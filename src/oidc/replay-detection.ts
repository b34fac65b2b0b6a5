import type { Provider } from 'oidc-provider';
import type { Database } from '../database/connect.js';
import type { ArtifactStore } from './artifact-store.js';
import { currentUnit } from './unit-of-work.js';

const MODEL = 'ReplayDetection';

/**
 * A DPoP proof or assertion id is accepted once (RFC 9449 §11.1). The core looks and then saves; here the row's
 * primary key decides at the commit, and who lost is judged again and finds the id used.
 */
export function installReplayDetection(
  provider: Provider,
  { database, artifacts }: { database: Database; artifacts: ArtifactStore },
): void {
  const model = provider.ReplayDetection as unknown as {
    unique(issuer: string, id: string, expiresAt: number): Promise<boolean>;
  };
  model.unique = async (issuer, id, expiresAt) => {
    const unit = currentUnit();
    if (unit === undefined) throw new TypeError('replay detection needs a request');
    // A separator that cannot be in a client id keeps ("a", "bc") and ("ab", "c") apart.
    const key = `${issuer}\n${id}`;
    if (await database.read(on => artifacts.exists(on, MODEL, key))) return false;
    unit.operations.push((trx, now) => artifacts.insertOnce(trx, MODEL, key, expiresAt * 1000, now));
    return true;
  };
}
