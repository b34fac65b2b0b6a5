import { IncomingMessage, type ServerResponse } from 'node:http';
import { stringify } from 'node:querystring';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { RequestFacts } from '../audit/events.js';
import type { GroupCommit, Unit } from '../audit/group-commit.js';
import type { ChangeFeed } from '../database/change-feed.js';
import { isAppError } from '../errors.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';
import { auditEventOf } from './events.js';
import { ROUTES } from './provider.js';
import { UnitOfWork } from './unit-of-work.js';

export interface EvaluationOptions {
  readonly groupCommit: GroupCommit;
  readonly feed: ChangeFeed;
  readonly ring: KeyRing;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The core opens its endpoints to every page that sends no Origin. */
const CORS_HEADERS = ['Access-Control-Allow-Origin', 'Access-Control-Expose-Headers'] as const;
/** The core reads no more of a body (RFC 6749 sets no limit). */
const LONGEST_FORM = 56 * 1024;

/** Judged again this often; then the client is asked to come back. */
const ATTEMPTS = 8;

type Context = KoaContextWithOIDC;

/** Why a request must be judged again; `sequence`: the change to take in first. */
interface Stale {
  readonly sequence: number | undefined;
}

/** The core of one Provider. */
export interface LiveCore {
  readonly createContext: (req: IncomingMessage, res: ServerResponse) => Context;
  readonly evaluate: (ctx: Context) => Promise<void>;
}

/**
 * Evaluates a request in the core, commits what it wrote together with its audit event, and only then lets the
 * answer leave. If what the request was judged by has changed in the meantime, or another request was first, it
 * is evaluated once more on what is true now: so a replayed code, seen too late, takes the core's own way of
 * punishing a replay.
 */
export class Evaluation {
  readonly #options: EvaluationOptions;

  constructor(options: EvaluationOptions) {
    this.#options = options;
  }

  /** @param live the Provider of now, asked again at each attempt: a new ring may have come with a new one. */
  async answer(first: Context, live: () => LiveCore): Promise<void> {
    const { req, res } = first;
    // No page of a browser is a client here, and the core's refusal of an origin would tell which clients exist.
    delete req.headers.origin;
    const headers = new Set(res.getHeaderNames());
    let ctx = first;
    let core = live();
    for (let attempt = 1; ; attempt += 1) {
      const stale = await this.#evaluate(ctx, core.evaluate);
      if (stale === undefined) break;
      for (const name of res.getHeaderNames()) if (!headers.has(name)) res.removeHeader(name);
      if (attempt === ATTEMPTS) return unavailable(first);
      if (stale.sequence !== undefined)
        await this.#options.feed.catchUpTo(stale.sequence).catch(() => undefined);
      const { facts } = first.state;
      core = live();
      const form = stringify(ctx.oidc.body as Record<string, string | string[]>);
      // Encoded anew it can be longer than it came, and longer than the core reads.
      if (form.length > LONGEST_FORM) return unavailable(first);
      ctx = core.createContext(repeated(req, form), res);
      ctx.state.facts = facts;
      // As koa itself begins: not by the setter, which would make it the answer's status for good.
      ctx.res.statusCode = 404;
    }
    if (ctx.path === ROUTES.token) this.#count(ctx);
    if (ctx === first) return;
    first.status = ctx.status;
    first.body = ctx.body;
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
    const unit = new UnitOfWork(this.#options.feed.sequence);
    ctx.state.unit = unit;
    if (ctx.path === ROUTES.token && !(await this.#maySign())) return unavailable(ctx);
    await core(ctx);
    for (const name of CORS_HEADERS) ctx.remove(name);
    if (isAppError(unit.refusal, 'database_unavailable') || isAppError(unit.refusal, 'not_ready')) {
      return unavailable(ctx);
    }
    if (ctx.status >= 500) this.#tellFault(ctx, unit.refusal, facts);
    const event = auditEventOf(ctx, unit, facts);
    if (event !== undefined) unit.events.push(event);
    if (unit.operations.length === 0 && unit.events.length === 0) return undefined;
    return this.#commit(ctx, unit, facts);
  }

  async #commit(ctx: Context, unit: Unit, facts: RequestFacts): Promise<Stale | undefined> {
    try {
      const outcome = await this.#options.groupCommit.commit(unit);
      if (outcome.status === 'committed') return undefined;
      const { sequence } = outcome;
      if (isForm(ctx.oidc.body)) return { sequence };
      // Refused before its body was read, so by nothing that can have changed, and it could not be read again.
      const { operations, events } = unit;
      return await this.#commit(ctx, { sequence, operations, events }, facts);
    } catch (error) {
      if (isAppError(error, 'stale')) return { sequence: undefined };
      if (!isAppError(error, 'database_unavailable')) {
        this.#options.log.error(
          { event: 'commit.failed', request_id: facts.requestId, err: error },
          'a commit failed',
        );
      }
      return unavailable(ctx);
    }
  }

  /** A node whose heartbeat is overdue may hold a ring that signs no more; it looks before it signs. */
  async #maySign(): Promise<boolean> {
    const { ring } = this.#options;
    if (ring.canSign) return true;
    await ring.confirm();
    return ring.canSign;
  }

  #tellFault(ctx: Context, error: unknown, facts: RequestFacts): void {
    this.#options.log.error(
      { event: 'request.failed', request_id: facts.requestId, err: error },
      'a request failed',
    );
    ctx.body = { error: 'server_error', error_description: `Unexpected error. Request ${facts.requestId}.` };
  }
}

const UNAVAILABLE = {
  error: 'temporarily_unavailable',
  error_description: 'The server cannot decide this now. Send the same request again in a moment.',
} as const;

/** Nothing was stored or used up, so the client may simply repeat its request. */
function unavailable(ctx: Context): undefined {
  ctx.status = 503;
  ctx.remove('WWW-Authenticate');
  ctx.set('Retry-After', '1');
  ctx.set('Cache-Control', 'no-store');
  ctx.body = UNAVAILABLE;
  return undefined;
}

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
