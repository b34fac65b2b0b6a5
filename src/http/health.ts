import type { Middleware } from 'koa';

export interface Check {
  readonly isOk: boolean;
  /** For the operator: what is wrong and what to do. With `isOk` a warning, which takes no traffic away. */
  readonly problem?: string;
}

export type Checks = Readonly<Record<string, Check>>;

/** The process answers; nothing else is asked, or a slow database would get it killed. */
export const livez: Middleware = ctx => {
  ctx.set('Cache-Control', 'no-store');
  ctx.body = { status: 'ok' };
};

/** Whether this node should get traffic. */
export function readyz(check: () => Promise<Checks>): Middleware {
  return async ctx => {
    const checks = await check();
    const isReady = Object.values(checks).every(({ isOk }) => isOk);
    ctx.set('Cache-Control', 'no-store');
    ctx.status = isReady ? 200 : 503;
    ctx.body = {
      status: isReady ? 'ready' : 'not_ready',
      checks: Object.fromEntries(
        Object.entries(checks).map(([name, { isOk, problem }]) => [
          name,
          problem ?? (isOk ? 'ok' : 'failed'),
        ]),
      ),
    };
  };
}
