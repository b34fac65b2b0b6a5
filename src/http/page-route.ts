import type { Context, Middleware, Next } from 'koa';
import { formBody, formOf } from './form-body.js';
import type { CsrfProtection } from './middleware/csrf.js';
import { ownHostOnly, type PageErrorsParts, pageErrors } from './page-errors.js';
import type { Route } from './router.js';

export interface PageRouteParts extends PageErrorsParts {
  readonly csrf: CsrfProtection;
  readonly issuer: string;
  /** Bytes. */
  readonly bodyLimit: number;
}

export type Answer = (ctx: Context) => Promise<void> | void;

/**
 * A page with what stands before each: its error page, our own name, and for a form its body and where it came from.
 *
 * @param answers.get also for the address of a form that is no page of its own: a reload, the language switch and the
 * Back button ask for it, and shall not end in front of an error.
 */
export function pageRoute(
  parts: PageRouteParts,
  answers: { readonly get?: Answer | undefined; readonly post?: Answer | undefined },
): Route {
  const { get, post } = answers;
  return {
    methods: [...(get === undefined ? [] : ['GET', 'HEAD']), ...(post === undefined ? [] : ['POST'])],
    answer: inOrder([
      pageErrors(parts),
      ownHostOnly(parts.issuer),
      parts.csrf.offer(),
      formBody(parts.bodyLimit),
      async ctx => {
        if (ctx.method === 'POST') {
          parts.csrf.check(ctx, formOf(ctx).get('csrf'));
          await post?.(ctx);
        } else await get?.(ctx);
      },
    ]),
  };
}

function inOrder(steps: readonly Middleware[]): Middleware {
  const pass = async (ctx: Context, at: number, last: Next): Promise<void> => {
    const step = steps[at];
    if (step === undefined) await last();
    else await step(ctx, () => pass(ctx, at + 1, last));
  };
  return (ctx, next) => pass(ctx, 0, next);
}

/** RFC 9110 §15.4.4: after a form with a password no browser may send its body on, as 307 would have it. */
export function seeOther(ctx: Context, url: string): void {
  ctx.redirect(url);
  ctx.status = 303;
}
