import type { Context } from 'koa';
import { isAppError } from '../../errors.js';
import type { PendingBackchannelRequest } from '../../oidc/backchannel-authentication.js';
import { ACR_TWO_FACTORS } from '../../protocol.js';
import { clientView } from '../client-view.js';
import { seeOther } from '../page-route.js';
import { scopeViews } from '../scope-views.js';
import { frameOf, good, notFound, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import { type Act, RECENT_FOR, type Show, type Visitor } from './doorway.js';

/** Of one request; what stands for `*` is its handle. */
export const REQUEST_PATH = `${PATHS.requests}/*`;

export function requestPathOf(ctx: Context): string {
  return `${PATHS.requests}/${String(ctx.state.segment)}`;
}

/** What clients elsewhere wait for (OpenID Connect CIBA). Here is where the mail leads. */
export function showRequests({ renderer, backchannel }: AccountParts): Show {
  return async (ctx, visitor, shown) => {
    const pending = await backchannel.list(visitor.user.id);
    renderer.render(ctx, 'account/requests', {
      ...frameOf(visitor, PATHS.requests, shown),
      requests: pending.map(request => ({
        url: `${PATHS.requests}/${request.handle}`,
        client: clientView(request.client),
        bindingMessage: request.bindingMessage,
        askedAt: request.askedAt,
      })),
    });
  };
}

export function showRequest(parts: AccountParts): Show {
  return async (ctx, visitor, { faults, notice }) => {
    const { renderer, resources, sessions } = parts;
    const request = await requestOf(parts, visitor, ctx);
    if (isTooWeakFor(request, visitor)) {
      const demands = { maxAge: RECENT_FOR, acr: ACR_TWO_FACTORS };
      seeOther(ctx, sessions.signInUrl(requestPathOf(ctx), demands));
      return;
    }
    const { client, scopes, bindingMessage, askedAt } = request;
    renderer.render(ctx, 'backchannel-confirm', {
      action: requestPathOf(ctx),
      faults,
      notice,
      client: clientView(client),
      email: visitor.user.email,
      bindingMessage,
      scopes: await scopeViews(scopes, client, resources, renderer.localeOf(ctx)),
      askedAt,
    });
  };
}

/** Anything but a clear yes is a no. */
export function answerRequest(parts: AccountParts): Act {
  return async (ctx, visitor, form) => {
    const request = await requestOf(parts, visitor, ctx);
    const isAllowed = form.get('answer') === 'allow';
    if (isAllowed && isTooWeakFor(request, visitor)) return { to: requestPathOf(ctx) };
    const { acting, session } = visitor;
    if (acting.facts === undefined) throw new TypeError('a request has facts');
    try {
      await parts.backchannel.answer(session, request.handle, isAllowed, acting.facts);
    } catch (error) {
      // Answered in another tab, or over, between the two looks at it.
      if (isAppError(error, 'not_found') || isAppError(error, 'stale')) throw notFound();
      throw error;
    }
    const notice = good(isAllowed ? 'request_allowed' : 'request_denied', { client: request.client.name });
    return { notice, to: PATHS.requests };
  };
}

/** Somebody else's and one that is over look the same. */
async function requestOf(
  { backchannel }: AccountParts,
  { user }: Visitor,
  ctx: Context,
): Promise<PendingBackchannelRequest> {
  const pending = await backchannel.list(user.id);
  const request = pending.find(({ handle }) => handle === ctx.state.segment);
  if (request === undefined) throw notFound();
  return request;
}

/** The client learns how the person proved to be there, and has asked for two factors. */
function isTooWeakFor({ demandsSecondFactor }: PendingBackchannelRequest, { session }: Visitor): boolean {
  return demandsSecondFactor && session.acr !== ACR_TWO_FACTORS;
}
