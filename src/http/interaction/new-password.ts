import type { Context } from 'koa';
import type { PendingInteraction } from '../../oidc/interactions.js';
import { shortestPassword } from '../../users/password-policy.js';
import type { Acting } from '../../users/people-context.js';
import { FieldsRefused } from '../../users/refused-fields.js';
import { setPassword } from '../../users/set-password.js';
import { isActive } from '../../users/user.js';
import { UserStore } from '../../users/user-store.js';
import { formOf } from '../form-body.js';
import { expired } from '../page-refusal.js';
import type { FieldFault } from '../view-models.js';
import type { Conclusion, UnderWay } from './conclusion.js';
import type { InteractionParts } from './interaction-parts.js';
import { currentUser, factsOf, faultsOf, pathOf } from './pending.js';

const users = new UserStore();

/** Asked of whoever has typed a password that is too short by now (NIST SP 800-63B-4 §3.1.1.2). */
export class NewPasswordPages {
  readonly #parts: InteractionParts;
  readonly #conclusion: Conclusion;

  constructor(parts: InteractionParts, conclusion: Conclusion) {
    this.#parts = parts;
    this.#conclusion = conclusion;
  }

  async show(ctx: Context, pending: PendingInteraction): Promise<void> {
    const step = await this.#conclusion.underWay(ctx, pending, 'new_password');
    if (step !== undefined) await this.#render(ctx, pending, step, []);
  }

  async save(ctx: Context, pending: PendingInteraction): Promise<void> {
    const step = await this.#conclusion.underWay(ctx, pending, 'new_password');
    if (step === undefined) return;
    const { userId, trustDevice = false } = step;
    const { context, sessions } = this.#parts;
    const current = await sessions.current(ctx);
    // The interaction hangs on the session that it began in, which ends with the sign-in, not before.
    const sessionId = current?.userId === userId ? current.sessionId : undefined;
    const acting: Acting = { actor: `user:${userId}`, facts: factsOf(ctx), sessionId };
    const password = formOf(ctx).text('password');
    try {
      await setPassword(context, { userId, password, provedAt: step.at }, acting);
    } catch (error) {
      if (!(error instanceof FieldsRefused)) throw error;
      await this.#render(ctx, pending, step, faultsOf(error.fields));
      return;
    }
    // From now on it is the new one that was proved.
    const at = await context.database.now();
    await this.#conclusion.end(ctx, pending, { ...step, at }, { trustDevice });
  }

  async #render(
    ctx: Context,
    pending: PendingInteraction,
    { userId }: UnderWay,
    faults: readonly FieldFault[],
  ): Promise<void> {
    const user = await currentUser(this.#parts, userId);
    if (user === undefined || !isActive(user)) throw expired();
    const { database } = this.#parts.context;
    const hasSecondFactor = await database.read(on => users.hasSecondFactor(on, userId));
    this.#parts.renderer.render(
      ctx,
      'new-password',
      {
        action: pathOf(pending, 'new-password'),
        email: user.email,
        passwordMinLength: shortestPassword(hasSecondFactor),
        asksCurrent: false,
        faults,
        notice: { kind: 'warn', message: 'notice.password_short' },
      },
      faults.length > 0 ? 422 : 200,
    );
  }
}
