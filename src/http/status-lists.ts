import type { IncomingMessage, ServerResponse } from 'node:http';
import type { PublishedLists } from '../status-lists/published-lists.js';
import { LIST_FRESH_FOR, LIST_TYPE } from '../status-lists/status-list.js';
import { sendDocument } from './cached-document.js';

/** @returns false when the request is for something else. */
export type StatusListAnswer = (req: IncomingMessage, res: ServerResponse) => boolean;

const METHODS = ['GET', 'HEAD'];
const NEVER_KEPT = {
  'Access-Control-Allow-Origin': '*',
  'Cache-Control': 'no-store',
  'Content-Type': 'application/json',
} as const;

/**
 * Status lists, as the key set before everything else: each verifier asks every few seconds, and a page of a browser
 * may be one. What is kept by caches counts there for no longer than what verifiers keep by themselves.
 */
export function statusListAnswer(issuer: string, lists: PublishedLists): StatusListAnswer {
  const prefix = `${new URL(issuer).pathname.replace(/\/$/, '')}/status-lists/`;
  return (req, res) => {
    const path = req.url ?? '';
    if (!path.startsWith(prefix)) return false;
    if (METHODS.includes(req.method ?? '')) void answer(lists, path.slice(prefix.length), req, res);
    else {
      const body = { error: 'invalid_request', error_description: `Use ${METHODS.join(' or ')} here.` };
      refuse(res, 405, body, { Allow: METHODS.join(', ') });
    }
    return true;
  };
}

async function answer(
  lists: PublishedLists,
  id: string,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const found = await lists.find(id);
  switch (found.outcome) {
    case 'found':
      sendDocument(req, res, found.document, `application/${LIST_TYPE}`, `public, max-age=${LIST_FRESH_FOR}`);
      return;
    case 'unknown':
      refuse(res, 404, { error: 'not_found', error_description: 'There is no such status list.' });
      return;
    case 'unavailable':
      // An old list would say of a revoked token that it is good.
      refuse(
        res,
        503,
        {
          error: 'temporarily_unavailable',
          error_description: 'The status list is being refreshed. Try again in a moment.',
        },
        { 'Retry-After': '5' },
      );
  }
}

function refuse(
  res: ServerResponse,
  status: number,
  body: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): void {
  res.writeHead(status, { ...NEVER_KEPT, ...headers });
  res.end(res.req.method === 'HEAD' ? undefined : JSON.stringify(body));
}
