import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** A public answer that is made once and sent many times. */
export interface CachedDocument {
  readonly body: Buffer;
  /** Strong, with its quotes (RFC 9110 §8.8.3). */
  readonly etag: string;
}

export function cachedJson(value: unknown): CachedDocument {
  const body = Buffer.from(JSON.stringify(value));
  return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"` };
}

/** Does one of If-None-Match's tags name this answer? Weak comparison (RFC 9110 §13.1.2). */
function isKnown(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some(tag => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
}

/**
 * Sends the document, or 304 to who has it. Anyone may read it from anywhere.
 *
 * @returns the status.
 */
export function sendDocument(
  req: IncomingMessage,
  res: ServerResponse,
  document: CachedDocument,
  contentType: string,
  cacheControl: string,
): 200 | 304 {
  const status = isKnown(req.headers['if-none-match'], document.etag) ? 304 : 200;
  const headers = {
    'Access-Control-Allow-Origin': '*',
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': cacheControl,
    ETag: document.etag,
  };
  if (status === 304) {
    res.writeHead(304, headers);
    res.end();
    return status;
  }
  res.writeHead(200, { ...headers, 'Content-Type': contentType, 'Content-Length': document.body.length });
  res.end(req.method === 'HEAD' ? undefined : document.body);
  return status;
}
