import type { LogoutDelivery } from '../delivery/outbox.js';
import type { GuardedFetch } from '../outbound/guarded-fetch.js';
import type { CurrentProvider } from './current-provider.js';

interface LogoutToken {
  mask: unknown;
  set(name: string, value: unknown): void;
  issue(options: { use: 'logout' }): Promise<string>;
}

/**
 * OpenID Connect Back-Channel Logout 1.0 §2.5. The token is made now: it lives for two minutes, and its key must be
 * one that is published now.
 *
 * @returns `gone` when the client does not exist or does not want notices any more.
 * @throws when the client did not take it; the outbox tries again.
 */
export async function deliverLogout(
  current: CurrentProvider,
  fetch: GuardedFetch,
  newId: () => string,
  { clientId, subject, sid }: LogoutDelivery,
): Promise<'delivered' | 'gone'> {
  const { provider, recordOf } = current.built;
  const client = await provider.Client.find(clientId);
  if (client === undefined) return 'gone';
  const { backchannelLogoutUri, backchannelLogoutSessionRequired } = recordOf(client);
  if (backchannelLogoutUri === undefined) return 'gone';
  const { IdToken } = provider as unknown as {
    IdToken: new (available: object, context: object) => LogoutToken;
  };
  const token = new IdToken({}, { client, ctx: undefined });
  token.mask = {};
  token.set('sub', subject);
  token.set('events', { 'http://schemas.openid.net/event/backchannel-logout': {} });
  token.set('jti', newId());
  if (sid !== undefined && backchannelLogoutSessionRequired) token.set('sid', sid);
  const answer = await fetch(backchannelLogoutUri, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ logout_token: await token.issue({ use: 'logout' }) }).toString(),
  });
  if (answer.status !== 200 && answer.status !== 204) throw new Error(`the client answered ${answer.status}`);
  return 'delivered';
}
