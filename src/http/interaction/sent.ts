import type { Context } from 'koa';
import { Flash } from '../account/flash.js';
import { seeOther } from '../page-route.js';
import type { MessageView } from '../view-models.js';
import type { InteractionParts } from './interaction-parts.js';

/** Below the issuer. */
export const SENT_PATH = '/done';

type Values = Readonly<Record<string, string | number>>;

/** Who reads it is not known; the browser that sent the form is. */
const SOMEBODY = 'anonymous';
const UID = /^[A-Za-z0-9_-]{1,64}$/;

/** What is said after a form, on a page of its own: a reload must not send the form, and a mail, again. */
export class Sent {
  readonly #parts: InteractionParts;
  readonly #flash: Flash;

  constructor(parts: InteractionParts) {
    this.#parts = parts;
    const { issuer } = parts.config;
    this.#flash = new Flash(parts.context.hasher, parts.databaseNow, issuer.startsWith('https:'));
  }

  /** @param name `message.<name>` of the catalogues. @param uid of the interaction to go back to. */
  say(ctx: Context, name: string, values: Values = {}, uid?: string): void {
    const back = uid === undefined ? {} : { uid };
    this.#flash.set(ctx, SOMEBODY, { kind: 'good', message: name, values: { ...values, ...back } });
    seeOther(ctx, `${this.#parts.config.issuer}${SENT_PATH}`);
  }

  show(ctx: Context): void {
    const said = this.#flash.take(ctx, SOMEBODY);
    const { uid, ...values } = said?.values ?? {};
    const name = said?.message ?? 'already_done';
    const next: MessageView['next'] =
      typeof uid === 'string' && UID.test(uid)
        ? { url: `/interaction/${uid}/sign-in`, label: 'next.sign_in' }
        : name === 'password_reset_ways'
          ? { url: '/account/security', label: 'next.security' }
          : { url: '/account', label: 'next.account' };
    this.#parts.renderer.render(ctx, 'message', {
      title: `message.${name}.title`,
      text: `message.${name}.text`,
      values,
      isGood: said !== undefined,
      next,
    });
  }
}

/** From a query, which anybody may have written. */
export function uidOf(value: unknown): string | undefined {
  return typeof value === 'string' && UID.test(value) ? value : undefined;
}
