import { IncomingMessage, type ServerResponse } from 'node:http';
import { stringify } from 'node:querystring';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { GroupCommit } from '../audit/group-commit.js';
import type { ChangeFeed } from '../database/change-feed.js';
import { AppError, isAppError } from '../errors.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { Logger } from '../log.js';
import { auditEventOf, noteRefusals, type RequestFacts } from './events.js';
import { type BuiltProvider, ROUTES } from './provider.js';
import { UnitOfWork } from './unit-of-work.js';

export interface EvaluationOptions {
  readonly groupCommit: GroupCommit;
  readonly feed: ChangeFeed;
  readonly ring: KeyRing;
  readonly log: Logger;
}

/** Judged again this often; then the client is asked to come back. */
const ATTEMPTS = 8;

interface Attempt {
  readonly facts: RequestFacts;
  /** Set when the request must be judged again; holds the parsed body, because the stream has been read. */
  again: { readonly body: unknown; readonly sequence: number | undefined } | undefined;
}

type Context = KoaContextWithOIDC & { respond?: boolean };

/**
 * Evaluates a request in the core, commits what it wrote together with its audit event, and only then lets the
 * answer leave. If what the request was judged by has changed in the meantime, or another request was first, it
 * is evaluated once more on what is true now: so a replayed code, seen too late, takes the core's own way of
 * punishing a replay.
 */
export class Evaluation {
  readonly #options: EvaluationOptions;
  readonly #attempts = new WeakMap<IncomingMessage, Attempt>();

  constructor(options: EvaluationOptions) {
    this.#options = options;
  }

  /** Must be the first middleware of every Provider. */
  equip({ provider }: BuiltProvider): void {
    noteRefusals(provider);
    provider.use((ctx, next) => this.#evaluate(ctx as unknown as Context, next));
  }

  /** @param callback the live Provider's; asked for anew at each attempt, because it may have been swapped. */
  async answer(
    req: IncomingMessage,
    res: ServerResponse,
    facts: RequestFacts,
    callback: () => (req: IncomingMessage, res: ServerResponse) => Promise<void>,
  ): Promise<void> {
    let request = req;
    const headers = new Set(res.getHeaderNames());
    for (let count = 1; ; count += 1) {
      const attempt: Attempt = { facts, again: undefined };
      this.#attempts.set(request, attempt);
      await callback()(request, res);
      const { again } = attempt;
      if (again === undefined) return;
      for (const name of res.getHeaderNames()) if (!headers.has(name)) res.removeHeader(name);
      if (count === ATTEMPTS) return this.#giveUp(res);
      if (again.sequence !== undefined)
        await this.#options.feed.catchUpTo(again.sequence).catch(() => undefined);
      request = repeated(req, again.body);
    }
  }

  async #evaluate(ctx: Context, next: () => Promise<void>): Promise<void> {
    const attempt = this.#attempts.get(ctx.req);
    if (attempt === undefined) throw new TypeError('a request that did not come through answer()');
    const unit = new UnitOfWork(this.#options.feed.sequence);
    ctx.state.unit = unit;
    if (ctx.path === ROUTES.token && !(await this.#maySign())) return unavailable(ctx);
    await next();
    if (isAppError(unit.refusal, 'database_unavailable')) return unavailable(ctx);
    if (ctx.status >= 500) this.#tellFault(ctx, unit.refusal, attempt.facts);
    const event = auditEventOf(ctx, unit, attempt.facts);
    if (event !== undefined) unit.events.push(event);
    if (unit.operations.length === 0 && unit.events.length === 0) return;
    await this.#commit(ctx, unit, attempt);
  }

  async #commit(ctx: Context, unit: UnitOfWork, attempt: Attempt): Promise<void> {
    try {
      const outcome = await this.#options.groupCommit.commit(unit);
      if (outcome.status === 'committed') return;
      attempt.again = { body: ctx.oidc.body, sequence: outcome.sequence };
    } catch (error) {
      if (isAppError(error, 'database_unavailable')) return unavailable(ctx);
      if (!isAppError(error, 'stale')) {
        this.#options.log.error(
          { event: 'commit.failed', request_id: attempt.facts.requestId, err: error },
          'a commit failed',
        );
        return unavailable(ctx);
      }
      attempt.again = { body: ctx.oidc.body, sequence: undefined };
    }
    ctx.respond = false;
  }

  /** A node whose heartbeat is overdue may hold a ring that signs no more; it looks before it signs. */
  async #maySign(): Promise<boolean> {
    const { ring } = this.#options;
    if (ring.canSign) return true;
    await ring.heartbeat().catch(() => undefined);
    return ring.canSign;
  }

  #tellFault(ctx: Context, error: unknown, facts: RequestFacts): void {
    this.#options.log.error(
      { event: 'request.failed', request_id: facts.requestId, err: error },
      'a request failed',
    );
    ctx.body = { error: 'server_error', error_description: `Unexpected error. Request ${facts.requestId}.` };
  }

  #giveUp(res: ServerResponse): void {
    const body = JSON.stringify(UNAVAILABLE);
    res.writeHead(503, {
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'retry-after': '1',
    });
    res.end(body);
  }
}

const UNAVAILABLE = {
  error: 'temporarily_unavailable',
  error_description: 'The server cannot decide this now. Send the same request again in a moment.',
} as const;

/** Nothing was stored or used up, so the client may simply repeat its request. */
function unavailable(ctx: Context): void {
  ctx.status = 503;
  ctx.remove('WWW-Authenticate');
  ctx.set('Retry-After', '1');
  ctx.set('Cache-Control', 'no-store');
  ctx.body = UNAVAILABLE;
}

/** The same request with its body to be read once more. */
function repeated(req: IncomingMessage, body: unknown): IncomingMessage {
  if (typeof body !== 'object' || body === null)
    throw new AppError('stale', 'The request cannot be repeated.');
  const bytes = Buffer.from(stringify(body as Record<string, string | string[]>));
  const again = new IncomingMessage(req.socket);
  again.method = req.method;
  again.url = req.url;
  again.httpVersion = req.httpVersion;
  again.httpVersionMajor = req.httpVersionMajor;
  again.httpVersionMinor = req.httpVersionMinor;
  again.headers = { ...req.headers, 'content-length': String(bytes.length) };
  delete again.headers['transfer-encoding'];
  if ('originalUrl' in req) Object.assign(again, { originalUrl: req.originalUrl });
  again.push(bytes);
  again.push(null);
  // An incomplete message takes its socket down with it when it ends.
  again.complete = true;
  return again;
}
