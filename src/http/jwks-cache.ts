import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FetchSource } from '../keys/jwks-fetch.js';
import type { JwksFetches } from '../keys/jwks-fetches.js';
import type { KeyPolicy } from '../keys/key-policy.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { Metrics } from '../metrics.js';
import { sendDocument } from './cached-document.js';
import { clientAddress, type TrustedProxies } from './client-address.js';

export type JwksAnswer = (req: IncomingMessage, res: ServerResponse) => void;

export interface JwksAnswerParts {
  readonly ring: KeyRing;
  readonly keyPolicy: KeyPolicy;
  readonly metrics: Metrics;
  readonly jwksFetches: JwksFetches;
}

const REFRESHING = JSON.stringify({
  error: 'temporarily_unavailable',
  error_description: 'The key set is being refreshed. Try again in a moment.',
});

/**
 * The JWKS, from memory. It is the one address that every verifier of the world fetches, often because somebody
 * sent it a token with an invented `kid`, so it is answered before everything else and costs no more than writing
 * a buffer. Who was given it is noted afterwards, in memory.
 */
export function jwksAnswer(parts: JwksAnswerParts, trustedProxies: TrustedProxies): JwksAnswer {
  const { ring, metrics, jwksFetches } = parts;
  const { jwksMaxAgeFor, staleWhileRevalidateFor, staleIfErrorFor } = parts.keyPolicy;
  const cacheControl = `public, max-age=${jwksMaxAgeFor}, stale-while-revalidate=${staleWhileRevalidateFor}, stale-if-error=${staleIfErrorFor}`;
  return (req, res) => {
    if (ring.canServeJwks) {
      const { published } = ring.served;
      metrics.countJwksRequest(sendDocument(req, res, published, 'application/jwk-set+json', cacheControl));
      // HEAD hands out no key.
      if (req.method === 'GET') jwksFetches.note(sourceOf(req, trustedProxies), published.version);
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

function sourceOf(req: IncomingMessage, trustedProxies: TrustedProxies): FetchSource {
  return {
    address: clientAddress(req, trustedProxies),
    userAgent: req.headers['user-agent'],
    authorization: req.headers.authorization,
  };
}

/** The addresses of the key set below an issuer: the one in the metadata and its alias, same bytes, same tag. */
export function jwksPaths(issuer: string): ReadonlySet<string> {
  const prefix = new URL(issuer).pathname.replace(/\/$/, '');
  return new Set([`${prefix}/.well-known/jwks.json`, `${prefix}/oauth2/jwks`]);
}
