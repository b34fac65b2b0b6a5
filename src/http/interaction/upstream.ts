import { createHash } from 'node:crypto';
import type { Context } from 'koa';
import { AppError } from '../../errors.js';
import type { PendingInteraction } from '../../oidc/interactions.js';
import { emailKey } from '../../users/account-input.js';
import type { Need } from '../../users/sign-in.js';
import type { UpstreamIdentity, UpstreamState } from '../../users/upstream-client.js';
import { isActive, type User } from '../../users/user.js';
import { formOf } from '../form-body.js';
import { expired } from '../page-refusal.js';
import { seeOther } from '../page-route.js';
import type { Conclusion, UnderWay } from './conclusion.js';
import type { InteractionParts } from './interaction-parts.js';
import { anonymously, pathOf } from './pending.js';
import type { SignInPages } from './sign-in.js';

/** Below the issuer; behind it the provider's id, so that its answer cannot be taken for another's (RFC 9700 §4.4). */
const CALLBACK_PATH = '/federation/callback';
/** Milliseconds that signing in elsewhere may take. */
const AWAY_FOR = 15 * 60_000;
/** Milliseconds by which the clocks of two providers may differ. */
const SKEW = 60_000;
const UID = /^[A-Za-z0-9_-]{1,64}$/;

interface Away extends UnderWay {
  readonly upstream?: UpstreamState;
}

interface Returned {
  readonly identity: UpstreamIdentity;
  /** Of the provider. */
  readonly name: string;
  /** Milliseconds by the database's clock: when the browser came back. */
  readonly at: number;
  /** When it left. */
  readonly leftAt: number;
}

/** Signing in with another provider: out, back, and into an account. */
export class UpstreamPages {
  readonly #parts: InteractionParts;
  readonly #conclusion: Conclusion;
  readonly #signIn: SignInPages;
  readonly #prefix: string;
  readonly #isHttps: boolean;

  constructor(parts: InteractionParts, conclusion: Conclusion, signIn: SignInPages) {
    this.#parts = parts;
    this.#conclusion = conclusion;
    this.#signIn = signIn;
    const { issuer } = parts.config;
    this.#prefix = new URL(issuer).pathname.replace(/\/$/, '');
    this.#isHttps = issuer.startsWith('https:');
  }

  async begin(ctx: Context, pending: PendingInteraction): Promise<void> {
    const { federation, interactions, config, context, renderer } = this.#parts;
    const provider = federation.providers.find(({ id }) => id === formOf(ctx).get('provider'));
    if (provider === undefined) {
      seeOther(ctx, `${config.issuer}${pathOf(pending)}`);
      return;
    }
    const redirectUri = `${config.issuer}${CALLBACK_PATH}/${provider.id}`;
    const mustProve = asksAnew(pending);
    const begun = await this.#unlessRefused(() => federation.begin(provider.id, { redirectUri, mustProve }));
    if (begun === undefined) {
      await this.#failed(ctx, pending, 'sign_in.upstream_failed', provider.name);
      return;
    }
    const step: Away = {
      userId: '',
      amr: [],
      at: await context.database.now(),
      needs: 'first_factor',
      upstream: begun.state,
    };
    await interactions.saveStep(pending, step);
    this.#setReturn(ctx, begun.state, pending.uid);
    // Not a redirect: the page's policy lets a form lead to us and to the client, and where providers have their pages
    // is only known now (CSP Level 3 §6.4.1: form-action holds for redirects, too).
    ctx.set('Refresh', `0; url=${begun.url}`);
    renderer.render(ctx, 'message', {
      title: 'message.upstream.title',
      text: 'message.upstream.text',
      values: { provider: provider.name },
      isGood: true,
      next: { url: begun.url, label: 'next.continue' },
    });
  }

  /** The address that providers know. Cookies of the interaction are not sent here, but where it leads to. */
  back(ctx: Context): void {
    const { state } = ctx.query;
    const providerId = String(ctx.state.segment);
    const name =
      typeof state === 'string' && state.length <= 128 ? this.#returnCookie(providerId, state) : undefined;
    const uid = name === undefined ? undefined : ctx.cookies.get(name, { signed: false });
    if (name === undefined || uid === undefined || !UID.test(uid)) throw expired();
    ctx.cookies.set(name, null, this.#returnOptions());
    seeOther(ctx, `${this.#parts.config.issuer}/interaction/${uid}/upstream${ctx.search}`);
  }

  async finish(ctx: Context, pending: PendingInteraction): Promise<void> {
    const { federation, interactions, config, context } = this.#parts;
    const step = (await this.#conclusion.underWay(ctx, pending, 'first_factor')) as Away | undefined;
    if (step === undefined) return;
    // Reloaded, or called without an answer.
    if (step.upstream === undefined || ctx.query.state === undefined) {
      seeOther(ctx, `${config.issuer}${pathOf(pending)}`);
      return;
    }
    const { upstream } = step;
    // An answer counts once.
    await interactions.endStep(pending);
    const at = await context.database.now();
    const currentUrl = new URL(`${upstream.redirectUri}${ctx.search}`);
    const identity = await this.#unlessRefused(() => federation.finish(upstream, currentUrl));
    const name =
      federation.providers.find(({ id }) => id === upstream.providerId)?.name ?? upstream.providerId;
    if (identity === undefined) await this.#failed(ctx, pending, 'sign_in.upstream_failed', name);
    else await this.#signInWith(ctx, pending, { identity, name, at, leftAt: step.at });
  }

  async #signInWith(ctx: Context, pending: PendingInteraction, returned: Returned): Promise<void> {
    const { federation, interactions, config } = this.#parts;
    const { identity, name, at } = returned;
    const answer = await federation.signInWith(identity);
    switch (answer.status) {
      case 'known':
        if (await this.#mustProveHere(pending, answer.user, returned)) {
          const notice = { kind: 'note', message: 'notice.prove_here', values: { provider: name } } as const;
          await this.#signIn.show(ctx, pending, { email: answer.user.email, notice });
          return;
        }
        await this.#accept(ctx, pending, answer.user, name, at);
        return;
      case 'new': {
        const user = await this.#unlessRefused(() =>
          federation.createFromIdentity(identity, anonymously(ctx)),
        );
        if (user === undefined) await this.#failed(ctx, pending, 'sign_in.upstream_unknown', name);
        else await this.#accept(ctx, pending, user, name, await this.#parts.context.database.now());
        return;
      }
      case 'link_needed': {
        const linking = { identity, emailKey: emailKey(answer.candidateEmail) };
        const step: UnderWay = { userId: '', amr: [], at, needs: 'first_factor', linking };
        await interactions.saveStep(pending, step);
        seeOther(ctx, `${config.issuer}${pathOf(pending, 'sign-in')}`);
        return;
      }
      case 'refused': {
        const isUnverified = identity.email !== undefined && !identity.emailVerified;
        const message = isUnverified ? 'sign_in.upstream_unverified' : 'sign_in.upstream_unknown';
        await this.#failed(ctx, pending, message, name);
      }
    }
  }

  async #accept(
    ctx: Context,
    pending: PendingInteraction,
    user: User,
    name: string,
    at: number,
  ): Promise<void> {
    if (!isActive(user)) await this.#failed(ctx, pending, 'sign_in.upstream_failed', name);
    else {
      const needs = await this.#needsOf(user, pending.demandsSecondFactor);
      await this.#conclusion.goOn(ctx, pending, { user, amr: ['fed'], needs }, at);
    }
  }

  /** As after a password, but for trusted devices: nobody has told us how the other provider knew the person. */
  async #needsOf(user: User, demandsSecondFactor: boolean): Promise<Need> {
    const { hasTotp, passkeys } = await this.#parts.signIn.factorsOf(user);
    if (hasTotp) return 'second_factor';
    if (!demandsSecondFactor && !this.#parts.config.users.requireSecondFactor) return 'nothing';
    return passkeys.length > 0 ? 'second_factor' : 'enrolment';
  }

  /**
   * What was asked of the provider passed through the browser, so whoever sits there can have taken it out, and many
   * providers heed none of it: only the instant in the signed ID token says that the person was there just now
   * (OpenID Connect Core §3.1.2.1, §3.1.3.7). Somebody who has nothing to prove it with here has only the provider.
   */
  async #mustProveHere(
    pending: PendingInteraction,
    user: User,
    { identity: { authenticatedAt }, leftAt, at }: Returned,
  ): Promise<boolean> {
    if (!asksAnew(pending) || !isActive(user)) return false;
    const isFresh =
      authenticatedAt !== undefined && authenticatedAt >= leftAt - SKEW && authenticatedAt <= at + SKEW;
    if (isFresh) return false;
    const { hasTotp, passkeys } = await this.#parts.signIn.factorsOf(user);
    // The code is asked for in any case: see #needsOf.
    return !hasTotp && (user.hasPassword || passkeys.length > 0);
  }

  async #failed(ctx: Context, pending: PendingInteraction, message: string, provider: string): Promise<void> {
    const faults = [{ field: '', message, values: { provider } }];
    await this.#signIn.show(ctx, pending, { faults, status: 422 });
  }

  /** What the other side does wrong, or the person there refused, is for the page to say; a fault of ours is not. */
  async #unlessRefused<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof AppError && error.code !== 'database_unavailable') return undefined;
      throw error;
    }
  }

  #setReturn(ctx: Context, { providerId, state }: UpstreamState, uid: string): void {
    ctx.cookies.set(this.#returnCookie(providerId, state), uid, {
      ...this.#returnOptions(),
      maxAge: AWAY_FOR,
    });
  }

  /**
   * One for each way out: two tabs may be away at once. Found only at the address of the provider it leads to: a
   * malicious one could otherwise have the answer, and the code, of another brought to it (RFC 9700 §4.4).
   */
  #returnCookie(providerId: string, state: string): string {
    const name = createHash('sha256').update(`${providerId}\n${state}`).digest('hex').slice(0, 16);
    return `${this.#isHttps ? '__Secure-' : ''}upstream-${name}`;
  }

  #returnOptions() {
    const path = `${this.#prefix}${CALLBACK_PATH}`;
    const secure = this.#isHttps;
    return { httpOnly: true, sameSite: 'lax', path, secure, signed: false, overwrite: true } as const;
  }
}

/**
 * OpenID Connect Core §3.1.2.1: the client wants to know that the person is there now. And whoever is signed in and is
 * asked again must not get by with a click: the provider may have a session, too.
 */
function asksAnew({ params, sessionUserId }: PendingInteraction): boolean {
  return (
    sessionUserId !== undefined ||
    params.max_age !== undefined ||
    String(params.prompt ?? '')
      .split(' ')
      .includes('login')
  );
}
