import type { Context } from 'koa';
import type { PendingInteraction } from '../../oidc/interactions.js';
import type { CurrentSession } from '../../oidc/sessions.js';
import type { Refused, Throttled } from '../../users/sign-in.js';
import type { User } from '../../users/user.js';
import { clientView } from '../client-view.js';
import { formOf } from '../form-body.js';
import { seeOther } from '../page-route.js';
import type { FieldFault, Notice } from '../view-models.js';
import type { Conclusion } from './conclusion.js';
import type { InteractionParts } from './interaction-parts.js';
import type { PasskeyQuestions } from './passkey-questions.js';
import { currentUser, factsOf, minutesOf, pathOf } from './pending.js';

/** RFC 5321 §4.5.3.1. */
const LONGEST_EMAIL = 254;
/** Milliseconds. A password that was typed so lately need not be typed again for the second factor that is missing. */
const RECENT_FOR = 5 * 60_000;
/** Seconds. A pause has no end of its own; nobody is told to come back in a year. */
const LONGEST_WAIT = 24 * 3600;

interface Shown {
  readonly email?: string | undefined;
  readonly faults?: readonly FieldFault[];
  readonly notice?: Notice | undefined;
  /** Whoever is signed in wants to be somebody else. */
  readonly isSwitching?: boolean;
  readonly status?: number;
}

/** The first factor: password, passkey, or another provider. */
export class SignInPages {
  readonly #parts: InteractionParts;
  readonly #conclusion: Conclusion;
  readonly #passkeys: PasskeyQuestions;

  constructor(parts: InteractionParts, conclusion: Conclusion, passkeys: PasskeyQuestions) {
    this.#parts = parts;
    this.#conclusion = conclusion;
    this.#passkeys = passkeys;
  }

  /** Of a login prompt. */
  async begin(ctx: Context, pending: PendingInteraction): Promise<void> {
    if (!(await this.#stepUp(ctx, pending))) await this.show(ctx, pending);
  }

  async show(ctx: Context, pending: PendingInteraction, shown: Shown = {}): Promise<void> {
    const { config, renderer, federation } = this.#parts;
    const known = shown.isSwitching === true ? undefined : await this.#known(pending);
    const linking = await this.#conclusion.linkingOf(pending);
    const hint = linking?.emailKey ?? emailHint(pending.params.login_hint);
    renderer.render(
      ctx,
      'sign-in',
      {
        action: pathOf(pending),
        client: clientView(pending.client),
        email: known?.email ?? shown.email ?? hint,
        isReauthentication: known !== undefined,
        notYouUrl: known === undefined ? undefined : pathOf(pending, 'sign-in'),
        signUpUrl: config.users.signUp && known === undefined ? pathOf(pending, 'sign-up') : undefined,
        forgotUrl: `/forgot?interaction=${pending.uid}`,
        cancelUrl: pathOf(pending, 'cancel'),
        upstreams: linking === undefined ? federation.providers : [],
        passkeyOptions: await this.#passkeys.ask(ctx, pending),
        faults: shown.faults ?? [],
        notice: shown.notice ?? this.#linkNotice(linking?.identity.provider),
      },
      shown.status ?? 200,
    );
  }

  async password(ctx: Context, pending: PendingInteraction): Promise<void> {
    const form = formOf(ctx);
    const [email, password] = [form.text('email').slice(0, LONGEST_EMAIL), form.text('password')];
    const faults: FieldFault[] = [];
    if (email.trim() === '') faults.push({ field: 'email', message: 'email.required' });
    if (password === '') faults.push({ field: 'password', message: 'password.required' });
    if (faults.length > 0) {
      await this.show(ctx, pending, { email, faults, status: 422 });
      return;
    }
    const at = await this.#parts.context.database.now();
    const answer = await this.#parts.signIn.password({
      email,
      password,
      facts: factsOf(ctx),
      deviceToken: this.#conclusion.devices.get(ctx),
      demandsSecondFactor: pending.demandsSecondFactor,
    });
    if (answer.status === 'accepted') await this.#conclusion.goOn(ctx, pending, answer, at);
    else await this.#refuse(ctx, pending, answer, email);
  }

  async passkey(ctx: Context, pending: PendingInteraction): Promise<void> {
    const at = await this.#parts.context.database.now();
    const challenge = await this.#passkeys.asked(ctx, pending);
    const answer =
      challenge === undefined
        ? undefined
        : await this.#parts.signIn.passkey({
            response: formOf(ctx).text('passkey'),
            challenge,
            facts: factsOf(ctx),
            demandsSecondFactor: pending.demandsSecondFactor,
          });
    if (answer?.status === 'accepted') {
      await this.#conclusion.goOn(ctx, pending, answer, at);
      return;
    }
    if (answer?.status === 'throttled') {
      await this.#refuse(ctx, pending, answer, '');
      return;
    }
    const faults = [{ field: '', message: 'passkey.failed' }];
    await this.show(ctx, pending, { faults, status: 422 });
  }

  /** Ends what is under way, and begins again with nobody's name on the page. */
  async switch(ctx: Context, pending: PendingInteraction): Promise<void> {
    await this.#parts.interactions.endStep(pending);
    seeOther(ctx, `${this.#parts.config.issuer}${pathOf(pending, 'sign-in')}`);
  }

  /** The client learns that the person does not want to. */
  async cancel(ctx: Context, pending: PendingInteraction): Promise<void> {
    await this.#parts.interactions.endStep(pending);
    await this.#parts.interactions.refused(ctx, pending);
  }

  /** One text and one status, whether it was the account, the password, or that the account may not be used. */
  async #refuse(
    ctx: Context,
    pending: PendingInteraction,
    answer: Refused | Throttled,
    email: string,
  ): Promise<void> {
    if (answer.status === 'refused') {
      const faults = [{ field: '', message: 'sign_in.failed' }];
      await this.show(ctx, pending, { email, faults, status: 422 });
      return;
    }
    const wait = Math.min(answer.retryAfter, LONGEST_WAIT);
    ctx.set('Retry-After', String(wait));
    const faults = [
      answer.isPaused
        ? { field: '', message: 'sign_in.paused' }
        : { field: '', message: 'sign_in.throttled', values: { minutes: minutesOf(wait) } },
    ];
    await this.show(ctx, pending, { email, faults, status: 429 });
  }

  /** Whoever signed in a moment ago with one factor is only asked for the other (RFC 9470). */
  async #stepUp(ctx: Context, pending: PendingInteraction): Promise<boolean> {
    const { sessions, context, signIn } = this.#parts;
    const isOnlyWeak = pending.demandsSecondFactor && pending.reasons.every(reason => reason === 'too_weak');
    if (!isOnlyWeak || pending.sessionUserId === undefined) return false;
    const session = await sessions.current(ctx);
    const user = await this.#known(pending);
    if (session === undefined || user === undefined || session.userId !== user.id) return false;
    if (!isRecent(session, user, await context.database.now())) return false;
    const factors = await signIn.factorsOf(user);
    const hasOne = factors.hasTotp || factors.passkeys.length > 0;
    const needs = hasOne ? 'second_factor' : 'enrolment';
    const at = Math.max(session.authenticatedAt, user.passwordChangedAt ?? 0);
    await this.#conclusion.goOn(ctx, pending, { user, amr: session.amr, needs }, at);
    return true;
  }

  /** Who has to prove again who they are. */
  async #known(pending: PendingInteraction): Promise<User | undefined> {
    if (pending.prompt !== 'login' || pending.sessionUserId === undefined) return undefined;
    if (pending.isSignUp || pending.reasons.includes('account_unusable')) return undefined;
    return currentUser(this.#parts, pending.sessionUserId);
  }

  #linkNotice(providerId: string | undefined): Notice | undefined {
    const provider = this.#parts.federation.providers.find(({ id }) => id === providerId)?.name;
    return provider === undefined
      ? undefined
      : { kind: 'note', message: 'notice.link_identity', values: { provider } };
  }
}

/** A password that was changed since is not the one that was typed. Sessions count whole seconds. */
function isRecent({ authenticatedAt }: CurrentSession, user: User, now: number): boolean {
  const changedAt = Math.floor((user.passwordChangedAt ?? 0) / 1000) * 1000;
  return now - authenticatedAt <= RECENT_FOR && changedAt <= authenticatedAt;
}

/** OpenID Connect Core §3.1.2.1; what is no address is nothing to show. */
function emailHint(hint: unknown): string {
  const isAddress =
    typeof hint === 'string' && hint.length <= LONGEST_EMAIL && /^[^\s@]+@[^\s@]+$/.test(hint);
  return isAddress ? hint : '';
}
