import type { Context } from 'koa';
import type { RequestFacts } from '../../audit/events.js';
import { isAppError } from '../../errors.js';
import type { CurrentSession } from '../../oidc/sessions.js';
import { ACR_TWO_FACTORS } from '../../protocol.js';
import type { Acting } from '../../users/people-context.js';
import { FieldsRefused } from '../../users/refused-fields.js';
import type { User } from '../../users/user.js';
import { UserStore } from '../../users/user-store.js';
import { Form, formOf } from '../form-body.js';
import { type Answer, seeOther } from '../page-route.js';
import type { FieldFault, Notice } from '../view-models.js';
import type { AccountParts } from './account-parts.js';
import { Flash } from './flash.js';

/** Seconds. Whoever finds an open browser shall not be able to take the account over (OWASP ASVS 5 §7.5.1). */
export const RECENT_FOR = 300;
/** On the path to come back to: a form was sent, and has to be sent again. */
export const SEND_AGAIN = '?send_again=yes';

const users = new UserStore();
/** Of what arrives by a redirect from elsewhere. */
const NO_FORM = new Form(new Map());

export interface Visitor {
  readonly session: CurrentSession;
  readonly user: User;
  readonly hasSecondFactor: boolean;
  readonly acting: Acting;
}

/** What a page of the account shows besides what is stored. */
export interface Shown {
  readonly faults: readonly FieldFault[];
  readonly notice?: Notice | undefined;
  /** What was typed and refused, by field. */
  readonly typed?: Readonly<Record<string, string>> | undefined;
}

export type Show = (ctx: Context, visitor: Visitor, shown: Shown) => Promise<void>;

export type Outcome =
  /** Said on the page that comes next. */
  | { readonly notice: Notice; readonly to?: string }
  /** To another page, without a word. */
  | { readonly to: string }
  /** Shown in this very answer, since nothing could keep it for the next. */
  | { readonly page: (ctx: Context) => void }
  /** The same page again, with what is wrong. */
  | { readonly faults: readonly FieldFault[]; readonly typed?: Readonly<Record<string, string>> };

/** Below the issuer; of a page with a request's own name in it, told from the request. */
type Place = string | ((ctx: Context) => string);

export type Act = (ctx: Context, visitor: Visitor, form: Form) => Promise<Outcome>;

/** Lets into the pages of an account who is signed in, and to its sensitive acts who has just proved it. */
export class Doorway {
  readonly #parts: AccountParts;
  readonly #flash: Flash;

  constructor(parts: AccountParts) {
    this.#parts = parts;
    const { config, hasher } = parts.context;
    this.#flash = new Flash(hasher, parts.databaseNow, config.issuer.startsWith('https:'));
  }

  /** @param path of the page, to which a visitor who must sign in comes back */
  page(path: Place, show: Show, { isSensitive = false } = {}): Answer {
    return async ctx => {
      const visitor = await this.#visitor(ctx, `${placeOf(path, ctx)}${ctx.search}`, isSensitive);
      if (visitor === undefined) return;
      await show(ctx, visitor, { faults: [], notice: this.#flash.take(ctx, visitor.user.id) });
    };
  }

  /**
   * A form that was sent. It is answered by a redirect, so that the Back button and a reload send nothing twice.
   *
   * @param path of the page that holds the form
   * @param show that page, for a form that is refused
   */
  act(place: Place, show: Show, act: Act, { isSensitive = (_form: Form): boolean => false } = {}): Answer {
    return async ctx => {
      const form = ctx.method === 'POST' ? formOf(ctx) : NO_FORM;
      const path = placeOf(place, ctx);
      const visitor = await this.#visitor(ctx, path, isSensitive(form));
      if (visitor === undefined) return;
      const outcome = await outcomeOf(() => act(ctx, visitor, form));
      if ('faults' in outcome) {
        await show(ctx, visitor, outcome);
        ctx.status = 422;
        return;
      }
      // A copy of the cookie from before the change opens nothing after it.
      if (isSensitive(form) && ('notice' in outcome || 'page' in outcome)) {
        await this.#renew(ctx);
      }
      if ('page' in outcome) return outcome.page(ctx);
      if ('notice' in outcome) this.#flash.set(ctx, visitor.user.id, outcome.notice);
      this.redirect(ctx, outcome.to ?? path);
    };
  }

  /** A new cookie for this session. Ended meanwhile, it has none: the next page asks to sign in. */
  async #renew(ctx: Context): Promise<void> {
    try {
      await this.#parts.sessions.renew(ctx);
    } catch (error) {
      if (!isAppError(error, 'stale')) throw error;
    }
  }

  /**
   * Back from signing in, to the page that was left. A form that had to wait for it was not sent: its fields are kept
   * nowhere meanwhile, so the page says that it is to be sent now.
   */
  async arrive(ctx: Context, path: string, wasForm: boolean): Promise<void> {
    const { sessions, databaseNow } = this.#parts;
    const session = wasForm ? await sessions.current(ctx) : undefined;
    // Only after a sign-in: a link of somebody else brings no words of ours.
    if (session !== undefined && databaseNow() - session.authenticatedAt <= RECENT_FOR * 1000) {
      this.#flash.set(ctx, session.userId, { kind: 'good', message: 'notice.send_again' });
    }
    this.redirect(ctx, path);
  }

  /** @param path below the issuer */
  redirect(ctx: Context, path: string): void {
    seeOther(ctx, `${this.#parts.context.config.issuer}${path}`);
  }

  /** Undefined: sent to sign in. */
  async #visitor(ctx: Context, returnTo: string, isSensitive: boolean): Promise<Visitor | undefined> {
    const { sessions, databaseNow } = this.#parts;
    const session = await sessions.current(ctx);
    const found = session === undefined ? undefined : await this.#personOf(session.userId);
    if (session === undefined || found === undefined) {
      seeOther(ctx, sessions.signInUrl(returnTo));
      return undefined;
    }
    const isProved =
      databaseNow() - session.authenticatedAt <= RECENT_FOR * 1000 &&
      (session.acr === ACR_TWO_FACTORS || !found.hasSecondFactor);
    if (isSensitive && !isProved) {
      const acr = found.hasSecondFactor ? { acr: ACR_TWO_FACTORS } : {};
      const back = ctx.method === 'POST' ? `${returnTo}${SEND_AGAIN}` : returnTo;
      seeOther(ctx, sessions.signInUrl(back, { maxAge: RECENT_FOR, ...acr }));
      return undefined;
    }
    await sessions.touch(ctx);
    const { locale, zoneinfo } = found.user.profile;
    ctx.state.uiLocales = locale;
    ctx.state.timeZone = zoneinfo;
    const facts = ctx.state.facts as RequestFacts;
    const acting: Acting = { actor: `user:${session.userId}`, facts, sessionId: session.sessionId };
    return { ...found, session, acting };
  }

  /** As the database has it now: a page must not show what the form before it has changed. */
  async #personOf(userId: string): Promise<Pick<Visitor, 'user' | 'hasSecondFactor'> | undefined> {
    return this.#parts.context.database.read(async on => {
      const user = await users.find(on, userId);
      return user && { user, hasSecondFactor: await users.hasSecondFactor(on, userId) };
    });
  }
}

function placeOf(place: Place, ctx: Context): string {
  return typeof place === 'string' ? place : place(ctx);
}

/** What the account refuses, in words for its page. */
async function outcomeOf(act: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof FieldsRefused)) throw error;
    return { faults: error.fields.map(({ field, message, values }) => ({ field, message, values })) };
  }
}
