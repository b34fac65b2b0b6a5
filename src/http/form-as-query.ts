import type { Middleware } from 'koa';
import { isForm, readText } from './form-body.js';
import { PageRefusal } from './page-refusal.js';

/** As long as an address may be, with room for the rest of it. */
const LONGEST_FORM = 8000;
/** What a browser makes of a form: nothing in it needs to be encoded once more. */
const ENCODED = /^[\x21\x24-\x3b\x3d\x3f-\x7e]*$/;

/**
 * OpenID Connect Core §3.1.2.1 and RP-Initiated Logout 1.0 §2 want POST, too. A form that another site sends carries no
 * SameSite=Lax cookie, so whoever is signed in would look like a stranger; the cookies come along when the browser
 * is asked to come back with a GET. The parameters stay as they are, also those that are given twice.
 *
 * @param address of the endpoint, with the issuer's path
 */
export function formAsQuery(address: string): Middleware {
  return async (ctx, next) => {
    if (ctx.method !== 'POST') return next();
    const form = isForm(ctx.get('Content-Type')) ? await readText(ctx, LONGEST_FORM) : undefined;
    if (form === undefined || !ENCODED.test(form)) {
      throw new PageRefusal({ reason: 'stopped', status: 400, code: 'invalid_request' });
    }
    ctx.redirect(`${address}?${form}`);
    // RFC 9110 §15.4.4: the next request is a GET.
    ctx.status = 303;
  };
}
