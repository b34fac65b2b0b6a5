import type { Context } from 'koa';
import type { ClientRecord } from '../../clients/client.js';
import type { GrantedAccess } from '../../oidc/consent-store.js';
import type { PendingInteraction } from '../../oidc/interactions.js';
import type { RequestedResource } from '../../oidc/requested-access.js';
import { clientView } from '../client-view.js';
import { formOf } from '../form-body.js';
import { expired } from '../page-refusal.js';
import { seeOther } from '../page-route.js';
import type { ScopeView } from '../view-models.js';
import type { InteractionParts } from './interaction-parts.js';
import { pathOf } from './pending.js';

/** What a person may leave out and still sign in: more than who they are, and for longer than they are there. */
const OPTIONAL_SCOPES: ReadonlySet<string> = new Set(['offline_access', 'address', 'phone']);

/** Whether a person lets a client act for them. */
export class ConsentPages {
  readonly #parts: InteractionParts;

  constructor(parts: InteractionParts) {
    this.#parts = parts;
  }

  async show(ctx: Context, pending: PendingInteraction): Promise<void> {
    const { renderer, users, config } = this.#parts;
    const user = pending.sessionUserId === undefined ? undefined : await users.find(pending.sessionUserId);
    if (user === undefined) throw expired();
    const locale = renderer.localeOf(ctx);
    const { access, client } = pending;
    renderer.render(ctx, 'consent', {
      action: pathOf(pending, 'consent'),
      client: clientView(client),
      email: user.email,
      oidcScopes: access.oidcScopes.map(scope => ({ scope, isOptional: OPTIONAL_SCOPES.has(scope) })),
      claims: access.claims,
      resources: access.resources.map(resource => ({
        identifier: resource.identifier,
        name: resource.name,
        scopes: resource.scopes.map(scope =>
          scopeView(resource, scope, locale, isOptional(client, resource, scope)),
        ),
        withheld: resource.withheld.map(scope => scopeView(resource, scope, locale, false)),
      })),
      refreshIdleFor: access.isOffline
        ? Math.min(client.refreshTokenIdleAfter ?? Number.POSITIVE_INFINITY, config.refreshTokens.idleAfter)
        : undefined,
      notYouUrl: pathOf(pending, 'switch'),
      accountUrl: '/account/access',
      faults: [],
    });
  }

  async answer(ctx: Context, pending: PendingInteraction): Promise<void> {
    const { interactions, config } = this.#parts;
    // Signed out in another tab, or signed in anew: the question is another one now.
    if (pending.prompt !== 'consent') {
      seeOther(ctx, `${config.issuer}${pathOf(pending)}`);
      return;
    }
    const form = formOf(ctx);
    if (form.get('answer') === 'allow') {
      await interactions.allowed(ctx, pending, grantedOf(pending, new Set(form.all('scope'))));
    } else await interactions.refused(ctx, pending);
  }
}

/** Never more than was asked for: a box that the page did not have adds nothing. */
function grantedOf({ access, client }: PendingInteraction, ticked: ReadonlySet<string>): GrantedAccess {
  const resources: Record<string, readonly string[]> = {};
  for (const resource of access.resources) {
    const { identifier } = resource;
    resources[identifier] = resource.scopes.filter(
      scope => !isOptional(client, resource, scope) || ticked.has(`${identifier} ${scope}`),
    );
  }
  return {
    oidcScopes: access.oidcScopes.filter(scope => !OPTIONAL_SCOPES.has(scope) || ticked.has(scope)),
    claims: access.claims,
    resources,
  };
}

/** A client cannot work without its default scopes; what it asks for beyond them is for the person to decide. */
function isOptional(client: ClientRecord, { identifier }: RequestedResource, scope: string): boolean {
  const link = client.resources.find(each => each.identifier === identifier);
  return link === undefined || !link.defaultScopes.includes(scope);
}

function scopeView(
  { descriptions }: RequestedResource,
  scope: string,
  locale: string,
  isOptionalScope: boolean,
): ScopeView {
  const words = descriptions[scope];
  return { scope, description: words?.[locale] ?? words?.en, isOptional: isOptionalScope };
}
