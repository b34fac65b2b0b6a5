import type { Context } from 'koa';
import type { PendingInteraction } from '../../oidc/interactions.js';
import { openChallenge, sealChallenge } from '../../users/passkey-challenge.js';
import { passkeyQuestion } from '../../users/passkeys.js';
import type { PeopleContext } from '../../users/people-context.js';
import { pathOf } from './pending.js';

/**
 * Challenges for passkeys, each bound to its interaction. A page that was only looked at leaves nothing on the server:
 * the challenge travels sealed in a cookie of that interaction's path, and counts once wherever it is answered.
 */
export class PasskeyQuestions {
  readonly #context: PeopleContext;
  readonly #prefix: string;
  readonly #isHttps: boolean;
  readonly #cookie: string;

  constructor(context: PeopleContext) {
    const { issuer } = context.config;
    this.#context = context;
    this.#prefix = new URL(issuer).pathname.replace(/\/$/, '');
    this.#isHttps = issuer.startsWith('https:');
    this.#cookie = this.#isHttps ? '__Secure-passkey' : 'passkey';
  }

  /** @returns PublicKeyCredentialRequestOptionsJSON for the page's script. */
  async ask(
    ctx: Context,
    pending: PendingInteraction,
    question: Parameters<typeof passkeyQuestion>[1] = {},
  ): Promise<string> {
    const options = await passkeyQuestion(this.#context, question);
    const now = await this.#context.database.now();
    const sealed = sealChallenge(this.#context.envelope, options.challenge, pending.uid, now);
    ctx.cookies.set(this.#cookie, sealed, {
      httpOnly: true,
      sameSite: 'strict',
      path: `${this.#prefix}${pathOf(pending)}`,
      secure: this.#isHttps,
      signed: false,
      overwrite: true,
    });
    return JSON.stringify(options);
  }

  /** Undefined: none was asked here, or too long ago. */
  async asked(ctx: Context, pending: PendingInteraction): Promise<string | undefined> {
    const sealed = ctx.cookies.get(this.#cookie, { signed: false });
    if (sealed === undefined) return undefined;
    return openChallenge(this.#context.envelope, sealed, pending.uid, await this.#context.database.now());
  }
}
