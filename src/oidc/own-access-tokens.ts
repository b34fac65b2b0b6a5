import { type AccessToken, Provider } from 'oidc-provider';
import type { Database } from '../database/connect.js';
import type { ArtifactStore } from './artifact-store.js';
import { factsOf, type OwnAccessToken } from './structured-tokens.js';
import { factsOfStored, type TokenFacts } from './token-policy.js';

export interface OwnAccessTokensParts {
  readonly database: Database;
  readonly artifacts: ArtifactStore;
  readonly userinfoUrl: string;
  readonly verify: (token: string) => Promise<OwnAccessToken | undefined>;
  /** Whether a token is still good: client, its scopes, user, grant, revocation. */
  readonly isLive: (token: TokenFacts) => Promise<boolean>;
}

function audiencesOf({ aud }: OwnAccessToken): readonly string[] {
  return typeof aud === 'string' ? [aud] : aud;
}

/**
 * One token serves the resource server and our own userinfo endpoint: a JWT that carries both audiences. The core
 * issues for one audience and knows at userinfo only opaque tokens without any, so both ends are completed here.
 */
export function installOwnAccessTokens(provider: Provider, parts: OwnAccessTokensParts): void {
  const { AccessToken: Model } = provider as unknown as {
    AccessToken: {
      new (payload: Record<string, unknown>): AccessToken;
      find(value: string, options?: object): Promise<AccessToken | undefined>;
      prototype: AccessToken & { save(): Promise<string> };
    };
  };

  const save = Model.prototype.save;
  Model.prototype.save = async function (this: AccessToken & { save(): Promise<string> }): Promise<string> {
    const scopes = identityScopesOf(this);
    // What userinfo will answer must stand in the token (and in the answer) as granted.
    if (scopes !== '') this.scope = [this.scope, scopes].filter(Boolean).join(' ');
    return save.call(this);
  };

  const find = Model.find;
  Model.find = async function (this: typeof Model, value, options): Promise<AccessToken | undefined> {
    if (Provider.ctx?.oidc.route !== 'userinfo') return find.call(this, value, options);
    if (!value.includes('.')) {
      const found = await find.call(this, value, options);
      if (found === undefined || !(await parts.isLive(factsOfStored(found)))) return undefined;
      // An opaque token for a resource server that was granted `openid` too.
      if (found.scopes.has('openid')) delete (found as { aud?: unknown }).aud;
      return found;
    }
    const claims = await parts.verify(value);
    if (claims === undefined || !audiencesOf(claims).includes(parts.userinfoUrl)) return undefined;
    if (claims.grant_id === undefined || !(await parts.isLive(factsOf(claims)))) return undefined;
    const { grant_id: handle } = claims;
    const grant = await parts.database.read(on => parts.artifacts.findGrant(on, handle));
    return grant === undefined ? undefined : new Model(payloadOf(claims, grant));
  };
}

function payloadOf(
  claims: OwnAccessToken,
  grant: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const cnf = (claims.cnf ?? {}) as { jkt?: unknown };
  return {
    jti: claims.jti,
    iat: claims.iat,
    exp: claims.exp,
    accountId: grant.accountId,
    clientId: claims.client_id,
    grantId: grant.jti,
    scope: claims.scope,
    jkt: cnf.jkt,
    claims: { userinfo: Object.fromEntries((claims.userinfo_claims ?? []).map(name => [name, null])) },
  };
}

/** Only where `openid` was granted beside the resource server's scopes. */
export function identityScopesOf(token: AccessToken): string {
  const { oidc } = Provider.ctx ?? {};
  const { entities } = oidc ?? {};
  const source =
    entities?.RefreshToken ??
    entities?.AuthorizationCode ??
    entities?.DeviceCode ??
    entities?.BackchannelAuthenticationRequest;
  if (token.resourceServer === undefined || source === undefined || entities?.Grant === undefined) return '';
  const asked = typeof oidc?.params?.scope === 'string' ? oidc.params.scope : source.scope;
  const granted = entities.Grant.getOIDCScopeFiltered(new Set((asked ?? '').split(' ')));
  return granted.split(' ').includes('openid') ? granted : '';
}
