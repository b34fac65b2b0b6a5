import type { Context } from 'koa';
import type { PendingInteraction } from '../../oidc/interactions.js';
import type { Factors, SignInAnswer } from '../../users/sign-in.js';
import { isActive, type User } from '../../users/user.js';
import { formOf } from '../form-body.js';
import { expired } from '../page-refusal.js';
import type { FieldFault, SecondFactorView } from '../view-models.js';
import { type Conclusion, together, type UnderWay } from './conclusion.js';
import type { InteractionParts } from './interaction-parts.js';
import type { PasskeyQuestions } from './passkey-questions.js';
import { currentUser, factsOf, minutesOf, pathOf } from './pending.js';

type Way = SecondFactorView['way'];

/** Digits and their spaces. Whatever is longer is a recovery code, on whichever page it was typed. */
const LONGEST_TOTP = 8;
const LONGEST_WAIT = 24 * 3600;

/** Asked of whoever has shown the first factor and has no session yet (NIST SP 800-63B-4 §2.2). */
export class SecondFactorPages {
  readonly #parts: InteractionParts;
  readonly #conclusion: Conclusion;
  readonly #passkeys: PasskeyQuestions;

  constructor(parts: InteractionParts, conclusion: Conclusion, passkeys: PasskeyQuestions) {
    this.#parts = parts;
    this.#conclusion = conclusion;
    this.#passkeys = passkeys;
  }

  async show(ctx: Context, pending: PendingInteraction): Promise<void> {
    const step = await this.#conclusion.underWay(ctx, pending, 'second_factor');
    if (step !== undefined) await this.#render(ctx, pending, step, String(ctx.query.way ?? ''));
  }

  async code(ctx: Context, pending: PendingInteraction): Promise<void> {
    const step = await this.#conclusion.underWay(ctx, pending, 'second_factor');
    if (step === undefined) return;
    const code = formOf(ctx).text('code');
    const { userId } = step;
    const { hasTotp } = await this.#parts.signIn.factorsOf(await this.#userOf(step));
    const isTotp = hasTotp && code.replace(/[\s-]/g, '').length <= LONGEST_TOTP;
    const way: Way = isTotp ? 'totp' : 'recovery_code';
    if (code.trim() === '') {
      await this.#render(ctx, pending, step, way, [{ field: 'code', message: 'code.required' }]);
      return;
    }
    const attempt = { userId, code, facts: factsOf(ctx) };
    const { signIn } = this.#parts;
    const answer = isTotp ? await signIn.totp(attempt) : await signIn.recoveryCode(attempt);
    await this.#judge(ctx, pending, step, answer, way);
  }

  async passkey(ctx: Context, pending: PendingInteraction): Promise<void> {
    const step = await this.#conclusion.underWay(ctx, pending, 'second_factor');
    if (step === undefined) return;
    const challenge = await this.#passkeys.asked(ctx, pending);
    const answer: SignInAnswer =
      challenge === undefined
        ? { status: 'refused' }
        : await this.#parts.signIn.passkey({
            response: formOf(ctx).text('passkey'),
            challenge,
            facts: factsOf(ctx),
            userId: step.userId,
            mustVerifyUser: isPossession(step),
          });
    await this.#judge(ctx, pending, step, answer, 'passkey');
  }

  async #judge(
    ctx: Context,
    pending: PendingInteraction,
    step: UnderWay,
    answer: SignInAnswer,
    way: Way,
  ): Promise<void> {
    if (answer.status === 'accepted') {
      const trustDevice = formOf(ctx).get('trust') === 'on';
      const amr = together(step.amr, answer.amr);
      await this.#conclusion.end(ctx, pending, { ...step, amr }, { trustDevice });
      return;
    }
    if (answer.status === 'refused') {
      const fault =
        way === 'passkey'
          ? { field: '', message: 'passkey.failed' }
          : { field: 'code', message: 'code.wrong' };
      await this.#render(ctx, pending, step, way, [fault]);
      return;
    }
    const wait = Math.min(answer.retryAfter, LONGEST_WAIT);
    ctx.set('Retry-After', String(wait));
    const field = way === 'passkey' ? '' : 'code';
    const fault = answer.isPaused
      ? { field, message: 'code.paused' }
      : { field, message: 'code.throttled', values: { minutes: minutesOf(wait) } };
    await this.#render(ctx, pending, step, way, [fault], 429);
  }

  async #render(
    ctx: Context,
    pending: PendingInteraction,
    step: UnderWay,
    wanted: string,
    faults: readonly FieldFault[] = [],
    status = faults.length > 0 ? 422 : 200,
  ): Promise<void> {
    const user = await this.#userOf(step);
    const factors = await this.#parts.signIn.factorsOf(user);
    const ways = waysOf(factors);
    const way = ways.find(each => each === wanted) ?? ways[0];
    // Its last factor was taken away meanwhile.
    if (way === undefined) throw expired();
    const action = pathOf(pending, 'second-factor');
    this.#parts.renderer.render(
      ctx,
      'second-factor',
      {
        action,
        email: user.email,
        way,
        otherWays: ways
          .filter(each => each !== way)
          .map(each => ({ way: each, url: `${action}?way=${each}` })),
        recoveryCodesLeft: factors.recoveryCodesLeft,
        trustDeviceFor: this.#parts.config.users.trustDeviceFor,
        passkeyOptions:
          way === 'passkey'
            ? await this.#passkeys.ask(ctx, pending, { userId: user.id, mustVerifyUser: isPossession(step) })
            : undefined,
        cancelUrl: pathOf(pending, 'switch'),
        faults,
      },
      status,
    );
  }

  async #userOf({ userId }: UnderWay): Promise<User> {
    const user = await currentUser(this.#parts, userId);
    if (user === undefined || !isActive(user)) throw expired();
    return user;
  }
}

/** Something one has was shown already: the same again adds nothing (a security key that asks for no PIN). */
function isPossession({ amr }: UnderWay): boolean {
  return amr.includes('pop');
}

/** The most usual first. */
function waysOf({ hasTotp, passkeys, recoveryCodesLeft }: Factors): Way[] {
  const ways: Way[] = [];
  if (hasTotp) ways.push('totp');
  if (passkeys.length > 0) ways.push('passkey');
  if (recoveryCodesLeft > 0) ways.push('recovery_code');
  return ways;
}
