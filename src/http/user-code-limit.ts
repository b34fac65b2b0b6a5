import type { Middleware } from 'koa';
import type { RequestFacts } from '../audit/events.js';
import type { Limiter } from '../rate-limits/limiter.js';
import { network } from '../rate-limits/network.js';
import { tooMany } from './page-refusal.js';

/** What the page of a code that nobody knows is answered with. */
const UNKNOWN_CODE = 422;

/**
 * RFC 8628 §5.1: user codes are short, and whoever hits one connects a stranger's device to an account. Each attempt is
 * counted before it is looked at; one that was right takes itself back.
 *
 * @param sessionCookie name of the cookie that tells one browser from another behind the same address
 */
export function userCodeLimit(limiter: Limiter, sessionCookie: string): Middleware {
  return async (ctx, next) => {
    if (ctx.method !== 'POST') return next();
    const { ip } = ctx.state.facts as RequestFacts;
    const place = network(ip);
    const session = ctx.cookies.get(sessionCookie) ?? place;
    const reservation = await limiter.reserveAll([
      ['user_code', place],
      ['user_code_session', session],
    ]);
    if (!reservation.allowed) throw tooMany(reservation.retryAfter);
    await next();
    if (ctx.status !== UNKNOWN_CODE) await limiter.forgive(reservation);
  };
}
