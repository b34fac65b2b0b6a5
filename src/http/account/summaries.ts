import type { Context } from 'koa';
import { listAuditEvents, type StoredAuditEvent } from '../../audit/audit-log.js';
import type { Consent } from '../../oidc/consent-store.js';
import type { ListedSession } from '../../oidc/sessions.js';
import { ACCOUNT_CLIENT_ID } from '../../protocol.js';
import { browserOf } from '../../users/browser-name.js';
import { ACTIVITY_EVENTS } from '../activity-events.js';
import { clientView } from '../client-view.js';
import { scopeViews } from '../scope-views.js';
import type { ActivityView, ConsentSummaryView, SessionView } from '../view-models.js';
import type { AccountParts } from './account-parts.js';
import type { Visitor } from './doorway.js';

/** What several tabs show of sessions, consents and the log. */
export class Summaries {
  readonly #parts: AccountParts;

  constructor(parts: AccountParts) {
    this.#parts = parts;
  }

  async sessions({ session }: Visitor): Promise<SessionView[]> {
    const { sessions } = this.#parts;
    const listed = await sessions.list.list(session.userId);
    const views = await Promise.all(listed.map(each => this.#session(each, session.sessionId)));
    // The browser in front of them first: that is the one they know.
    return views.sort((one, other) => Number(other.isCurrent) - Number(one.isCurrent));
  }

  async consents(ctx: Context, { user }: Visitor): Promise<ConsentSummaryView[]> {
    const locale = this.#parts.renderer.localeOf(ctx);
    const consents = await this.#parts.consents.list({ userId: user.id });
    const views = await Promise.all(consents.map(consent => this.#consent(consent, locale)));
    return views.filter(view => view !== undefined);
  }

  /** @param before number of the event after which older ones are wanted */
  async activity(
    { user }: Visitor,
    limit: number,
    before?: number,
  ): Promise<{ readonly activity: ActivityView[]; readonly olderFrom: number | undefined }> {
    const { database } = this.#parts.context;
    const filter = { userId: user.id, events: ACTIVITY_EVENTS, limit: limit + 1, ...(before && { before }) };
    const found = await database.read(on => listAuditEvents(on, filter));
    const shown = found.slice(0, limit);
    return {
      activity: await Promise.all(shown.map(event => this.#event(event))),
      olderFrom: found.length > limit ? shown.at(-1)?.id : undefined,
    };
  }

  async #session(listed: ListedSession, currentId: string): Promise<SessionView> {
    const names = await Promise.all(listed.clientIds.map(clientId => this.#clientName(clientId)));
    const { sessionId, ip, amr, createdAt, lastUsedAt } = listed;
    return {
      sessionId,
      isCurrent: sessionId === currentId,
      ...browserOf(listed.userAgent),
      ip,
      amr,
      createdAt,
      lastUsedAt,
      clients: names.filter(name => name !== undefined),
    };
  }

  async #consent(consent: Consent, locale: string): Promise<ConsentSummaryView | undefined> {
    const { clients, resources } = this.#parts;
    const client = await clients.find(consent.clientId);
    if (client === undefined) return undefined;
    const { oidcScopes, resources: granted } = consent.granted;
    const grants = await this.#parts.consents.countGrants(consent.userId, consent.clientId);
    const scopes = [...new Set([...oidcScopes, ...Object.values(granted).flat()])];
    return {
      client: clientView(client),
      scopes: await scopeViews(scopes, client, resources, locale),
      createdAt: consent.createdAt,
      lastUsedAt: consent.lastUsedAt,
      grants,
    };
  }

  async #event(event: StoredAuditEvent): Promise<ActivityView> {
    return {
      at: Date.parse(event.occurred_at),
      event: `activity.${event.event}`,
      clientName: await this.#clientName(event.client_id),
      ip: event.ip ?? undefined,
      browser: browserTitleOf(event.user_agent),
      outcome: event.outcome === 'success' ? 'success' : 'refused',
    };
  }

  /** The account pages themselves are a client that nobody has heard of. */
  async #clientName(clientId: string | null): Promise<string | undefined> {
    if (clientId === null || clientId === ACCOUNT_CLIENT_ID) return undefined;
    return (await this.#parts.clients.find(clientId))?.name;
  }
}

function browserTitleOf(userAgent: string | null): string | undefined {
  const { browser, system } = browserOf(userAgent ?? undefined);
  const words = [browser, system].filter(word => word !== '');
  return words.length === 0 ? undefined : words.join(', ');
}
