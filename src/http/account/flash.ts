import { timingSafeEqual } from 'node:crypto';
import type { Context } from 'koa';
import type { SecretHasher } from '../../crypto/secret-hash.js';
import type { Notice } from '../view-models.js';
import { HostCookie } from './host-cookie.js';

/** Milliseconds: as long as a redirect takes, on a slow line. */
const SHOWN_FOR = 60_000;
const CONTEXT = 'flash';
/** Browsers keep 4096 bytes a cookie. */
const LONGEST = 2_000;

/**
 * What is said once on the page after a form was sent, carried by the browser: no node has to remember it. Signed,
 * and bound to the person, so that nobody else's cookie puts words of ours on their page.
 */
export class Flash {
  readonly #hasher: SecretHasher;
  readonly #now: () => number;
  readonly #cookie: HostCookie;

  /** @param now the database's clock as this node knows it, milliseconds. */
  constructor(hasher: SecretHasher, now: () => number, isHttps: boolean) {
    this.#hasher = hasher;
    this.#now = now;
    this.#cookie = new HostCookie('flash', isHttps);
  }

  set(ctx: Context, userId: string, notice: Notice): void {
    const body = Buffer.from(JSON.stringify([this.#now() + SHOWN_FOR, notice])).toString('base64url');
    this.#cookie.set(ctx, `${body}.${this.#mac(userId, body)}`, SHOWN_FOR);
  }

  /** Read once: it is gone from the browser with this answer. */
  take(ctx: Context, userId: string): Notice | undefined {
    const value = this.#cookie.get(ctx);
    if (value === undefined) return undefined;
    this.#cookie.clear(ctx);
    const [body = '', mac = ''] = value.slice(0, LONGEST).split('.');
    const expected = Buffer.from(this.#mac(userId, body));
    const given = Buffer.from(mac);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    const [until, notice] = JSON.parse(Buffer.from(body, 'base64url').toString('utf8')) as [number, Notice];
    return until > this.#now() ? notice : undefined;
  }

  #mac(userId: string, body: string): string {
    return this.#hasher.hashOf(CONTEXT, `${userId}\0${body}`);
  }
}
