import type { KoaContextWithOIDC } from 'oidc-provider';
import type { RecordOf } from './client-adapter.js';

/** A browser may read these answers of ours. */
const EXPOSED = 'WWW-Authenticate, DPoP-Nonce, Retry-After';

/**
 * The core refuses a request from a wrong origin, in words that tell which clients exist. Here the request is judged
 * like any other, and the page may read the answer only if its client has registered the origin; `null`, which any
 * sandboxed page can send, is never registered.
 */
export function answerOrigin(ctx: KoaContextWithOIDC, origin: string | undefined, recordOf: RecordOf): void {
  ctx.vary('Origin');
  const { client } = ctx.oidc ?? {};
  if (origin === undefined || client === undefined || !recordOf(client).corsOrigins.includes(origin)) return;
  ctx.set('Access-Control-Allow-Origin', origin);
  ctx.set('Access-Control-Expose-Headers', EXPOSED);
}
