import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import type { RecordOf } from './client-adapter.js';
import type { CoreForm, CorePages, UserCodeProblem } from './core-pages.js';
import { ROUTES } from './routes.js';

/** Routes that people look at; everything else speaks JSON, whatever the caller accepts. */
const PAGE_ROUTES: ReadonlySet<string> = new Set([
  'authorization',
  'resume',
  'code_verification',
  'device_resume',
  'end_session',
  'end_session_confirm',
  'end_session_success',
]);

export function isPageRoute(route: string | undefined): boolean {
  return route !== undefined && PAGE_ROUTES.has(route);
}

/** Paths of the same, for answers before the core has looked for a route. */
export function isPagePath(path: string): boolean {
  return [ROUTES.authorization, ROUTES.code_verification, ROUTES.end_session].some(
    base => path === base || path.startsWith(`${base}/`),
  );
}

const PROBLEMS: Readonly<Record<string, UserCodeProblem>> = {
  NotFoundError: 'unknown',
  ExpiredError: 'expired',
  AlreadyUsedError: 'used',
  AbortedError: 'aborted',
  NoCodeError: 'missing',
};

/** The core hands over half a form as text; what it holds is read from the session instead. */
function formOf(ctx: KoaContextWithOIDC, route: string): CoreForm {
  const { secret } = (ctx.oidc.session?.state ?? {}) as { readonly secret?: unknown };
  return { action: ctx.oidc.urlFor(route), xsrf: typeof secret === 'string' ? secret : '' };
}

export function renderErrorOf(
  pages: CorePages,
  recordOf: RecordOf,
): NonNullable<Configuration['renderError']> {
  return (ctx, out) => {
    if (!isPageRoute(ctx.oidc.route)) {
      ctx.type = 'json';
      ctx.body = out;
      return;
    }
    const { client } = ctx.oidc;
    pages.error(ctx, {
      code: out.error,
      status: ctx.status,
      client: client === undefined ? undefined : recordOf(client),
    });
  };
}

type Features = NonNullable<Configuration['features']>;

export function logoutSources(
  pages: CorePages,
  recordOf: RecordOf,
): NonNullable<Features['rpInitiatedLogout']> {
  return {
    enabled: true,
    logoutSource: async ctx => {
      const { client, session } = ctx.oidc;
      await pages.logout(ctx, {
        ...formOf(ctx, 'end_session_confirm'),
        client: client === undefined ? undefined : recordOf(client),
        userId: session?.accountId ?? '',
      });
    },
    postLogoutSuccessSource: ctx => pages.loggedOut(ctx),
  };
}

export function deviceSources(
  pages: CorePages,
  recordOf: RecordOf,
): Pick<
  NonNullable<Features['deviceFlow']>,
  'userCodeInputSource' | 'userCodeConfirmSource' | 'successSource'
> {
  return {
    userCodeInputSource: async (ctx, _form, _out, error) => {
      // A form without the session of its page: there is nothing that another try could be bound to.
      if (error !== undefined && ctx.oidc.session?.exp === undefined) {
        pages.error(ctx, { code: 'expired', status: 400, client: undefined });
        return;
      }
      const userCode = ctx.oidc.params?.user_code;
      await pages.userCode(ctx, {
        ...formOf(ctx, 'code_verification'),
        userCode: typeof userCode === 'string' ? userCode.slice(0, 32) : '',
        problem: error === undefined ? undefined : (PROBLEMS[error.name] ?? 'refused'),
      });
    },
    userCodeConfirmSource: async (ctx, _form, client, device, userCode) => {
      const { deviceCode, session } = ctx.oidc;
      await pages.confirmDevice(ctx, {
        ...formOf(ctx, 'code_verification'),
        client: recordOf(client),
        userCode,
        scopes: String(deviceCode?.params?.scope ?? '')
          .split(' ')
          .filter(scope => scope !== ''),
        askedAt: (deviceCode?.iat ?? 0) * 1000,
        askedFromIp: String(device.ip ?? ''),
        userId: session?.accountId,
      });
    },
    successSource: async ctx => {
      const { client } = ctx.oidc;
      if (client === undefined) throw new TypeError('a device was connected for no client');
      await pages.deviceConnected(ctx, recordOf(client));
    },
  };
}
