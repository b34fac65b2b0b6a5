import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context, Middleware } from 'koa';
import { PageRefusal } from '../page-refusal.js';

const LABEL = 'claviger csrf';
/** base64url of 32 bytes, of the cookie and of the token alike. */
const VALUE = /^[A-Za-z0-9_-]{43}$/;

export interface CsrfOptions {
  /** 32 bytes; what is made from it here is of no use anywhere else. */
  readonly cookieKey: Buffer;
  readonly issuer: string;
}

/**
 * Only our own pages may post to us (OWASP ASVS 5 §3.5.1). The browser holds a random value that no other site can
 * read or, thanks to the `__Host-` prefix, set; the form carries an HMAC of it. What the browser says about the origin
 * of the request is checked first.
 */
export class CsrfProtection {
  readonly #key: Buffer;
  readonly #origin: string;
  readonly #isHttps: boolean;
  readonly #cookie: string;

  constructor({ cookieKey, issuer }: CsrfOptions) {
    this.#key = createHmac('sha256', cookieKey).update(LABEL).digest();
    this.#origin = new URL(issuer).origin;
    this.#isHttps = issuer.startsWith('https:');
    // A development issuer without TLS cannot have the prefix.
    this.#cookie = this.#isHttps ? '__Host-csrf' : 'csrf';
  }

  /**
   * Puts `ctx.state.csrfToken` there for whoever renders a page; the cookie is set when it is read. Undefined on the
   * page that answers a POST without the cookie.
   */
  offer(): Middleware {
    return (ctx, next) => {
      let token: string | undefined;
      Object.defineProperty(ctx.state, 'csrfToken', {
        enumerable: true,
        configurable: true,
        get: () => {
          token ??= this.#tokenFor(ctx);
          return token;
        },
      });
      return next();
    };
  }

  /**
   * @param given the field `csrf`
   * @throws PageRefusal 403
   */
  check(ctx: Context, given: string | undefined): void {
    if (!this.#isOwnOrigin(ctx) || !this.#isOwnToken(ctx, given)) {
      throw new PageRefusal({ reason: 'expired', status: 403, code: 'csrf' });
    }
  }

  #isOwnOrigin(ctx: Context): boolean {
    const site = ctx.get('Sec-Fetch-Site');
    // `same-site` is another host of the domain, which may be anybody's. `none` is the person, sending a page again.
    if (site !== '' && site !== 'same-origin' && site !== 'none') return false;
    const origin = ctx.get('Origin');
    // Fetch §3.2: under our Referrer-Policy, no-referrer, our own forms say `null`; then the token decides.
    return origin === '' || origin === 'null' || origin === this.#origin;
  }

  #isOwnToken(ctx: Context, given: string | undefined): boolean {
    const cookie = this.#cookieOf(ctx);
    if (cookie === undefined || given === undefined || !VALUE.test(given)) return false;
    return timingSafeEqual(Buffer.from(given), Buffer.from(this.#tokenOf(cookie)));
  }

  #cookieOf(ctx: Context): string | undefined {
    const value = ctx.cookies.get(this.#cookie, { signed: false });
    return value !== undefined && VALUE.test(value) ? value : undefined;
  }

  /**
   * A POST never sets the cookie: that of another site comes without it (SameSite), and a new one would replace the
   * old under every form that is open in the victim's browser.
   */
  #tokenFor(ctx: Context): string | undefined {
    const cookie = this.#cookieOf(ctx) ?? (ctx.method === 'POST' ? undefined : this.#newCookie(ctx));
    return cookie === undefined ? undefined : this.#tokenOf(cookie);
  }

  #newCookie(ctx: Context): string {
    const value = randomBytes(32).toString('base64url');
    ctx.cookies.set(this.#cookie, value, {
      httpOnly: true,
      sameSite: 'lax',
      path: '/',
      secure: this.#isHttps,
      signed: false,
      overwrite: true,
    });
    return value;
  }

  #tokenOf(cookie: string): string {
    return createHmac('sha256', this.#key).update(cookie).digest('base64url');
  }
}
