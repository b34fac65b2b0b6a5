import type { Middleware } from 'koa';

const LONGEST_URL = 8192;

function refuse(ctx: Parameters<Middleware>[0], status: number, description: string): void {
  ctx.status = status;
  ctx.set('Cache-Control', 'no-store');
  // The rest of an oversized body is not read, so the connection cannot be used again.
  ctx.set('Connection', 'close');
  ctx.body = { error: 'invalid_request', error_description: description };
}

/** Bounds on what a caller may send, before anything looks at it. */
export function limits(bodyLimit: number): Middleware {
  return (ctx, next) => {
    if (ctx.url.length > LONGEST_URL)
      return refuse(ctx, 414, `The address is longer than ${LONGEST_URL} characters.`);
    const length = ctx.request.length;
    if (length !== undefined && length > bodyLimit) {
      return refuse(ctx, 413, `The body is longer than ${bodyLimit} bytes.`);
    }
    return next();
  };
}
