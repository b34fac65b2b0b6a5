import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KeyPolicy } from '../keys/key-policy.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { Metrics } from '../metrics.js';
import { sendDocument } from './cached-document.js';

export type JwksAnswer = (req: IncomingMessage, res: ServerResponse) => void;

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
  const cacheControl = `public, max-age=${jwksMaxAgeFor}, stale-while-revalidate=${staleWhileRevalidateFor}, stale-if-error=${staleIfErrorFor}`;
  return (req, res) => {
    if (ring.canServeJwks) {
      const { published } = ring.served;
      metrics.countJwksRequest(sendDocument(req, res, published, 'application/jwk-set+json', cacheControl));
      return;
    }
    // An old JWKS could lack a key that other nodes already sign with, and caches would keep it.
    metrics.countJwksRequest(503);
    res.writeHead(503, {
      'Access-Control-Allow-Origin': '*',
      'Cache-Control': 'no-store',
      'Content-Type': 'application/json',
      'Retry-After': '5',
    });
    res.end(REFRESHING);
  };
}

/** The addresses of the key set below an issuer: the one in the metadata and its alias, same bytes, same tag. */
export function jwksPaths(issuer: string): ReadonlySet<string> {
  const prefix = new URL(issuer).pathname.replace(/\/$/, '');
  return new Set([`${prefix}/.well-known/jwks.json`, `${prefix}/oauth2/jwks`]);
}
