import type { Middleware } from 'koa';

export interface Route {
  readonly methods: readonly string[];
  /** Left out: whatever comes behind the router answers. */
  readonly answer?: Middleware;
}

/** What may stand for `*` in a route: an id of ours. */
const SEGMENT = /^[A-Za-z0-9_.-]{1,128}$/;

/**
 * Paths below the issuer's own path. A map, not patterns: no path is ever matched that is not written down, and an
 * attacker's path costs a few look-ups. One segment of a route may be `*`; what stood there is put in
 * `ctx.state.segment`. The issuer's path is taken off here, for whoever answers.
 */
export function router(issuer: string, routes: ReadonlyMap<string, Route>): Middleware {
  const prefix = new URL(issuer).pathname.replace(/\/$/, '');
  return (ctx, next) => {
    const path = pathBelow(prefix, ctx.path);
    const found = path === undefined ? undefined : findRoute(routes, path);
    if (path === undefined || found === undefined) {
      ctx.status = 404;
      ctx.body = { error: 'not_found', error_description: 'There is nothing at this address.' };
      return undefined;
    }
    const { route, template, segment } = found;
    ctx.state.route = template;
    ctx.state.segment = segment;
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

interface Found {
  readonly route: Route;
  readonly template: string;
  readonly segment: string | undefined;
}

function findRoute(routes: ReadonlyMap<string, Route>, path: string): Found | undefined {
  // A caller's own `*` is no segment of ours.
  const exact = path.includes('*') ? undefined : routes.get(path);
  if (exact !== undefined) return { route: exact, template: path, segment: undefined };
  const segments = path.split('/');
  if (segments.length > 6) return undefined;
  for (const [index, segment] of segments.entries()) {
    if (!SEGMENT.test(segment)) continue;
    const template = segments.with(index, '*').join('/');
    const route = routes.get(template);
    if (route !== undefined) return { route, template, segment };
  }
  return undefined;
}

/** RFC 8414 §3.1 puts the well-known part before the issuer's path, OpenID Connect Discovery behind it. */
function pathBelow(prefix: string, path: string): string | undefined {
  if (prefix === '') return path;
  if (path.startsWith(`${prefix}/`)) return path.slice(prefix.length);
  if (path.startsWith('/.well-known/') && path.endsWith(prefix)) return path.slice(0, -prefix.length);
  // Probes do not know the issuer.
  return path === '/livez' || path === '/readyz' ? path : undefined;
}
