import type { Context, Middleware } from 'koa';
import type { RequestFacts } from '../audit/events.js';
import type { Clock } from '../clock.js';
import { AppError, type ErrorCode } from '../errors.js';
import type { Logger } from '../log.js';
import { PageRefusal, type PageRefusalOptions } from './page-refusal.js';
import type { Renderer } from './render.js';

export interface PageErrorsParts {
  readonly renderer: Renderer;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What people meet on pages. Every other code is a fault of ours there. */
const REFUSALS: Readonly<Partial<Record<ErrorCode, PageRefusalOptions>>> = {
  database_unavailable: {
    reason: 'unavailable',
    status: 503,
    code: 'temporarily_unavailable',
    retryAfter: 1,
  },
  not_ready: { reason: 'unavailable', status: 503, code: 'temporarily_unavailable', retryAfter: 5 },
  stale: { reason: 'expired', status: 400, code: 'interaction_ended' },
  conflict: { reason: 'expired', status: 409, code: 'conflict' },
  not_found: { reason: 'not_found', status: 404, code: 'not_found' },
  invalid_request: { reason: 'stopped', status: 400, code: 'invalid_request' },
};

/** Turns whatever was thrown on a page's route into the error page, once. */
export function pageErrors(parts: PageErrorsParts): Middleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      const known = refusalOf(error);
      if (known === undefined) {
        const { requestId } = ctx.state.facts as RequestFacts;
        parts.log.error({ event: 'request.failed', request_id: requestId, err: error }, 'a page failed');
      }
      showError(parts, ctx, known ?? { reason: 'unexpected', status: 500, code: 'server_error' });
    }
  };
}

function showError(
  { renderer, clock }: Pick<PageErrorsParts, 'renderer' | 'clock'>,
  ctx: Context,
  { reason, status, code, clientName, retryAfter, next }: PageRefusalOptions,
): void {
  const { requestId } = ctx.state.facts as RequestFacts;
  const client: unknown = clientName ?? ctx.state.clientName;
  if (retryAfter !== undefined) ctx.set('Retry-After', String(Math.max(1, Math.ceil(retryAfter))));
  renderer.render(
    ctx,
    'error',
    {
      reason,
      clientName: typeof client === 'string' ? client : undefined,
      code,
      requestId,
      at: clock.now(),
      retryAfter,
      next,
    },
    status,
  );
}

function refusalOf(error: unknown): PageRefusalOptions | undefined {
  if (error instanceof PageRefusal) return error.options;
  return error instanceof AppError ? REFUSALS[error.code] : undefined;
}

/**
 * Pages are for people, who come under the issuer's own name. Under another one (DNS rebinding, a forgotten alias) a
 * password would be typed into a page whose address its owner does not know, so none is shown (RFC 9110 §15.5.20).
 */
export function ownHostOnly(issuer: string): Middleware {
  const { protocol, host } = new URL(issuer);
  const standardPort = protocol === 'https:' ? ':443' : ':80';
  return async (ctx, next) => {
    const given = (ctx.req.headers.host ?? '').toLowerCase();
    // A default port may be written out.
    if (given !== host && given !== `${host}${standardPort}`) {
      throw new PageRefusal({
        reason: 'not_found',
        status: 421,
        code: 'misdirected_request',
        next: { url: `${issuer}/account`, label: 'next.account' },
      });
    }
    await next();
  };
}
