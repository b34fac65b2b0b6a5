import type { Middleware } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../config/config.js';
import { GRANT_TYPES } from '../protocol.js';
import { ROUTES } from './provider.js';

const CACHE_CONTROL = 'public, max-age=300, stale-while-revalidate=60';

/**
 * The metadata of what this server does (RFC 8414, OpenID Connect Discovery 1.0), built from a list: the core
 * prints some members that no registry knows and some endpoints that are not offered.
 */
export function discovery(config: Config): Middleware {
  return async (context, next) => {
    await next();
    const ctx = context as unknown as KoaContextWithOIDC;
    if (ctx.oidc?.route !== 'discovery' || ctx.status !== 200) return;
    const core = ctx.body as Record<string, unknown>;
    ctx.set('Cache-Control', CACHE_CONTROL);
    ctx.body = {
      issuer: config.issuer,
      jwks_uri: core.jwks_uri,
      token_endpoint: core.token_endpoint,
      introspection_endpoint: core.introspection_endpoint,
      revocation_endpoint: core.revocation_endpoint,
      grant_types_supported: [...GRANT_TYPES],
      // RFC 8414 §2 requires it; there is no authorization endpoint, so there are none.
      response_types_supported: [],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: core.id_token_signing_alg_values_supported,
      token_endpoint_auth_methods_supported: core.token_endpoint_auth_methods_supported,
      introspection_endpoint_auth_methods_supported: core.token_endpoint_auth_methods_supported,
      revocation_endpoint_auth_methods_supported: core.token_endpoint_auth_methods_supported,
      dpop_signing_alg_values_supported: core.dpop_signing_alg_values_supported,
    };
  };
}

/** Paths, relative to the issuer's own, that are answered by the core, with the methods they take. */
export const CORE_PATHS: ReadonlyMap<string, readonly string[]> = new Map([
  [ROUTES.token, ['POST', 'OPTIONS']],
  [ROUTES.introspection, ['POST', 'OPTIONS']],
  [ROUTES.revocation, ['POST', 'OPTIONS']],
  ['/.well-known/openid-configuration', ['GET', 'HEAD', 'OPTIONS']],
  ['/.well-known/oauth-authorization-server', ['GET', 'HEAD', 'OPTIONS']],
]);
