import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KeyPolicy } from '../keys/key-policy.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { Metrics } from '../metrics.js';

export type JwksAnswer = (req: IncomingMessage, res: ServerResponse) => void;

/** Does one of If-None-Match's tags name this answer? Weak comparison (RFC 9110 §13.1.2). */
function isKnown(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some(tag => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
}

const REFRESHING = JSON.stringify({
  error: 'temporarily_unavailable',
  error_description: 'The key set is being refreshed. Try again in a moment.',
});

/**
 * The JWKS, from memory. It is the one address that every verifier of the world fetches, often because somebody
 * sent it a token with an invented `kid`, so it is answered before everything else and costs no more than writing
 * a buffer.
 */
export function jwksAnswer(ring: KeyRing, policy: KeyPolicy, metrics: Metrics): JwksAnswer {
  const { jwksMaxAgeFor, staleWhileRevalidateFor, staleIfErrorFor } = policy;
  const open = { 'Access-Control-Allow-Origin': '*', 'X-Content-Type-Options': 'nosniff' };
  const cached = {
    ...open,
    'Cache-Control': `public, max-age=${jwksMaxAgeFor}, stale-while-revalidate=${staleWhileRevalidateFor}, stale-if-error=${staleIfErrorFor}`,
  };
  return (req, res) => {
    if (!ring.canServeJwks) {
      // An old JWKS could lack a key that other nodes already sign with, and caches would keep it.
      metrics.countJwksRequest(503);
      res.writeHead(503, {
        ...open,
        'Cache-Control': 'no-store',
        'Retry-After': '5',
        'Content-Type': 'application/json',
      });
      res.end(REFRESHING);
      return;
    }
    const { body, etag } = ring.served.published;
    if (isKnown(req.headers['if-none-match'], etag)) {
      metrics.countJwksRequest(304);
      res.writeHead(304, { ...cached, ETag: etag });
      res.end();
      return;
    }
    metrics.countJwksRequest(200);
    res.writeHead(200, {
      ...cached,
      ETag: etag,
      'Content-Type': 'application/jwk-set+json',
      'Content-Length': body.length,
    });
    res.end(req.method === 'HEAD' ? undefined : body);
  };
}

/** The addresses of the key set below an issuer: the one in the metadata and its alias, same bytes, same tag. */
export function jwksPaths(issuer: string): ReadonlySet<string> {
  const prefix = new URL(issuer).pathname.replace(/\/$/, '');
  return new Set([`${prefix}/.well-known/jwks.json`, `${prefix}/oauth2/jwks`]);
}
