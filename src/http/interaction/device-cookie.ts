import type { Context } from 'koa';
import { newDeviceToken } from '../../users/known-devices.js';
import { HostCookie } from '../account/host-cookie.js';

/** Milliseconds; as long as a browser keeps any cookie. */
const KEPT_FOR = 400 * 24 * 3_600_000;
const TOKEN = /^[0-9A-Za-z]{43}$/;

/** Tells a browser in which its owner has signed in before. It opens nothing by itself. */
export class DeviceCookie {
  readonly #cookie: HostCookie;

  constructor(issuer: string) {
    this.#cookie = new HostCookie('device', issuer.startsWith('https:'));
  }

  get(ctx: Context): string | undefined {
    const token = this.#cookie.get(ctx);
    return token !== undefined && TOKEN.test(token) ? token : undefined;
  }

  /**
   * The one that is there, kept for longer, if the person who has just signed in has got it before; otherwise a new
   * one. Somebody who used this browser earlier, or put the cookie there, may have kept a copy, and would have the
   * person's known device at home.
   */
  async renew(ctx: Context, isOwn: (token: string) => Promise<boolean>): Promise<string> {
    const held = this.get(ctx);
    const token = held !== undefined && (await isOwn(held)) ? held : newDeviceToken();
    this.#cookie.set(ctx, token, KEPT_FOR);
    return token;
  }
}
