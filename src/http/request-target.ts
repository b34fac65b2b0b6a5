import type { IncomingMessage } from 'node:http';

/**
 * Brings the request target into the form that everything behind relies on: a path with an optional query. A proxy
 * may send a whole address (RFC 9112 §3.2.2); what is neither is refused here, because parsers further in throw on
 * it, some of them long after the answer.
 *
 * @returns false when the target is malformed.
 */
export function normalizeTarget(req: IncomingMessage): boolean {
  const { url = '' } = req;
  if (url.startsWith('/') && !url.startsWith('//')) return true;
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) return false;
  const { pathname, search } = new URL(url);
  if (pathname.startsWith('//')) return false;
  req.url = pathname + search;
  return true;
}
