import { IncomingMessage, type ServerResponse } from 'node:http';
import { stringify } from 'node:querystring';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { RequestFacts } from '../audit/events.js';
import type { GroupCommit, Unit } from '../audit/group-commit.js';
import type { ChangeFeed } from '../database/change-feed.js';
import { isAppError, isUnavailable } from '../errors.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';
import type { RecordOf } from './client-adapter.js';
import type { CorePages } from './core-pages.js';
import { answerOrigin } from './cors.js';
import { auditEventOf, kidReader, revokedGrantEvents } from './events.js';
import { formActionOf } from './form-actions.js';
import { isPagePath } from './page-sources.js';
import { POLL_EVERY } from './polling.js';
import { CROSS_ORIGIN_PATHS, ROUTES } from './routes.js';
import { UnitOfWork } from './unit-of-work.js';

export interface EvaluationOptions {
  readonly groupCommit: GroupCommit;
  readonly pages: CorePages;
  readonly feed: ChangeFeed;
  readonly ring: KeyRing;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Whether a page of another origin may read an answer is decided by us, after the core. */
const CORS_HEADERS = ['Access-Control-Allow-Origin', 'Access-Control-Expose-Headers'] as const;
/** The core reads no more of a body (RFC 6749 sets no limit). */
const LONGEST_FORM = 56 * 1024;

/** Judged again this often; then the client is asked to come back. */
const ATTEMPTS = 8;

/** Endpoints whose answers carry no signature of ours. */
const UNSIGNED: ReadonlySet<string> = new Set([
  ROUTES.introspection,
  ROUTES.revocation,
  ROUTES.pushed_authorization_request,
  ROUTES.device_authorization,
  ROUTES.backchannel_authentication,
]);

/** For the one page of the core that sends itself: the core adds the hash of its script, we its destination. */
const FORM_POST_POLICY = "default-src 'none';script-src;frame-ancestors 'none';base-uri 'none'";

type Context = KoaContextWithOIDC;

/** Why a request must be judged again; `sequence`: the change to take in first. */
interface Stale {
  readonly sequence: number | undefined;
}

/** The core of one Provider. */
export interface LiveCore {
  readonly createContext: (req: IncomingMessage, res: ServerResponse) => Context;
  readonly evaluate: (ctx: Context) => Promise<void>;
  readonly recordOf: RecordOf;
}

/**
 * Evaluates a request in the core, commits what it wrote together with its audit event, and only then lets the
 * answer leave. If what the request was judged by has changed in the meantime, or another request was first, it
 * is evaluated once more on what is true now: so a replayed code, seen too late, takes the core's own way of
 * punishing a replay.
 */
export class Evaluation {
  readonly #options: EvaluationOptions;
  readonly #kidOf = kidReader();

  constructor(options: EvaluationOptions) {
    this.#options = options;
  }

  /** @param live the Provider of now, asked again at each attempt: a new ring may have come with a new one. */
  async answer(first: Context, live: () => LiveCore): Promise<void> {
    const { req, res } = first;
    // The core's own refusal of an origin would tell which clients exist.
    const { origin } = req.headers;
    delete req.headers.origin;
    const headers = new Set(res.getHeaderNames());
    let ctx = first;
    let core = live();
    for (let attempt = 1; ; attempt += 1) {
      const stale = await this.#evaluate(ctx, core.evaluate);
      if (stale === undefined) break;
      for (const name of res.getHeaderNames()) if (!headers.has(name)) res.removeHeader(name);
      if (attempt === ATTEMPTS) return this.#unavailable(first);
      if (stale.sequence !== undefined)
        await this.#options.feed.catchUpTo(stale.sequence).catch(() => undefined);
      const { facts } = first.state;
      core = live();
      const form = isForm(ctx.oidc.body) ? stringify(ctx.oidc.body) : '';
      // Encoded anew it can be longer than it came, and longer than the core reads.
      if (form.length > LONGEST_FORM) return this.#unavailable(first);
      ctx = core.createContext(repeated(req, form), res);
      ctx.state.facts = facts;
      // As koa itself begins: not by the setter, which would make it the answer's status for good.
      ctx.res.statusCode = 404;
    }
    if (ctx.path === ROUTES.token) this.#count(ctx);
    if (CROSS_ORIGIN_PATHS.has(ctx.path)) answerOrigin(ctx, origin, core.recordOf);
    if (ctx !== first) {
      first.status = ctx.status;
      first.body = ctx.body;
    }
    // RFC 9110 §8.3: no content, no type. Clients that expect JSON refuse the "text/plain" that koa gives to the
    // empty answer to a revocation (RFC 7009 §2.2).
    if (first.body === '') first.remove('Content-Type');
  }

  #count(ctx: Context): void {
    const grantType = ctx.oidc?.params?.grant_type;
    const { error } = (ctx.body ?? {}) as { readonly error?: unknown };
    const outcome = ctx.status < 400 ? 'issued' : ctx.status < 500 ? 'refused' : 'failed';
    this.#options.metrics.countTokenRequest(
      typeof grantType === 'string' ? grantType : '',
      outcome,
      typeof error === 'string' ? error : '',
    );
  }

  async #evaluate(ctx: Context, core: (ctx: Context) => Promise<void>): Promise<Stale | undefined> {
    const facts = ctx.state.facts as RequestFacts;
    const unit = new UnitOfWork(this.#options.feed.sequence, facts);
    ctx.state.unit = unit;
    const { ring } = this.#options;
    const isSigned = !UNSIGNED.has(ctx.path);
    if (isSigned && !ring.canSign && !(await this.#maySign())) return this.#unavailable(ctx);
    if (isPagePath(ctx.path)) ctx.set('Content-Security-Policy', FORM_POST_POLICY);
    await core(ctx);
    // The core dates what it signs by the wall clock, which may have been set since the look above.
    if (isSigned && !ring.canSign && !(await this.#maySign())) return this.#unavailable(ctx);
    for (const name of CORS_HEADERS) ctx.remove(name);
    if (isUnavailable(unit.refusal)) {
      return this.#unavailable(ctx);
    }
    if (ctx.status >= 500) this.#tellFault(ctx, unit.refusal, facts);
    completeAnswer(ctx);
    const event = auditEventOf(ctx, unit, facts, this.#kidOf);
    if (event !== undefined) unit.events.push(event);
    if (unit.endsGrants) unit.events.push(...revokedGrantEvents(ctx, unit, facts));
    if (unit.operations.length === 0 && unit.events.length === 0) return undefined;
    return this.#commit(ctx, unit, facts);
  }

  async #commit(ctx: Context, unit: Unit, facts: RequestFacts): Promise<Stale | undefined> {
    try {
      const outcome = await this.#options.groupCommit.commit(unit);
      if (outcome.status === 'committed') return undefined;
      const { sequence } = outcome;
      if (ctx.method === 'GET' || isForm(ctx.oidc?.body)) return { sequence };
      // Refused before its body was read, so by nothing that can have changed, and it could not be read again.
      const { operations, events, endsGrants = false } = unit;
      return await this.#commit(ctx, { sequence, operations, events, endsGrants }, facts);
    } catch (error) {
      if (isAppError(error, 'stale')) return { sequence: undefined };
      if (!isAppError(error, 'database_unavailable')) {
        this.#options.log.error(
          { event: 'commit.failed', request_id: facts.requestId, err: error },
          'a commit failed',
        );
      }
      return this.#unavailable(ctx);
    }
  }

  /** A node whose heartbeat is overdue may hold a ring that signs no more; it looks before it signs. */
  async #maySign(): Promise<boolean> {
    const { ring } = this.#options;
    await ring.confirm();
    return ring.canSign;
  }

  #tellFault(ctx: Context, error: unknown, facts: RequestFacts): void {
    this.#options.log.error(
      { event: 'request.failed', request_id: facts.requestId, err: error },
      'a request failed',
    );
    if (isPagePath(ctx.path)) {
      this.#options.pages.error(ctx, { code: 'server_error', status: 500, client: undefined });
      return;
    }
    ctx.body = { error: 'server_error', error_description: `Unexpected error. Request ${facts.requestId}.` };
  }

  /** Nothing was stored or used up, so the client may simply repeat its request. */
  #unavailable(ctx: Context): undefined {
    ctx.status = 503;
    ctx.remove('WWW-Authenticate');
    ctx.remove('Location');
    ctx.set('Retry-After', '1');
    ctx.set('Cache-Control', 'no-store');
    if (isPagePath(ctx.path)) {
      const code = 'temporarily_unavailable';
      this.#options.pages.error(ctx, { code, status: 503, client: undefined, retryAfter: 1 });
    } else ctx.body = UNAVAILABLE;
    return undefined;
  }
}

const UNAVAILABLE = {
  error: 'temporarily_unavailable',
  error_description: 'The server cannot decide this now. Send the same request again in a moment.',
} as const;

function isForm(body: unknown): body is Record<string, string | string[]> {
  return typeof body === 'object' && body !== null;
}

/** The same request with its body to be read once more. */
function repeated(req: IncomingMessage, form: string): IncomingMessage {
  const again = new IncomingMessage(req.socket);
  again.method = req.method;
  again.url = req.url;
  again.httpVersion = req.httpVersion;
  again.httpVersionMajor = req.httpVersionMajor;
  again.httpVersionMinor = req.httpVersionMinor;
  again.headers = { ...req.headers, 'content-length': String(form.length) };
  delete again.headers['transfer-encoding'];
  if ('originalUrl' in req) Object.assign(again, { originalUrl: req.originalUrl });
  again.push(Buffer.from(form));
  again.push(null);
  // An incomplete message takes its socket down with it when it ends.
  again.complete = true;
  return again;
}

/** What the core leaves out of its answers. */
function completeAnswer(ctx: Context): void {
  if (
    typeof ctx.body === 'string' &&
    ctx.response.is('html') &&
    ctx.response.get('Content-Security-Policy').startsWith("default-src 'none';script-src '")
  ) {
    const action = /<form method="post" action="([^"]*)"/.exec(ctx.body)?.[1]?.replaceAll('&amp;', '&');
    // Where somebody else signs in, the form first ends the old session here, and leads on to the client afterwards.
    const { params } = (ctx.oidc?.entities.Interaction ?? {}) as { params?: Record<string, unknown> };
    // Signing out where nobody is signed in: the form ends nothing and leads on to the client, too. The core has
    // compared the address with the registered ones, and taken away one that it could compare with none.
    const afterwards =
      ctx.path === ROUTES.end_session ? ctx.oidc?.params?.post_logout_redirect_uri : undefined;
    const targets = [action, params?.redirect_uri, afterwards].flatMap(formActionOf);
    ctx.set(
      'Content-Security-Policy',
      `${ctx.response.get('Content-Security-Policy')};form-action ${[...new Set(targets)].join(' ') || "'none'"}`,
    );
    return;
  }
  const isWaiting =
    ctx.path === ROUTES.device_authorization || ctx.path === ROUTES.backchannel_authentication;
  if (isWaiting && ctx.status === 200) Object.assign(ctx.body as object, { interval: POLL_EVERY });
}
