import type { Client, Provider } from 'oidc-provider';
import type { ArtifactStore } from './artifact-store.js';
import type { RecordOf } from './client-adapter.js';
import type { AccessEnding } from './end-access.js';
import { currentUnit } from './unit-of-work.js';

interface LogoutClient {
  backchannelLogout(userId: string, sid: string | undefined): Promise<void>;
}

interface LogoutSession {
  readonly uid: string;
  readonly accountId?: string;
  destroy(): Promise<void>;
}

/**
 * The core would call each client while the person waits, and forget those it did not reach. Here the notice is
 * stored in the transaction that ends the session, and delivered afterwards until it arrives. The core also forgets a
 * session by deleting it, and a request under way would save it again; here it has ended, which nothing undoes.
 */
export function installLogoutNotices(
  provider: Provider,
  recordOf: RecordOf,
  parts: { readonly ending: AccessEnding; readonly artifacts: ArtifactStore },
): void {
  const client = provider.Client.prototype as unknown as LogoutClient;
  client.backchannelLogout = async function (this: LogoutClient, userId, sid): Promise<void> {
    const { clientId } = recordOf(this as unknown as Client);
    currentUnit()?.operations.push((trx, now) => parts.ending.notifyClient(trx, clientId, userId, sid, now));
  };

  const session = provider.Session.prototype as unknown as LogoutSession;
  const { destroy } = session;
  session.destroy = async function (this: LogoutSession): Promise<void> {
    const { uid, accountId } = this;
    const unit = currentUnit();
    if (accountId !== undefined && unit !== undefined) {
      const { facts } = unit;
      // Before the core deletes it: what the session holds is needed to end all of it.
      unit.operations.push(async (trx, now) => {
        const ending = { now, actor: `user:${accountId}`, facts, areClientsTold: true } as const;
        await parts.ending.endSession(trx, parts.artifacts.sessionHandle(uid), ending);
      });
    }
    await destroy.call(this);
  };
}
