import type { Context } from 'koa';
import { isAppError } from '../../errors.js';
import { frameOf, good, NOTHING_CHANGED, notFound, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Outcome, Show, Visitor } from './doorway.js';
import type { HostCookie } from './host-cookie.js';

export const IDENTITIES_PATH = `${PATHS.security}/identities`;
export const UNLINK_PATH = `${IDENTITIES_PATH}/unlink`;

/** Milliseconds: as long as signing in elsewhere may take. */
const KEPT_FOR = 10 * 60_000;

type UpstreamState = Parameters<AccountParts['federation']['finish']>[0];

/** Out to the other provider. What must be known when the person comes back travels sealed, bound to this session. */
export function beginLink(parts: AccountParts, cookie: HostCookie): Act {
  const { context, federation, renderer, databaseNow } = parts;
  return async (ctx, { user, session }, form) => {
    const id = form.text('provider');
    const provider = federation.providers.find(each => each.id === id);
    const linked = await federation.identitiesOf(user.id);
    // One of each: a list of accounts at one provider could not be told apart by name.
    if (provider === undefined || linked.some(each => each.provider === id))
      return { notice: NOTHING_CHANGED };
    const redirectUri = `${context.config.issuer}${PATHS.upstreamCallback}/${id}`;
    try {
      const { url, state } = await federation.begin(id, { redirectUri });
      const kept = JSON.stringify({ state, until: databaseNow() + KEPT_FOR });
      cookie.set(ctx, context.envelope.seal(kept, placeOf(session.sessionId)), KEPT_FOR);
      return { page: answered => leave(answered, renderer, url, provider.name) };
    } catch (error) {
      if (!isAppError(error, 'not_ready')) throw error;
      return failed(provider.name);
    }
  };
}

/** Back from it. Only the session that went out may link: another browser could bring somebody else's identity. */
export function finishLink(parts: AccountParts, cookie: HostCookie): Act {
  return async (ctx, visitor) => {
    const { federation, sessions } = parts;
    const state = stateOf(parts, visitor, cookie.get(ctx));
    cookie.clear(ctx);
    const providerId = String(ctx.state.segment);
    // RFC 9700 §4.4: the answer of one provider must not be taken to another.
    if (state?.providerId !== providerId) return { notice: NOTHING_CHANGED, to: PATHS.security };
    const provider = federation.providers.find(each => each.id === providerId)?.name ?? providerId;
    try {
      const currentUrl = new URL(`${state.redirectUri}${ctx.search}`);
      await federation.link(visitor.user, await federation.finish(state, currentUrl), visitor.acting);
    } catch (error) {
      if (!isAppError(error) || error.code === 'database_unavailable') throw error;
      return failed(provider);
    }
    await sessions.renew(ctx);
    return { notice: good('identity_linked', { provider }), to: PATHS.security };
  };
}

export function showUnlink({ federation, renderer }: AccountParts): Show {
  return async (ctx, visitor, shown) => {
    const linked = await federation.identitiesOf(visitor.user.id);
    const identity = linked.find(({ provider }) => provider === ctx.query.provider);
    if (identity === undefined) throw notFound();
    renderer.render(ctx, 'account/confirm', {
      ...frameOf(visitor, UNLINK_PATH, shown),
      act: 'unlink_identity',
      values: { provider: identity.providerName },
      hidden: { provider: identity.provider, confirmed: 'yes' },
      cancelUrl: PATHS.security,
    });
  };
}

export function unlink({ federation }: AccountParts): Act {
  return async (_ctx, { user, acting }, form) => {
    const provider = form.text('provider');
    if (form.get('confirmed') !== 'yes') return { to: `${UNLINK_PATH}?${new URLSearchParams({ provider })}` };
    const linked = (await federation.identitiesOf(user.id)).filter(each => each.provider === provider);
    const name = linked[0]?.providerName;
    if (name === undefined) return { notice: NOTHING_CHANGED, to: PATHS.security };
    try {
      for (const identity of linked) await federation.unlink(user, identity, acting);
    } catch (error) {
      if (isAppError(error, 'conflict')) {
        return { notice: { kind: 'stop', message: 'way.last' }, to: PATHS.security };
      }
      if (!isAppError(error, 'not_found')) throw error;
      return { notice: NOTHING_CHANGED, to: PATHS.security };
    }
    return { notice: good('identity_unlinked', { provider: name }), to: PATHS.security };
  };
}

function stateOf(
  { context, databaseNow }: AccountParts,
  { session }: Visitor,
  sealed: string | undefined,
): UpstreamState | undefined {
  if (sealed === undefined) return undefined;
  try {
    const text = context.envelope.open(sealed, placeOf(session.sessionId)).toString('utf8');
    const { state, until } = JSON.parse(text) as { readonly state: UpstreamState; readonly until: number };
    return until > databaseNow() ? state : undefined;
  } catch (error) {
    // A cookie from another session, or made up: nothing began here.
    if (!isAppError(error, 'sealed_value_damaged')) throw error;
    return undefined;
  }
}

/**
 * Not a redirect: the page's policy lets a form lead to us alone, and where providers have their pages is only known
 * now (CSP Level 3 §6.4.1: form-action holds for redirects, too).
 */
function leave(ctx: Context, renderer: AccountParts['renderer'], url: string, provider: string): void {
  ctx.set('Refresh', `0; url=${url}`);
  renderer.render(ctx, 'message', {
    title: 'message.upstream.title',
    text: 'message.upstream.text',
    values: { provider },
    isGood: true,
    next: { url, label: 'next.continue' },
  });
}

function failed(provider: string): Outcome {
  const notice = { kind: 'stop', message: 'sign_in.upstream_failed', values: { provider } } as const;
  return { notice, to: PATHS.security };
}

function placeOf(sessionId: string): string {
  return `account_upstream:${sessionId}`;
}
