import { createHash } from 'node:crypto';
import { isPublished } from './key-state.js';
import type { Ring, SigningKey } from './signing-key.js';

/** RFC 7518 §6.2.1 and §6.3.1, RFC 8037 §2, RFC 9964 §3 (`pub`): the public parameters, and no others. */
const PUBLIC_PARAMETERS = ['kty', 'crv', 'x', 'y', 'n', 'e', 'pub'] as const;

export interface PublishedJwks {
  readonly body: Buffer;
  /** Strong, with its quotes (RFC 9110 §8.8.3): equal bytes, equal tag, on every node. */
  readonly etag: string;
  /** Of the ring it was made from. */
  readonly version: number;
}

/**
 * Built from a list of what may be shown, never by removing what may not: a private parameter that a later
 * algorithm adds stays in.
 */
export function publishJwks(ring: Ring): PublishedJwks {
  const keys = ring.keys.filter(isPublished).sort(byAnnouncement).map(publicPart);
  // A verifier that caches an empty set refuses every token until its cache expires; no answer is better.
  if (keys.length === 0) throw new TypeError('an empty key set is never published');
  const body = Buffer.from(JSON.stringify({ keys }), 'utf8');
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`;
  return { body, etag, version: ring.version };
}

function byAnnouncement(a: SigningKey, b: SigningKey): number {
  if (a.announcedVersion !== b.announcedVersion) return a.announcedVersion - b.announcedVersion;
  return a.kid < b.kid ? -1 : 1;
}

function publicPart(key: SigningKey): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const name of PUBLIC_PARAMETERS) {
    const value = key.publicJwk[name];
    if (typeof value === 'string') shown[name] = value;
  }
  if (shown.kty === undefined || shown.kty === 'oct') throw new TypeError(`${key.kid} has no public key`);
  return { ...shown, kid: key.kid, alg: key.alg, use: 'sig' };
}
