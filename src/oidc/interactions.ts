import type { Context } from 'koa';
import type { RequestFacts } from '../audit/events.js';
import type { ClientRecord } from '../clients/client.js';
import type { Database, Transaction } from '../database/connect.js';
import type { RecordCache } from '../database/record-cache.js';
import { ACCOUNT_CLIENT_ID } from '../protocol.js';
import type { ResourceServer } from '../resources/resource-server.js';
import { type ArtifactPayload, type ArtifactStore, lostRace } from './artifact-store.js';
import { ConsentStore, type GrantedAccess } from './consent-store.js';
import type { CurrentProvider } from './current-provider.js';
import { formActionOf } from './form-actions.js';
import { addAccess, rejectRest, scopesOf, withEarlier } from './granted-access.js';
import { demandedRank, requestedAcrs } from './interaction-policy.js';
import { type RequestedAccess, requestedAccess } from './requested-access.js';
import { currentUnit, inUnit } from './unit-of-work.js';

/** What a person is asked for, and by whom. */
export interface PendingInteraction {
  readonly uid: string;
  readonly prompt: 'login' | 'consent';
  readonly reasons: readonly string[];
  readonly client: ClientRecord;
  readonly params: Readonly<Record<string, unknown>>;
  /** Who is signed in in this browser already. */
  readonly sessionUserId: string | undefined;
  /** When they signed in, milliseconds. */
  readonly authenticatedAt: number | undefined;
  /** What they signed in with. */
  readonly sessionAcr: string | undefined;
  readonly demandsSecondFactor: boolean;
  /** Initiating User Registration via OpenID Connect 1.0: `prompt=create`. */
  readonly isSignUp: boolean;
  /** Milliseconds. */
  readonly expiresAt: number;
  readonly access: RequestedAccess;
  /** Where forms of the page may lead in the end (CSP form-action follows redirects). */
  readonly formActions: readonly string[];
}

/** A sign-in under way whose session does not exist yet. Kept sealed on the server. */
export interface SignInStep {
  readonly userId: string;
  readonly amr: readonly string[];
  /** When the first factor was shown, milliseconds by the database's clock. */
  readonly at: number;
  readonly [more: string]: unknown;
}

export interface InteractionsParts {
  readonly database: Database;
  readonly nodeId: string;
  readonly artifacts: ArtifactStore;
  readonly resources: RecordCache<ResourceServer>;
  readonly identityScopes: readonly string[];
  /** Names of all claims that there are. */
  readonly claims: readonly string[];
  readonly current: () => CurrentProvider;
}

interface CoreInteraction {
  readonly uid: string;
  readonly exp: number;
  readonly returnTo: string;
  readonly prompt: { readonly name: string; readonly reasons: readonly string[] };
  readonly params: Readonly<Record<string, unknown>>;
  readonly session?: { readonly accountId?: string; readonly uid?: string; readonly acr?: string };
  grantId?: string | undefined;
  readonly lastSubmission?: Record<string, unknown>;
  result?: Record<string, unknown>;
  persist(): Promise<string>;
}

const STEP = 'SignInStep';

/** The pages' view of the core's interactions. */
export class Interactions {
  readonly #parts: InteractionsParts;
  readonly #identityScopes: ReadonlySet<string>;
  readonly #claims: ReadonlySet<string>;
  readonly #consents = new ConsentStore();

  constructor(parts: InteractionsParts) {
    this.#parts = parts;
    this.#identityScopes = new Set(parts.identityScopes);
    this.#claims = new Set(parts.claims);
  }

  /** Undefined: expired, done, or begun in another browser (its cookie is bound to this address). */
  async find(ctx: Context, uid: string): Promise<PendingInteraction | undefined> {
    const found = await this.#load(ctx, uid);
    if (found === undefined) return undefined;
    const { interaction, authenticatedAt } = found;
    const { provider, recordOf } = this.#parts.current().built;
    const client = await provider.Client.find(String(interaction.params.client_id));
    if (client === undefined) return undefined;
    const record = recordOf(client);
    const { params, prompt, session } = interaction;
    return {
      uid,
      prompt: prompt.name === 'consent' ? 'consent' : 'login',
      reasons: prompt.reasons,
      client: record,
      params,
      sessionUserId: session?.accountId,
      authenticatedAt,
      sessionAcr: session?.acr,
      demandsSecondFactor: demandedRank(requestedAcrs(params)) === 2,
      isSignUp: prompt.name === 'create',
      expiresAt: interaction.exp * 1000,
      access: await requestedAccess(record, params, {
        identityScopes: this.#identityScopes,
        claims: this.#claims,
        servers: this.#parts.resources,
      }),
      formActions: formActionOf(params.redirect_uri),
    };
  }

  /**
   * Ends the sign-in and sends the browser on.
   *
   * @throws AppError `stale` when the account has changed since its first factor was shown.
   */
  async signedIn(
    ctx: Context,
    pending: PendingInteraction,
    login: {
      readonly userId: string;
      readonly amr: readonly string[];
      readonly acr: string;
      /** When the first factor was shown; default now. */
      readonly since?: number;
    },
  ): Promise<void> {
    await this.#finish(ctx, pending, async (interaction, commit) => {
      commit((trx, now) => assertUnchanged(trx, login.userId, login.since ?? now));
      commit(trx => this.#parts.artifacts.destroy(trx, STEP, pending.uid));
      const { userId: accountId, amr, acr } = login;
      // OpenID Connect Core §2, auth_time: now. The core would take the time of each later step of the interaction,
      // so that a consent page left open for an hour would make a session young again.
      const ts = Math.floor((await this.#parts.database.now()) / 1000);
      // Somebody else: the session that ends now takes its grants along, and what hangs on them.
      if (interaction.session?.accountId !== accountId) interaction.grantId = undefined;
      return {
        ...interaction.lastSubmission,
        login: { accountId, amr: [...amr], acr, ts },
        ...(pending.isSignUp ? { create: {} } : {}),
      };
    });
  }

  /** Stores the answer and sends the browser on. */
  async allowed(ctx: Context, pending: PendingInteraction, granted: GrantedAccess): Promise<void> {
    await this.#finish(ctx, pending, async (interaction, commit) => {
      const userId = interaction.session?.accountId;
      if (userId === undefined) throw lostRace('consent without a session');
      const { provider } = this.#parts.current().built;
      const { clientId } = pending.client;
      const grant = new provider.Grant({ accountId: userId, clientId });
      if (interaction.grantId !== undefined) grant.jti = interaction.grantId;
      const whole = withEarlier(granted, await this.#earlier(userId, clientId), pending.access);
      addAccess(grant, whole);
      rejectRest(grant, pending.access, whole);
      const grantId = await grant.save();
      // The client of the account pages is in no table; anybody can make a link with which it asks (prompt=consent).
      if (clientId !== ACCOUNT_CLIENT_ID) {
        commit((trx, now) => this.#consents.save(trx, userId, clientId, whole, now));
      }
      currentUnit()?.events.push({
        event: 'consent.granted',
        outcome: 'success',
        actor: `user:${userId}`,
        userId,
        clientId,
        ...factsOf(ctx),
        detail: { scope: scopesOf(whole).join(' ') },
      });
      return { ...interaction.lastSubmission, consent: { grantId } };
    });
  }

  /** Back to the client, which learns that the person did not want to (RFC 6749 §4.1.2.1). */
  async refused(
    ctx: Context,
    pending: PendingInteraction,
    error: 'access_denied' | 'login_required' = 'access_denied',
  ): Promise<void> {
    const result = { error, error_description: 'End-User aborted interaction' };
    await this.#finish(ctx, pending, async () => result);
  }

  async step(pending: PendingInteraction): Promise<SignInStep | undefined> {
    const { database, artifacts } = this.#parts;
    const found = await database.read(on => artifacts.find(on, STEP, pending.uid));
    if (found === undefined) return undefined;
    return found.step as SignInStep;
  }

  async saveStep(pending: PendingInteraction, step: SignInStep): Promise<void> {
    const { database, artifacts } = this.#parts;
    await database.transaction(async trx => {
      const now = await database.now(trx);
      const expiresIn = Math.max(1, Math.ceil((pending.expiresAt - now) / 1000));
      const payload = { accountId: step.userId, step } as ArtifactPayload;
      await artifacts.upsert(trx, STEP, pending.uid, payload, expiresIn, now);
    });
  }

  async endStep(pending: PendingInteraction): Promise<void> {
    const { database, artifacts } = this.#parts;
    await database.transaction(trx => artifacts.destroy(trx, STEP, pending.uid));
  }

  async #earlier(userId: string, clientId: string): Promise<GrantedAccess | undefined> {
    const consent = await this.#parts.database.read(on => this.#consents.find(on, userId, clientId));
    return consent?.granted;
  }

  async #finish(
    ctx: Context,
    pending: PendingInteraction,
    decide: (
      interaction: CoreInteraction,
      commit: (operation: (trx: Transaction, now: number) => Promise<void>) => void,
    ) => Promise<Record<string, unknown>>,
  ): Promise<void> {
    const facts = ctx.state.facts as RequestFacts;
    const returnTo = await inUnit(this.#parts, facts, async unit => {
      const found = await this.#load(ctx, pending.uid);
      if (found === undefined) throw lostRace('the interaction has ended');
      const { interaction } = found;
      // Of two submissions of one page the first counts; the second must not bring a used interaction back.
      unit.operations.push(trx => this.#assertPending(trx, pending.uid));
      interaction.result = await decide(interaction, operation => unit.operations.push(operation));
      await interaction.persist();
      return interaction.returnTo;
    });
    ctx.status = 303;
    ctx.redirect(returnTo);
  }

  async #assertPending(trx: Transaction, uid: string): Promise<void> {
    if (!(await this.#parts.artifacts.exists(trx, 'Interaction', uid)))
      throw lostRace('the interaction has ended');
  }

  async #load(
    ctx: Context,
    uid: string,
  ): Promise<{ interaction: CoreInteraction; authenticatedAt: number | undefined } | undefined> {
    const { provider } = this.#parts.current().built;
    // Signed by us, set for this very address: somebody else's interaction cannot be continued here.
    if (ctx.cookies.get(provider.cookieName('interaction'), { signed: true }) !== uid) return undefined;
    const interaction = (await provider.Interaction.find(uid)) as unknown as CoreInteraction | undefined;
    if (interaction === undefined) return undefined;
    const sessionUid = interaction.session?.uid;
    if (sessionUid === undefined) return { interaction, authenticatedAt: undefined };
    const session = await provider.Session.findByUid(sessionUid);
    if (session?.accountId !== interaction.session?.accountId) return undefined;
    return {
      interaction,
      authenticatedAt: session?.loginTs === undefined ? undefined : session.loginTs * 1000,
    };
  }
}

/** A sign-in that began before the password changed, or that ends after the account was closed, is none. */
async function assertUnchanged(trx: Transaction, userId: string, since: number): Promise<void> {
  const user = await trx('users')
    .where({ id: userId, disabled_at: null, locked_at: null })
    .first('password_changed_at');
  if (user === undefined) throw lostRace('the account may not be used');
  if (Number(user.password_changed_at ?? 0) > since) throw lostRace('the password has changed meanwhile');
}

function factsOf(ctx: Context): Partial<RequestFacts> {
  const { requestId, ip, userAgent } = ctx.state.facts as RequestFacts;
  return { requestId, ip, userAgent };
}
