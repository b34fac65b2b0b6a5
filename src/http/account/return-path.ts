import { PATHS } from './account-page.js';

const LONGEST = 512;

/**
 * Where a visitor comes back to after signing in. It went out in `state` and could have been replaced on the way, so
 * it is judged like anything else from outside: a page of the account, and never another site.
 */
export function returnPathOf(state: unknown): string {
  if (typeof state !== 'string' || state.length > LONGEST) return PATHS.overview;
  return /^\/account(?:\/[a-z-]+)*(?:\?[\w.~%&=+-]*)?$/.test(state) ? state : PATHS.overview;
}
