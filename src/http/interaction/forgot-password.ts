import type { Context } from 'koa';
import { network } from '../../rate-limits/network.js';
import { emailFault, emailKey } from '../../users/account-input.js';
import { requestPasswordReset } from '../../users/set-password.js';
import { formOf } from '../form-body.js';
import type { FieldFault } from '../view-models.js';
import type { InteractionParts } from './interaction-parts.js';
import { anonymously, factsOf, faultsOf, minutesOf } from './pending.js';
import { type Sent, uidOf } from './sent.js';

const PATH = '/forgot';

/** Asks for a link by mail. What is answered says nothing about who has an account. */
export class ForgotPasswordPages {
  readonly #parts: InteractionParts;
  readonly #sent: Sent;

  constructor(parts: InteractionParts, sent: Sent) {
    this.#parts = parts;
    this.#sent = sent;
  }

  show(ctx: Context): void {
    this.#render(ctx, '', []);
  }

  async send(ctx: Context): Promise<void> {
    const { limiter, context, config } = this.#parts;
    const email = formOf(ctx).text('email').trim();
    const fault = emailFault(email);
    if (fault !== undefined) {
      this.#render(ctx, email, faultsOf([fault]));
      return;
    }
    const reservation = await limiter.reserveAll([
      ['reset_mail_network', network(factsOf(ctx).ip)],
      ['reset_mail', emailKey(email)],
    ]);
    if (!reservation.allowed) {
      ctx.set('Retry-After', String(reservation.retryAfter));
      const values = { minutes: minutesOf(reservation.retryAfter) };
      this.#render(ctx, email, [{ field: '', message: 'mail.throttled', values }], 429);
      return;
    }
    await requestPasswordReset(context, { email }, anonymously(ctx));
    const minutes = minutesOf(config.users.emailLinkFor);
    this.#sent.say(ctx, 'reset_sent', { email, minutes }, uidOf(ctx.query.interaction));
  }

  #render(
    ctx: Context,
    email: string,
    faults: readonly FieldFault[],
    status = faults.length > 0 ? 422 : 200,
  ): void {
    const uid = uidOf(ctx.query.interaction);
    this.#parts.renderer.render(
      ctx,
      'forgot-password',
      {
        action: uid === undefined ? PATH : `${PATH}?interaction=${uid}`,
        email,
        signInUrl: uid === undefined ? '/account' : `/interaction/${uid}`,
        faults,
      },
      status,
    );
  }
}
