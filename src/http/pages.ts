import type { Middleware } from 'koa';
import compose from 'koa-compose';
import type { ClientRecord } from '../clients/client.js';
import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import type { UpstreamProvider } from '../config/federation-file.js';
import { PasswordHasher } from '../crypto/password-hash.js';
import type { Database } from '../database/connect.js';
import type { DataKeys } from '../database/installation.js';
import type { RecordCache } from '../database/record-cache.js';
import type { DevelopmentMailbox } from '../delivery/mailer.js';
import type { MailDelivery } from '../delivery/outbox.js';
import type { Logger } from '../log.js';
import type { CorePages } from '../oidc/core-pages.js';
import type { Access, People } from '../oidc/people.js';
import { ROUTES } from '../oidc/routes.js';
import type { GuardedFetch } from '../outbound/guarded-fetch.js';
import type { Limiter } from '../rate-limits/limiter.js';
import type { ResourceServer } from '../resources/resource-server.js';
import { PasswordChecker } from '../users/check-password.js';
import { Federation } from '../users/federation.js';
import type { PeopleContext } from '../users/people-context.js';
import { SignIn } from '../users/sign-in.js';
import type { User } from '../users/user.js';
import { accountRoutes } from './account/account-routes.js';
import { Assets } from './assets.js';
import { corePages } from './core-pages.js';
import { formAsQuery } from './form-as-query.js';
import { interactionRoutes } from './interaction/interaction-routes.js';
import { type MailText, renderMail } from './mail-text.js';
import { Messages } from './messages.js';
import { CsrfProtection } from './middleware/csrf.js';
import { ownHostOnly, pageErrors } from './page-errors.js';
import type { PageRouteParts } from './page-route.js';
import { Renderer } from './render.js';
import type { Route } from './router.js';
import { userCodeLimit } from './user-code-limit.js';

export interface PagesParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly database: Database;
  readonly nodeId: string;
  readonly keys: DataKeys;
  readonly access: Access;
  readonly people: People;
  readonly limiter: Limiter;
  readonly users: RecordCache<User>;
  readonly clients: RecordCache<ClientRecord>;
  readonly resources: RecordCache<ResourceServer>;
  readonly upstreamProviders: readonly UpstreamProvider[];
  readonly fetch: GuardedFetch;
  /** Only in development without a mail server. */
  readonly mailbox: DevelopmentMailbox | undefined;
  /** The database's clock as this node knows it, milliseconds. */
  readonly databaseNow: () => number;
}

export interface Pages {
  readonly core: CorePages;
  /** What stands before pages of the core, by path. */
  readonly guards: ReadonlyMap<string, Middleware>;
  readonly routes: ReadonlyMap<string, Route>;
  /** @param at when what the mail tells of happened, epoch milliseconds. */
  readonly renderMail: (delivery: MailDelivery, at: number) => MailText;
}

/** Everything that people look at, put together once. */
export function openPages(parts: PagesParts): Pages {
  const { config, clock, database, nodeId, keys, access, users, resources } = parts;
  const messages = new Messages();
  const assets = new Assets(config);
  const renderer = new Renderer({ config, clock, messages, assets });
  const context: PeopleContext = {
    config,
    database,
    nodeId,
    hasher: keys.hasher,
    envelope: keys.accountEnvelope,
    passwords: new PasswordHasher(),
    outbox: access.outbox,
    endAccess: access.ending.endAccess,
  };
  const federation = new Federation({
    providers: parts.upstreamProviders,
    fetch: parts.fetch,
    context,
    clock,
  });
  const signIn = new SignIn({ context, limiter: parts.limiter, passwords: new PasswordChecker(context) });
  const { interactions, sessions } = parts.people;
  const shared = { ...parts, context, renderer, signIn, federation, interactions, sessions };
  const frame: PageRouteParts = {
    renderer,
    clock,
    log: parts.log,
    csrf: new CsrfProtection({ cookieKey: keys.cookieKey, issuer: config.issuer }),
    issuer: config.issuer,
    bodyLimit: config.http.bodyLimit,
  };
  const sender = {
    brandingName: config.branding.name,
    issuer: config.issuer,
    fallback: config.branding.locale,
  };
  const guard = compose([pageErrors(frame), ownHostOnly(config.issuer)]);
  const sessionCookie = config.issuer.startsWith('https:') ? '__Host-session' : 'session';
  return {
    core: corePages({ renderer, users, resources, clock }),
    guards: new Map([
      [ROUTES.code_verification, compose([guard, userCodeLimit(parts.limiter, sessionCookie)])],
      [`${ROUTES.code_verification}/*`, guard],
      [
        ROUTES.authorization,
        compose([pageErrors(frame), formAsQuery(`${config.issuer}${ROUTES.authorization}`)]),
      ],
      [ROUTES.end_session, compose([guard, formAsQuery(`${config.issuer}${ROUTES.end_session}`)])],
      [`${ROUTES.end_session}/confirm`, guard],
      [`${ROUTES.end_session}/success`, guard],
    ]),
    routes: new Map([
      ...assets.routes,
      ...interactionRoutes(shared, frame),
      ...accountRoutes(
        { ...shared, consents: access.consents, backchannel: parts.people.backchannel },
        frame,
      ),
    ]),
    renderMail: ({ mail, values, locale }, at) =>
      renderMail(messages, sender, { name: mail, values, locale, at }),
  };
}
