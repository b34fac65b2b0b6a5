import type { Provider } from 'oidc-provider';

interface CoreSession {
  readonly exp?: number;
  persist(): Promise<unknown>;
}

/**
 * A form that comes without a session fails, and what the core notes for its error page makes it save the session
 * that was never begun, which is a fault of the server to it. There is nothing to keep.
 */
export function installUnsavedSessions(provider: Provider): void {
  const prototype = provider.Session.prototype as unknown as CoreSession;
  const persist = prototype.persist;
  prototype.persist = async function (this: CoreSession): Promise<unknown> {
    return this.exp === undefined ? undefined : persist.call(this);
  };
}
