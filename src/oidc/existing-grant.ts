import type { Grant, KoaContextWithOIDC } from 'oidc-provider';
import type { Database } from '../database/connect.js';
import { lostRace } from './artifact-store.js';
import type { RecordOf } from './client-adapter.js';
import { ConsentStore, type GrantedAccess } from './consent-store.js';
import { addAccess } from './granted-access.js';
import { isSpared } from './interaction-policy.js';
import { currentUnit } from './unit-of-work.js';

/**
 * A grant belongs to one session, so that ending the session ends its tokens; what the person has allowed is kept
 * beside it and makes the grant of the next session without a question.
 */
export function existingGrant({
  database,
  recordOf,
  identityScopes,
}: {
  readonly database: Database;
  readonly recordOf: RecordOf;
  readonly identityScopes: ReadonlySet<string>;
}): (ctx: KoaContextWithOIDC) => Promise<Grant | undefined> {
  const consents = new ConsentStore();
  return async ctx => {
    const { client, account, session, provider, result } = ctx.oidc;
    if (client === undefined || account === undefined || session === undefined) return undefined;
    const { clientId } = client;
    const { accountId } = account;
    const answered = result?.consent?.grantId;
    const grantId = answered ?? session.grantIdFor(clientId);
    const current = grantId === undefined ? undefined : await provider.Grant.find(grantId);
    const isOwn = current?.accountId === accountId && current.clientId === clientId;
    if (isSpared(recordOf(client), ctx.oidc.params)) {
      const grant = isOwn ? current : new provider.Grant({ accountId, clientId });
      addAccess(grant, requestedOf(ctx, identityScopes));
      await grant.save();
      return grant;
    }
    if (isOwn) return current;
    const consent = await database.read(on => consents.find(on, accountId, clientId));
    if (consent === undefined) return undefined;
    const grant = new provider.Grant({ accountId, clientId });
    addAccess(grant, consent.granted);
    await grant.save();
    // Withdrawn between the read and the commit: nothing may come of it.
    currentUnit()?.operations.push(async (trx, now) => {
      if (!(await consents.noteUse(trx, accountId, clientId, now))) throw lostRace('consent withdrawn');
    });
    return grant;
  };
}

function requestedOf(ctx: KoaContextWithOIDC, identityScopes: ReadonlySet<string>): GrantedAccess {
  const { oidc } = ctx;
  const asked = [...oidc.requestParamScopes];
  const resources: Record<string, string[]> = {};
  for (const [identifier, server] of Object.entries(oidc.resourceServers ?? {})) {
    resources[identifier] = asked.filter(scope => server.scopes.has(scope));
  }
  return {
    oidcScopes: asked.filter(scope => identityScopes.has(scope)),
    claims: [...oidc.requestParamClaims],
    resources,
  };
}
