import type { Client, Provider } from 'oidc-provider';
import type { RecordOf } from './client-adapter.js';
import type { AccessEnding } from './end-access.js';
import { currentUnit } from './unit-of-work.js';

interface LogoutClient {
  backchannelLogout(userId: string, sid: string | undefined): Promise<void>;
}

/**
 * The core would call each client while the person waits, and forget those it did not reach. Here the notice is
 * stored in the transaction that ends the session, and delivered afterwards until it arrives.
 */
export function installLogoutNotices(
  provider: Provider,
  recordOf: RecordOf,
  { ending }: { readonly ending: AccessEnding },
): void {
  const prototype = provider.Client.prototype as unknown as LogoutClient;
  prototype.backchannelLogout = async function (this: LogoutClient, userId, sid): Promise<void> {
    const { clientId } = recordOf(this as unknown as Client);
    currentUnit()?.operations.push((trx, now) => ending.notifyClient(trx, clientId, userId, sid, now));
  };
}
