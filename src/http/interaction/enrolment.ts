import type { Context } from 'koa';
import type { PendingInteraction } from '../../oidc/interactions.js';
import type { Acting } from '../../users/people-context.js';
import { makeRecoveryCodes } from '../../users/recovery-codes.js';
import { confirmTotp, enrolTotp, resumeTotpEnrolment, type TotpEnrolment } from '../../users/totp.js';
import { isActive, type User } from '../../users/user.js';
import { formOf } from '../form-body.js';
import { expired } from '../page-refusal.js';
import { seeOther } from '../page-route.js';
import type { FieldFault } from '../view-models.js';
import { type Conclusion, together, type UnderWay } from './conclusion.js';
import type { InteractionParts } from './interaction-parts.js';
import { currentUser, factsOf, pathOf } from './pending.js';

/** A second factor is set up on the way, by whoever has none and needs one. */
export class EnrolmentPages {
  readonly #parts: InteractionParts;
  readonly #conclusion: Conclusion;

  constructor(parts: InteractionParts, conclusion: Conclusion) {
    this.#parts = parts;
    this.#conclusion = conclusion;
  }

  async show(ctx: Context, pending: PendingInteraction): Promise<void> {
    const begun = await this.#begun(ctx, pending);
    if (begun === undefined) return;
    const { step, user } = begun;
    this.#render(ctx, pending, await this.#enrolment(pending, step, user), []);
  }

  async confirm(ctx: Context, pending: PendingInteraction): Promise<void> {
    const begun = await this.#begun(ctx, pending);
    if (begun === undefined) return;
    const { step, user } = begun;
    const code = formOf(ctx).text('code');
    const enrolment = await this.#enrolment(pending, step, user);
    if (code.trim() === '') {
      this.#render(ctx, pending, enrolment, [{ field: 'code', message: 'code.required' }]);
      return;
    }
    const { context, interactions } = this.#parts;
    const acting: Acting = { actor: `user:${user.id}`, facts: factsOf(ctx) };
    const { enrolling } = enrolment;
    if (!(await confirmTotp(context, { userId: user.id, enrolling, code }, acting))) {
      this.#render(ctx, pending, enrolment, [{ field: 'code', message: 'code.wrong' }]);
      return;
    }
    const recoveryCodes = await makeRecoveryCodes(context, user.id, acting);
    const { userId, at, linking, passwordReach } = step;
    const amr = together(step.amr, ['otp']);
    const shared = { userId, at, amr, linking, passwordReach };
    const next: UnderWay = { ...shared, needs: 'recovery_codes', recoveryCodes };
    await interactions.saveStep(pending, next);
    this.#to(ctx, pending, 'recovery-codes');
  }

  /** Kept sealed until the person goes on, so that a reload does not lose them. */
  async showRecoveryCodes(ctx: Context, pending: PendingInteraction): Promise<void> {
    const step = await this.#conclusion.underWay(ctx, pending, 'recovery_codes');
    if (step === undefined) return;
    const continueUrl = pathOf(pending, 'continue');
    this.#parts.renderer.render(ctx, 'recovery-codes', { codes: step.recoveryCodes ?? [], continueUrl });
  }

  async goOn(ctx: Context, pending: PendingInteraction): Promise<void> {
    const step = await this.#conclusion.underWay(ctx, pending, 'recovery_codes');
    if (step !== undefined) await this.#conclusion.end(ctx, pending, step);
  }

  async #begun(
    ctx: Context,
    pending: PendingInteraction,
  ): Promise<{ readonly step: UnderWay; readonly user: User } | undefined> {
    const step = await this.#conclusion.underWay(ctx, pending, 'enrolment');
    if (step === undefined) return undefined;
    const user = await currentUser(this.#parts, step.userId);
    if (user === undefined || !isActive(user)) throw expired();
    const { hasTotp, passkeys } = await this.#parts.signIn.factorsOf(user);
    if (!hasTotp && passkeys.length === 0) return { step, user };
    // Set up in another tab: whoever has only the password must not put a factor of his own in its place.
    await this.#parts.interactions.endStep(pending);
    this.#to(ctx, pending);
    return undefined;
  }

  /** The same secret for as long as it lasts: it may be scanned already. */
  async #enrolment(pending: PendingInteraction, step: UnderWay, user: User): Promise<TotpEnrolment> {
    const { context, interactions } = this.#parts;
    const resumed =
      step.enrolling === undefined ? undefined : await resumeTotpEnrolment(context, user, step.enrolling);
    if (resumed !== undefined) return resumed;
    const enrolment = await enrolTotp(context, user);
    await interactions.saveStep(pending, { ...step, enrolling: enrolment.enrolling });
    return enrolment;
  }

  #render(
    ctx: Context,
    pending: PendingInteraction,
    { secret, qrSvg }: TotpEnrolment,
    faults: readonly FieldFault[],
  ): void {
    const action = pathOf(pending, 'enrolment');
    const notice = { kind: 'note', message: 'notice.second_factor_needed' } as const;
    this.#parts.renderer.render(
      ctx,
      'enrol-totp',
      { action, secret, qrSvg, faults, notice },
      faults.length > 0 ? 422 : 200,
    );
  }

  #to(ctx: Context, pending: PendingInteraction, step = ''): void {
    seeOther(ctx, `${this.#parts.config.issuer}${pathOf(pending, step)}`);
  }
}
