import type { Context } from 'koa';

const OPTIONS = { httpOnly: true, sameSite: 'lax', path: '/', signed: false, overwrite: true } as const;

/** A cookie that no other host can set. What it holds protects itself: signed or sealed. */
export class HostCookie {
  readonly #name: string;
  readonly #options: typeof OPTIONS & { readonly secure: boolean };

  constructor(name: string, isHttps: boolean) {
    // A development issuer without TLS cannot have the prefix (RFC 6265bis §4.1.3.2).
    this.#name = isHttps ? `__Host-${name}` : name;
    this.#options = { ...OPTIONS, secure: isHttps };
  }

  get(ctx: Context): string | undefined {
    return ctx.cookies.get(this.#name, { signed: false });
  }

  /** @param keptFor milliseconds */
  set(ctx: Context, value: string, keptFor: number): void {
    ctx.cookies.set(this.#name, value, { ...this.#options, maxAge: keptFor });
  }

  clear(ctx: Context): void {
    ctx.cookies.set(this.#name, null, this.#options);
  }
}
