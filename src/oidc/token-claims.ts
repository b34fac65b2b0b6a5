import type { AccessToken, ClientCredentials, KoaContextWithOIDC } from 'oidc-provider';
import type { ArtifactStore } from './artifact-store.js';
import { identityScopesOf } from './own-access-tokens.js';
import { stampStatus, type TokenStatusParts } from './token-status.js';

type CoreToken = AccessToken | ClientCredentials;

interface Payload {
  payload: Record<string, unknown>;
}

/**
 * RFC 9068 §2.2.1: how and when the person signed in. `grant_id` names the grant, so that a token that is stored
 * nowhere dies with it wherever it is introspected; it opens nothing.
 */
export function userTokenClaims(artifacts: ArtifactStore) {
  return (ctx: KoaContextWithOIDC, token: CoreToken): Record<string, unknown> | undefined => {
    if (token.kind !== 'AccessToken') return undefined;
    const { grantId } = token as AccessToken;
    const { RefreshToken, AuthorizationCode, DeviceCode, BackchannelAuthenticationRequest } =
      ctx.oidc.entities;
    const source = RefreshToken ?? AuthorizationCode ?? DeviceCode ?? BackchannelAuthenticationRequest;
    const claims = {
      auth_time: source?.authTime,
      acr: source?.acr,
      amr: source?.amr,
      grant_id: grantId === undefined ? undefined : artifacts.grantHandle(grantId),
      // OpenID Connect Core §5.5: userinfo answers with what was asked for there, and only the token can tell it so.
      userinfo_claims: source?.claims?.userinfo && Object.keys(source.claims.userinfo),
    };
    return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
  };
}

/** What only the finished token can be given: the time everybody shares, its second audience, its place in a list. */
export function stampTokens(parts: TokenStatusParts, userinfoUrl: string) {
  const { ring } = parts;
  const stamp = stampStatus(parts);
  return (_ctx: unknown, token: CoreToken, { payload }: Payload): undefined | Promise<void> => {
    // The core stamps tokens with this node's clock. Others judge them by the time everybody shares.
    const aheadFor = Math.trunc(ring.clockDrift / 1000);
    if (aheadFor !== 0) {
      payload.iat = Number(payload.iat) - aheadFor;
      payload.exp = Number(payload.exp) - aheadFor;
    }
    if (token.kind === 'AccessToken' && identityScopesOf(token as AccessToken) !== '') {
      payload.aud = [payload.aud, userinfoUrl];
    }
    return stamp(token, payload);
  };
}
