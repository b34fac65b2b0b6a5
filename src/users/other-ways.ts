import type { Queryable } from '../database/connect.js';
import { FederatedIdentityStore } from './federated-identity-store.js';
import { PasskeyStore } from './passkey-store.js';

/** What opens an account beside its password, whoever added it: a new password ends none of it. */
export interface OtherWays {
  readonly passkeys: number;
  /** Of other providers. Also of one that is configured no more: it may be again. */
  readonly providers: number;
}

const passkeys = new PasskeyStore();
const identities = new FederatedIdentityStore();

export async function otherWaysIn(on: Queryable, userId: string): Promise<OtherWays> {
  const linked = await identities.list(on, userId);
  return { passkeys: await passkeys.count(on, userId), providers: linked.length };
}
