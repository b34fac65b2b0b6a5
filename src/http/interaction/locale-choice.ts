import type { Context } from 'koa';
import { formOf } from '../form-body.js';
import { isLocale, LOCALE_COOKIE } from '../locale.js';
import { seeOther } from '../page-route.js';

/** Milliseconds; as long as a browser keeps any cookie. */
const KEPT_FOR = 400 * 24 * 3_600_000;

/** The language switch of every page. */
export function chooseLocale(issuer: string): (ctx: Context) => void {
  return ctx => {
    const form = formOf(ctx);
    const locale = form.get('locale');
    if (isLocale(locale)) {
      // Signed or not as its reader expects it: by the default of whoever holds the cookie keys.
      ctx.cookies.set(LOCALE_COOKIE, locale, {
        httpOnly: true,
        sameSite: 'lax',
        path: '/',
        maxAge: KEPT_FOR,
        overwrite: true,
      });
    }
    seeOther(ctx, localTarget(issuer, form.text('return_to')));
  };
}

/**
 * The page it was chosen on, or the account: only an address of ours, whatever the form says. Browsers read `\` as `/`
 * and skip tabs and newlines, so `/\evil.example` and `/<tab>/evil.example` are addresses elsewhere.
 */
export function localTarget(issuer: string, returnTo: string): string {
  const { origin, pathname: base } = new URL(issuer);
  const prefix = base.replace(/\/$/, '');
  const fallback = `${origin}${prefix}/account`;
  if (!/^\/(?!\/)[\x21-\x5B\x5D-\x7E]*$/.test(returnTo) || !URL.canParse(returnTo, origin)) return fallback;
  const target = new URL(returnTo, origin);
  // After `..` and percent signs were resolved.
  const isOurs = target.origin === origin && target.pathname.startsWith(`${prefix}/`);
  if (!isOurs || target.pathname.startsWith('//')) return fallback;
  // The address would win over what was just chosen.
  target.searchParams.delete('ui_locales');
  return `${origin}${target.pathname}${target.search}`;
}
