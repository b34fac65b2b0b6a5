import type { AccessTokenVerifier, VerifiedClaims } from './access-token-claims.js';
import {
  authenticator,
  type IncomingRequest,
  type RequireAccessTokenOptions,
} from './authenticate-request.js';

/** As much of a koa context as is used; koa itself is no dependency. */
export interface KoaContext {
  readonly req: IncomingRequest;
  /** With `body` where a body parser ran before. */
  readonly request: object;
  readonly state: Record<string, unknown>;
  status: number;
  body: unknown;
  set(name: string, value: string): void;
}

/**
 * Middleware for koa: lets a request pass whose Bearer token is accepted, with the claims in `ctx.state.accessToken`, and
 * answers every other with the challenge of RFC 6750 §3.
 *
 * @param verifier from `createVerifier` or `createIntrospector`.
 * @param options `scopes`: all of them are needed.
 * @throws TypeError when a scope could never be granted. The middleware itself throws only what is no refusal.
 */
export function requireAccessToken<Claims extends VerifiedClaims>(
  verifier: AccessTokenVerifier<Claims>,
  options: RequireAccessTokenOptions = {},
): (ctx: KoaContext, next: () => Promise<unknown>) => Promise<void> {
  const authenticate = authenticator(verifier, options);
  return async (ctx, next) => {
    const { headers, rawHeaders, url } = ctx.req;
    const parsed = 'body' in ctx.request ? ctx.request.body : undefined;
    const outcome = await authenticate({ headers, rawHeaders, url, body: parsed });
    if ('claims' in outcome) {
      ctx.state.accessToken = outcome.claims;
      await next();
      return;
    }
    const { status, headers: answered, body } = outcome.refusal;
    ctx.status = status;
    ctx.body = body;
    for (const [name, value] of Object.entries(answered)) ctx.set(name, value);
  };
}
