import type { Context } from 'koa';
import { network } from '../../rate-limits/network.js';
import { confirmEmailChange, verifyEmail } from '../../users/change-email.js';
import { type EmailLink, peekLink } from '../../users/email-links.js';
import { otherWaysIn } from '../../users/other-ways.js';
import { shortestPassword } from '../../users/password-policy.js';
import { FieldsRefused } from '../../users/refused-fields.js';
import { resetPassword } from '../../users/set-password.js';
import { acceptInvitation } from '../../users/sign-up.js';
import { UserStore } from '../../users/user-store.js';
import { formOf } from '../form-body.js';
import { tooMany } from '../page-refusal.js';
import type { FieldFault } from '../view-models.js';
import type { InteractionParts } from './interaction-parts.js';
import { anonymously, factsOf, faultsOf } from './pending.js';
import type { Sent } from './sent.js';

const KINDS = ['verify_email', 'change_email', 'reset_password', 'invitation'] as const;
type Kind = (typeof KINDS)[number];
const users = new UserStore();

type Link = { [K in Kind]: EmailLink<K> }[Kind];

/** Where links in mails lead. Looking changes nothing, because mail scanners look; a form does what the link is for. */
export class EmailLinkPages {
  readonly #parts: InteractionParts;
  readonly #sent: Sent;

  constructor(parts: InteractionParts, sent: Sent) {
    this.#parts = parts;
    this.#sent = sent;
  }

  async show(ctx: Context): Promise<void> {
    const token = tokenOf(ctx);
    const link = await this.#find(ctx, token);
    if (link === undefined) this.#dead(ctx);
    else await this.#render(ctx, token, link, []);
  }

  async act(ctx: Context): Promise<void> {
    const token = tokenOf(ctx);
    const link = await this.#find(ctx, token);
    if (link === undefined) {
      this.#dead(ctx);
      return;
    }
    try {
      await this.#use(ctx, token, link);
    } catch (error) {
      if (!(error instanceof FieldsRefused)) throw error;
      if (error.fields.some(({ message }) => message === 'link.expired')) this.#dead(ctx);
      else await this.#render(ctx, token, link, faultsOf(error.fields));
    }
  }

  async #use(ctx: Context, token: string, link: Link): Promise<void> {
    const { context, renderer } = this.#parts;
    const acting = anonymously(ctx);
    const form = formOf(ctx);
    const password = form.text('password');
    switch (link.kind) {
      case 'verify_email':
        await verifyEmail(context, { token }, acting);
        this.#sent.say(ctx, 'email_verified');
        return;
      case 'change_email': {
        const { email } = await confirmEmailChange(context, { token }, acting);
        this.#sent.say(ctx, 'email_changed', { email });
        return;
      }
      case 'reset_password': {
        const { id } = await resetPassword(context, { token, password }, acting);
        const ways = await context.database.read(on => otherWaysIn(on, id));
        if (ways.passkeys + ways.providers === 0) this.#sent.say(ctx, 'password_reset');
        else this.#sent.say(ctx, 'password_reset_ways', { ...ways });
        return;
      }
      case 'invitation': {
        const locale = renderer.localeOf(ctx);
        await acceptInvitation(context, { token, password, name: form.text('name').trim(), locale }, acting);
        this.#sent.say(ctx, 'email_verified');
      }
    }
  }

  /** Nobody guesses a token; the limit bounds what trying costs us. */
  async #find(ctx: Context, token: string): Promise<Link | undefined> {
    const { limiter, context } = this.#parts;
    const reservation = await limiter.reserve('email_link', network(factsOf(ctx).ip));
    if (!reservation.allowed) throw tooMany(reservation.retryAfter);
    for (const kind of KINDS) {
      const link = (await peekLink(context, token, kind)) as Link | undefined;
      if (link === undefined) continue;
      await limiter.forgive(reservation);
      return link;
    }
    return undefined;
  }

  async #render(ctx: Context, token: string, link: Link, faults: readonly FieldFault[]): Promise<void> {
    const { renderer, context } = this.#parts;
    const action = `/link?token=${token}`;
    const status = faults.length > 0 ? 422 : 200;
    switch (link.kind) {
      case 'verify_email':
      case 'change_email': {
        const email = link.kind === 'change_email' ? link.payload.newEmail : link.payload.email;
        renderer.render(ctx, 'confirm-link', { kind: link.kind, action, email, faults }, status);
        return;
      }
      case 'reset_password': {
        const { email } = link.payload;
        const owner = link.userId ?? '';
        const hasSecondFactor = await context.database.read(on => users.hasSecondFactor(on, owner));
        const passwordMinLength = shortestPassword(hasSecondFactor);
        renderer.render(
          ctx,
          'new-password',
          { action, email, passwordMinLength, asksCurrent: false, faults },
          status,
        );
        return;
      }
      case 'invitation': {
        const { email, name = '' } = link.payload;
        const passwordMinLength = shortestPassword(false);
        const typed = ctx.method === 'POST' ? formOf(ctx).text('name') : name;
        renderer.render(
          ctx,
          'sign-up',
          { action, email, name: typed, isEmailFixed: true, passwordMinLength, faults },
          status,
        );
      }
    }
  }

  /** Used, expired or mistyped: one answer for all. */
  #dead(ctx: Context): void {
    this.#parts.renderer.render(
      ctx,
      'message',
      {
        title: 'message.link_used.title',
        text: 'message.link_used.text',
        isGood: false,
        next: { url: '/account', label: 'next.account' },
      },
      410,
    );
  }
}

/** As it stands in the mail; anything else is looked up as nothing. */
function tokenOf(ctx: Context): string {
  const { token } = ctx.query;
  return typeof token === 'string' && /^[A-Za-z0-9_-]{1,128}$/.test(token) ? token : '';
}
