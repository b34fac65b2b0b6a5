import type { Context } from 'koa';
import type { PendingInteraction } from '../../oidc/interactions.js';
import { network } from '../../rate-limits/network.js';
import { emailKey } from '../../users/account-input.js';
import { shortestPassword } from '../../users/password-policy.js';
import { FieldsRefused } from '../../users/refused-fields.js';
import { signUp } from '../../users/sign-up.js';
import { clientView } from '../client-view.js';
import { formOf } from '../form-body.js';
import { PageRefusal } from '../page-refusal.js';
import type { FieldFault } from '../view-models.js';
import type { InteractionParts } from './interaction-parts.js';
import { anonymously, factsOf, faultsOf, minutesOf, pathOf } from './pending.js';
import type { Sent } from './sent.js';

interface Typed {
  readonly email: string;
  readonly name: string;
}

/** People make their own accounts, where the operator lets them; on the way to a client, or by themselves. */
export class SignUpPages {
  readonly #parts: InteractionParts;
  readonly #sent: Sent;

  constructor(parts: InteractionParts, sent: Sent) {
    this.#parts = parts;
    this.#sent = sent;
  }

  show(ctx: Context, pending?: PendingInteraction): void {
    this.#assertOpen();
    this.#render(ctx, pending, { email: '', name: '' }, []);
  }

  async create(ctx: Context, pending?: PendingInteraction): Promise<void> {
    this.#assertOpen();
    const { limiter, context, renderer, config } = this.#parts;
    const form = formOf(ctx);
    const [email, name, password] = [
      form.text('email').trim(),
      form.text('name').trim(),
      form.text('password'),
    ];
    if (name === '') {
      this.#render(ctx, pending, { email, name }, [{ field: 'name', message: 'name.required' }]);
      return;
    }
    const { ip } = factsOf(ctx);
    // An address that is taken gets a mail: not more of them than of those for a reset.
    const reservation = await limiter.reserveAll([
      ['sign_up', network(ip)],
      ['reset_mail', emailKey(email)],
    ]);
    if (!reservation.allowed) {
      ctx.set('Retry-After', String(reservation.retryAfter));
      const values = { minutes: minutesOf(reservation.retryAfter) };
      this.#render(ctx, pending, { email, name }, [{ field: '', message: 'sign_up.throttled', values }], 429);
      return;
    }
    try {
      await signUp(context, { email, name, password, locale: renderer.localeOf(ctx) }, anonymously(ctx));
    } catch (error) {
      if (!(error instanceof FieldsRefused)) throw error;
      await limiter.forgive(reservation);
      this.#render(ctx, pending, { email, name }, faultsOf(error.fields));
      return;
    }
    const minutes = minutesOf(config.users.emailLinkFor);
    this.#sent.say(ctx, 'email_taken_or_sent', { email, minutes }, pending?.uid);
  }

  #assertOpen(): void {
    if (!this.#parts.config.users.signUp) {
      throw new PageRefusal({ reason: 'not_found', status: 404, code: 'not_found' });
    }
  }

  #render(
    ctx: Context,
    pending: PendingInteraction | undefined,
    { email, name }: Typed,
    faults: readonly FieldFault[],
    status = faults.length > 0 ? 422 : 200,
  ): void {
    const hint = pending?.params.login_hint;
    const hinted = typeof hint === 'string' && hint.length <= 254 && hint.includes('@') ? hint : '';
    this.#parts.renderer.render(
      ctx,
      'sign-up',
      {
        action: pending === undefined ? '/sign-up' : pathOf(pending, 'sign-up'),
        client: pending === undefined ? undefined : clientView(pending.client),
        email: email === '' && faults.length === 0 ? hinted : email,
        name,
        isEmailFixed: false,
        passwordMinLength: shortestPassword(false),
        signInUrl: pending === undefined ? '/account' : pathOf(pending, 'sign-in'),
        faults,
      },
      status,
    );
  }
}
