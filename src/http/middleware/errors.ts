import type { Middleware } from 'koa';
import { isAppError } from '../../errors.js';
import type { Logger } from '../../log.js';

/** The last exit for what nobody answered: a generic text with the request's number; the cause goes to the log. */
export function errors(log: Logger): Middleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      const requestId: string = ctx.state.facts.requestId;
      ctx.set('Cache-Control', 'no-store');
      if (isAppError(error, 'database_unavailable') || isAppError(error, 'backend_unavailable')) {
        ctx.status = 503;
        ctx.set('Retry-After', '1');
        ctx.body = { error: 'temporarily_unavailable', error_description: error.message };
        return;
      }
      log.error({ event: 'request.failed', request_id: requestId, err: error }, 'a request failed');
      ctx.status = 500;
      ctx.body = { error: 'server_error', error_description: `Unexpected error. Request ${requestId}.` };
    }
  };
}
