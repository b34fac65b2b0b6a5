import type { Middleware } from 'koa';
import type { Config } from '../config/config.js';
import type { KeyRing, ServedRing } from '../keys/key-ring.js';
import { discoveryDocument } from '../oidc/discovery.js';
import { type CachedDocument, cachedJson, sendDocument } from './cached-document.js';

const CACHE_CONTROL = 'public, max-age=300, stale-while-revalidate=60';

/** The metadata document; made anew when the ring changes, because it names the algorithms that sign. */
export function discovery(config: Config, ring: KeyRing): Middleware {
  let made: { readonly of: ServedRing; readonly document: CachedDocument } | undefined;
  return ctx => {
    const { served } = ring;
    if (made?.of !== served) made = { of: served, document: cachedJson(discoveryDocument(config, served)) };
    ctx.respond = false;
    sendDocument(ctx.req, ctx.res, made.document, 'application/json', CACHE_CONTROL);
  };
}
