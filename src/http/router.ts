import type { Middleware } from 'koa';

export interface Route {
  readonly methods: readonly string[];
  /** Left out: whatever comes behind the router answers. */
  readonly answer?: Middleware;
}

/**
 * Exact paths below the issuer's own path. A map, not patterns: no path is ever matched that is not written
 * down, and an attacker's path costs one look-up. The issuer's path is taken off here, for whoever answers.
 */
export function router(issuer: string, routes: ReadonlyMap<string, Route>): Middleware {
  const prefix = new URL(issuer).pathname.replace(/\/$/, '');
  return (ctx, next) => {
    const path = pathBelow(prefix, ctx.path);
    const route = path === undefined ? undefined : routes.get(path);
    if (path === undefined || route === undefined) {
      ctx.status = 404;
      ctx.body = { error: 'not_found', error_description: 'There is nothing at this address.' };
      return undefined;
    }
    ctx.state.route = path;
    if (!route.methods.includes(ctx.method)) {
      ctx.status = 405;
      ctx.set('Allow', route.methods.join(', '));
      ctx.set('Cache-Control', 'no-store');
      ctx.body = { error: 'invalid_request', error_description: `Use ${route.methods.join(' or ')} here.` };
      return undefined;
    }
    if (prefix !== '') {
      Object.assign(ctx.req, { originalUrl: `${prefix}${path}${ctx.search}` });
      ctx.url = `${path}${ctx.search}`;
    }
    return route.answer === undefined ? next() : route.answer(ctx, next);
  };
}

/** RFC 8414 §3.1 puts the well-known part before the issuer's path, OpenID Connect Discovery behind it. */
function pathBelow(prefix: string, path: string): string | undefined {
  if (prefix === '') return path;
  if (path.startsWith(`${prefix}/`)) return path.slice(prefix.length);
  if (path.startsWith('/.well-known/') && path.endsWith(prefix)) return path.slice(0, -prefix.length);
  // Probes do not know the issuer.
  return path === '/livez' || path === '/readyz' ? path : undefined;
}
