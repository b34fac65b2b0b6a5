import type { Context } from 'koa';
import type { RequestFacts } from '../audit/events.js';
import type { Config } from '../config/config.js';
import type { Database } from '../database/connect.js';
import type { RecordCache } from '../database/record-cache.js';
import { AppError, isAppError } from '../errors.js';
import { ACCOUNT_CLIENT_ID } from '../protocol.js';
import type { Acting } from '../users/people-context.js';
import { isActive, type User } from '../users/user.js';
import { type ArtifactStore, lostRace } from './artifact-store.js';
import type { CurrentProvider } from './current-provider.js';
import type { AccessEnding } from './end-access.js';
import { sessionLifetime } from './lifetimes.js';
import { ROUTES } from './routes.js';
import { SessionStore, type SessionSummary } from './session-store.js';
import { inUnit } from './unit-of-work.js';

/** Seconds between two writes that only say that a session is in use. */
const TOUCH_EVERY = 60;

export interface SessionsParts {
  readonly config: Pick<Config, 'issuer' | 'sessions'>;
  readonly database: Database;
  readonly nodeId: string;
  readonly artifacts: ArtifactStore;
  readonly users: RecordCache<User>;
  readonly ending: AccessEnding;
}

/** Who sits in front of this browser. */
export interface CurrentSession {
  readonly sessionId: string;
  readonly userId: string;
  readonly acr: string | undefined;
  readonly amr: readonly string[];
  /** Milliseconds. */
  readonly authenticatedAt: number;
}

export interface ListedSession extends SessionSummary {
  readonly clientIds: readonly string[];
}

interface CoreSession {
  readonly uid: string;
  readonly accountId?: string;
  readonly acr?: string;
  readonly amr?: string[];
  readonly exp?: number;
  id: string;
  loginTs?: number;
  resetIdentifier(): void;
  save(ttl: number): Promise<string>;
  persist(): Promise<string>;
}

/** Sessions as their owner and operators see them. What ends one is the same for both. */
export class SessionList {
  readonly #parts: Omit<SessionsParts, 'config' | 'users'>;
  readonly #store = new SessionStore();

  constructor(parts: Omit<SessionsParts, 'config' | 'users'>) {
    this.#parts = parts;
  }

  async list(userId: string): Promise<ListedSession[]> {
    const { database, artifacts } = this.#parts;
    return database.read(async on => {
      const live = await this.#store.listLive(on, userId, await database.now(on));
      const listed: ListedSession[] = [];
      for (const summary of live) {
        const session = await artifacts.findSession(on, summary.sessionId);
        listed.push({ ...summary, clientIds: Object.keys((session?.authorizations ?? {}) as object) });
      }
      return listed;
    });
  }

  /**
   * Kills its tokens too, and tells the clients that were signed in to in it.
   *
   * @param userId only if it is this person's
   * @throws AppError `not_found`
   */
  async end(sessionId: string, acting: Acting, userId?: string): Promise<SessionSummary> {
    const { database, ending } = this.#parts;
    return database.transaction(async trx => {
      const now = await database.now(trx);
      const summary = await this.#store.find(trx, sessionId);
      const isTheirs = summary !== undefined && (userId === undefined || summary.userId === userId);
      if (!isTheirs || !(await ending.endSession(trx, sessionId, { now, ...acting }))) {
        throw new AppError('not_found', 'There is no such session, or it has ended. List the sessions.');
      }
      return summary;
    });
  }

  /** @returns how many were ended. */
  async endAll(userId: string, acting: Acting, exceptSessionId?: string): Promise<number> {
    const { database, ending } = this.#parts;
    return database.transaction(async trx => {
      const now = await database.now(trx);
      let ended = 0;
      for (const sessionId of await this.#store.listLiveIds(trx, userId, now)) {
        if (sessionId === exceptSessionId) continue;
        if (await ending.endSession(trx, sessionId, { now, ...acting })) ended += 1;
      }
      return ended;
    });
  }
}

/** This browser's own session: the one that the authorization endpoint knows, so one sign-out ends all. */
export class Sessions {
  readonly #parts: SessionsParts;
  readonly #current: () => CurrentProvider;
  readonly list: SessionList;

  constructor(parts: SessionsParts, current: () => CurrentProvider) {
    this.#parts = parts;
    this.#current = current;
    this.list = new SessionList(parts);
  }

  async current(ctx: Context): Promise<CurrentSession | undefined> {
    const session = await this.#load(ctx);
    const { accountId: userId, loginTs } = session;
    if (userId === undefined || loginTs === undefined) return undefined;
    const user = await this.#parts.users.find(userId);
    if (user === undefined || !isActive(user)) return undefined;
    return {
      sessionId: this.#parts.artifacts.sessionHandle(session.uid),
      userId,
      acr: session.acr,
      amr: session.amr ?? [],
      authenticatedAt: loginTs * 1000,
    };
  }

  /**
   * Using pages of ours keeps a session alive as using a client does. Written once a minute at most. One that was
   * ended or got another cookie meanwhile stays as it is.
   */
  async touch(ctx: Context): Promise<void> {
    const { artifacts, database, config } = this.#parts;
    const now = Math.floor((await database.now()) / 1000);
    const session = await this.#load(ctx);
    const lifetime = sessionLifetime(config.sessions, session.loginTs, now);
    if (session.accountId === undefined || session.exp === undefined) return;
    if (now + lifetime - session.exp < TOUCH_EVERY) return;
    try {
      await inUnit(this.#parts, ctx.state.facts as RequestFacts, async unit => {
        unit.operations.push(async trx => {
          // A copy of a cookie that was replaced must not become one that opens something again.
          if (!(await artifacts.holds(trx, 'Session', session.id))) throw lostRace('session replaced');
        });
        await session.save(lifetime);
      });
    } catch (error) {
      if (isAppError(error, 'stale')) return;
      throw error;
    }
    this.#setCookie(ctx, session.id, session.exp);
  }

  /** A new cookie for the same session: after a change of what opens it, a copy of the old cookie opens nothing. */
  async renew(ctx: Context): Promise<void> {
    await inUnit(this.#parts, ctx.state.facts as RequestFacts, async () => {
      const session = await this.#load(ctx);
      if (session.accountId === undefined || session.exp === undefined) return;
      session.resetIdentifier();
      await session.persist();
      this.#setCookie(ctx, session.id, session.exp);
    });
  }

  async signOut(ctx: Context): Promise<void> {
    const current = await this.current(ctx);
    if (current !== undefined) {
      const facts = ctx.state.facts as RequestFacts;
      await this.list
        .end(current.sessionId, { actor: `user:${current.userId}`, facts }, current.userId)
        .catch((error: unknown) => {
          // Another node ended it a moment ago: signed out is signed out.
          if (!(error instanceof AppError) || error.code !== 'not_found') throw error;
        });
    }
    this.#setCookie(ctx, null, undefined);
  }

  /**
   * Where to send a visitor who must (again) sign in, to come back to a page of the account.
   *
   * @param returnTo path below /account
   */
  signInUrl(returnTo: string, demands: { readonly maxAge?: number; readonly acr?: string } = {}): string {
    const { issuer } = this.#parts.config;
    const query = new URLSearchParams({
      client_id: ACCOUNT_CLIENT_ID,
      response_type: 'none',
      scope: 'openid',
      redirect_uri: `${issuer}/account/callback`,
      state: returnTo,
    });
    if (demands.maxAge !== undefined) query.set('max_age', String(demands.maxAge));
    if (demands.acr !== undefined) query.set('acr_values', demands.acr);
    return `${issuer}${ROUTES.authorization}?${query}`;
  }

  async #load(ctx: Context): Promise<CoreSession> {
    const { provider } = this.#current().built;
    const { Session } = provider as unknown as { Session: { get(ctx: Context): Promise<CoreSession> } };
    return Session.get(ctx);
  }

  #setCookie(ctx: Context, value: string | null, expiresAt: number | undefined): void {
    const { provider } = this.#current().built;
    ctx.cookies.set(provider.cookieName('session'), value, {
      httpOnly: true,
      sameSite: 'lax',
      signed: true,
      overwrite: true,
      ...(expiresAt === undefined ? {} : { expires: new Date(expiresAt * 1000) }),
    });
  }
}
