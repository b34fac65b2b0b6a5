import type { Context } from 'koa';

/** Seconds for which a browser need not ask again. */
const MAX_AGE = 3600;
const HEADERS = 'Authorization, Content-Type, DPoP';

/**
 * Fetch §4.8: whether a page of another origin may send such a request at all. No cookie ever counts at these
 * endpoints, so it may; whether it may read the answer depends on its client and is decided with the answer. A page
 * without an origin of its own (`null`: a sandbox, a file) has registered none and is refused here already.
 */
export function preflight(ctx: Context, methods: readonly string[]): void {
  const origin = ctx.get('Origin');
  ctx.status = 204;
  ctx.vary('Origin');
  if (origin === '' || origin === 'null') return;
  ctx.set('Access-Control-Allow-Origin', origin);
  ctx.set('Access-Control-Allow-Methods', methods.join(', '));
  ctx.set('Access-Control-Allow-Headers', HEADERS);
  ctx.set('Access-Control-Max-Age', String(MAX_AGE));
}
