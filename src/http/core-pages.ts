import type { Context } from 'koa';
import type { RequestFacts } from '../audit/events.js';
import type { ClientRecord } from '../clients/client.js';
import type { Clock } from '../clock.js';
import type { RecordCache } from '../database/record-cache.js';
import type { CorePages, UserCodeProblem } from '../oidc/core-pages.js';
import type { ResourceServer } from '../resources/resource-server.js';
import type { User } from '../users/user.js';
import { clientView } from './client-view.js';
import type { Renderer } from './render.js';
import { scopeViews } from './scope-views.js';
import type { ErrorView, FieldFault } from './view-models.js';

export interface CorePagesParts {
  readonly renderer: Renderer;
  readonly users: RecordCache<User>;
  readonly resources: RecordCache<ResourceServer>;
  readonly clock: Clock;
}

/** What a person can make of the protocol's words. Everything else was stopped for their protection. */
const REASONS: Readonly<Record<string, ErrorView['reason']>> = {
  access_denied: 'not_allowed',
  invalid_request_uri: 'expired',
  // A page that was left open, or begun in another browser.
  expired: 'expired',
  server_error: 'unexpected',
  temporarily_unavailable: 'unavailable',
};

const FAULTS: Readonly<Record<UserCodeProblem, string | undefined>> = {
  unknown: 'device.code_unknown',
  expired: 'device.code_unknown',
  used: 'device.code_unknown',
  refused: 'device.code_unknown',
  missing: 'device.code_required',
  aborted: undefined,
};

/** The pages that the core asks for in the middle of its own flows. */
export function corePages(parts: CorePagesParts): CorePages {
  const { renderer, users, clock } = parts;
  const emailOf = async (userId: string | undefined): Promise<string | undefined> =>
    userId === undefined ? undefined : (await users.find(userId))?.email;

  return {
    error(core, { code, status, client, retryAfter }) {
      const ctx = core as unknown as Context;
      const { requestId } = ctx.state.facts as RequestFacts;
      renderer.render(
        ctx,
        'error',
        {
          reason: REASONS[code] ?? (isLost(core) ? 'expired' : 'stopped'),
          clientName: client?.name,
          code,
          requestId,
          at: clock.now(),
          retryAfter,
          next: { url: '/account', label: 'next.account' },
        },
        status,
      );
    },
    async logout(core, { action, xsrf, client, userId }) {
      const ctx = core as unknown as Context;
      ctx.state.formActions = formActionsOf(client);
      renderer.render(ctx, 'logout', {
        action,
        hidden: { xsrf },
        client: client === undefined ? undefined : clientView(client),
        email: (await emailOf(userId)) ?? '',
        faults: [],
      });
    },
    async loggedOut(core) {
      renderer.render(core as unknown as Context, 'message', {
        title: 'message.signed_out.title',
        text: 'message.signed_out.text',
        isGood: true,
        next: { url: '/account', label: 'next.sign_in_again' },
      });
    },
    async userCode(core, { action, xsrf, userCode, problem }) {
      const ctx = core as unknown as Context;
      if (problem === 'aborted') {
        renderer.render(ctx, 'message', {
          title: 'message.device_refused.title',
          text: 'message.device_refused.text',
          isGood: false,
        });
        return;
      }
      const message = problem === undefined ? undefined : FAULTS[problem];
      const faults: FieldFault[] = message === undefined ? [] : [{ field: 'user_code', message }];
      renderer.render(
        ctx,
        'device',
        { action, hidden: { xsrf }, userCode, faults },
        faults.length > 0 ? 422 : 200,
      );
    },
    async confirmDevice(core, form) {
      const ctx = core as unknown as Context;
      const { ip = '' } = ctx.state.facts as RequestFacts;
      renderer.render(ctx, 'device-confirm', {
        action: form.action,
        hidden: { xsrf: form.xsrf },
        client: clientView(form.client),
        email: await emailOf(form.userId),
        userCode: form.userCode,
        scopes: await scopeViews(form.scopes, form.client, parts.resources, renderer.localeOf(ctx)),
        askedAt: form.askedAt,
        askedFromIp: form.askedFromIp,
        yourIp: ip,
        faults: [],
      });
    },
    async deviceConnected(core, client) {
      renderer.render(core as unknown as Context, 'message', {
        title: 'message.device_connected.title',
        text: 'message.device_connected.text',
        values: { client: client.name },
        isGood: true,
        next: { url: '/account', label: 'next.account' },
      });
    },
  };
}

/** Resuming what is over, or was begun in another browser, is no attack: most often it is the Back button. */
function isLost(core: Parameters<CorePages['error']>[0]): boolean {
  const route = core.oidc?.route;
  return route === 'resume' || route === 'device_resume' || route === 'end_session_confirm';
}

/** Signing out may lead on to the client. */
function formActionsOf(client: ClientRecord | undefined): string[] {
  return (client?.postLogoutRedirectUris ?? [])
    .map(uri => new URL(uri))
    .map(({ protocol, origin }) => (/^https?:$/.test(protocol) ? origin : protocol));
}
