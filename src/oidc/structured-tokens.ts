import type { Middleware } from 'koa';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { RevokedTokenStore } from '../clients/revoked-token-store.js';
import { revokeStatus } from '../status-lists/revoke-statuses.js';
import { statusPlaceOf } from '../status-lists/status-list.js';
import { ROUTES } from './routes.js';
import type { TokenFacts, TokenPolicy } from './token-policy.js';
import type { UnitOfWork } from './unit-of-work.js';

type Context = Parameters<Middleware>[0];

/** Claims of one of our own JWTs, after the verifier has accepted it against our own keys. */
export interface OwnAccessToken {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string | readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly jti: string;
  readonly client_id: string;
  readonly scope?: string;
  readonly cnf?: unknown;
  /** Its place in a status list. */
  readonly status?: unknown;
  /** The handle of the grant, in tokens that a person allowed. */
  readonly grant_id?: string;
  /** Single claims that the client asked userinfo for. */
  readonly userinfo_claims?: readonly string[];
}

export interface StructuredTokensOptions {
  readonly verify: (token: string) => Promise<OwnAccessToken | undefined>;
  readonly policy: TokenPolicy;
  readonly revoked: RevokedTokenStore;
}

const STRUCTURED: ReadonlySet<string> = new Set([ROUTES.introspection, ROUTES.revocation]);

/** Seconds for which a revocation outlives its token: nodes do not agree to the second when that has ended. */
const KEPT_LONGER_FOR = 300;

/**
 * The core refuses to introspect or revoke a JWT, after it has authenticated the caller. That refusal is taken as
 * the question, so that client authentication and parameter checks stay the core's.
 */
export function structuredTokens(options: StructuredTokensOptions): Middleware {
  const answer = async (context: Context, next: () => Promise<unknown>): Promise<void> => {
    await next();
    const unit = context.state.unit as UnitOfWork;
    if (!(unit.refusal instanceof errors.UnsupportedTokenType)) return;
    const ctx = context as unknown as KoaContextWithOIDC;
    const caller = ctx.oidc.client?.clientId;
    const token = ctx.oidc.params?.token;
    if (caller === undefined || typeof token !== 'string') return;
    unit.refusal = undefined;
    ctx.status = 200;
    ctx.remove('WWW-Authenticate');
    const claims = await options.verify(token);
    if (ctx.oidc.route === 'introspection') {
      ctx.body = await introspection(options, caller, claims);
      unit.introspected = claims?.jti;
      return;
    }
    ctx.body = '';
    if (claims?.client_id !== caller) return;
    unit.revoked = claims.jti;
    const place = statusPlaceOf(claims.iss, claims.status);
    unit.operations.push(async (trx, now) => {
      await options.revoked.revoke(trx, {
        kind: 'jti',
        value: claims.jti,
        expiresAt: claims.exp * 1000 + KEPT_LONGER_FOR * 1000,
        now,
      });
      if (place !== undefined) await revokeStatus(trx, place, now);
    });
  };
  return (ctx, next) => (STRUCTURED.has(ctx.path) ? answer(ctx, next) : next());
}

async function introspection(
  { policy }: StructuredTokensOptions,
  caller: string,
  claims: OwnAccessToken | undefined,
): Promise<Record<string, unknown>> {
  if (claims === undefined || !(await policy.isActiveFor(caller, factsOf(claims)))) return { active: false };
  const { grant_id: _grant, userinfo_claims: _claims, ...shown } = claims;
  return { active: true, token_type: claims.cnf === undefined ? 'Bearer' : 'DPoP', ...shown };
}

export function factsOf(claims: OwnAccessToken): TokenFacts {
  return {
    jti: claims.jti,
    clientId: claims.client_id,
    audience: typeof claims.aud === 'string' ? claims.aud : claims.aud[0],
    issuedAt: claims.iat,
    grantHandle: claims.grant_id,
    scope: claims.scope,
  };
}
