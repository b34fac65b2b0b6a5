import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import type { Clock } from '../../clock.js';
import type { Logger } from '../../log.js';
import type { Metrics } from '../../metrics.js';
import { clientAddress, type TrustedProxies } from '../client-address.js';

export interface RequestContextOptions {
  readonly trustedProxies: TrustedProxies;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/**
 * Gives each request a number, the caller's address and, when its answer has left, a line and a measurement. What
 * succeeds on protocol endpoints is in the audit already, so it is logged at debug level only; refusals and
 * faults are what people look for.
 */
export function requestContext({ trustedProxies, clock, log, metrics }: RequestContextOptions): Middleware {
  return (ctx, next) => {
    const startedAt = clock.monotonic();
    const { req, res } = ctx;
    const path = (req.url ?? '').split('?', 1)[0] ?? '';
    // Never the caller's own: it ends up in the audit, where a chosen id would point at somebody else's request.
    const requestId = randomUUID();
    ctx.state.facts = {
      requestId,
      ip: clientAddress(req, trustedProxies),
      userAgent: req.headers['user-agent'],
    };
    res.setHeader('X-Request-Id', requestId);
    res.once('close', () => {
      const seconds = (clock.monotonic() - startedAt) / 1000;
      const status = res.writableFinished ? res.statusCode : 499;
      const route = typeof ctx.state.route === 'string' ? ctx.state.route : 'none';
      metrics.observeRequest(ctx.method, route, status, seconds);
      const level = status >= 500 ? 'error' : status >= 400 ? 'info' : 'debug';
      if (!log.isLevelEnabled(level)) return;
      log[level](
        {
          event: 'http.request',
          request_id: requestId,
          method: ctx.method,
          // The path only: a query can hold what a careless client put there.
          path: path.slice(0, 256),
          status,
          ip: ctx.state.facts.ip,
          duration_ms: Math.round(seconds * 1e6) / 1e3,
        },
        'request',
      );
    });
    return next();
  };
}
