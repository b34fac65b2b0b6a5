import { PATHS } from './account-page.js';
import { SEND_AGAIN } from './doorway.js';

const LONGEST = 512;

export interface ReturnPath {
  readonly path: string;
  readonly wasForm: boolean;
}

/**
 * Where a visitor comes back to after signing in. It went out in `state` and could have been replaced on the way, so
 * it is judged like anything else from outside: a page of the account, and never another site.
 */
export function returnPathOf(state: unknown): ReturnPath {
  const elsewhere = { path: PATHS.overview, wasForm: false };
  if (typeof state !== 'string' || state.length > LONGEST) return elsewhere;
  const wasForm = state.endsWith(SEND_AGAIN);
  const path = wasForm ? state.slice(0, -SEND_AGAIN.length) : state;
  return /^\/account(?:\/[\w-]+)*(?:\?[\w.~%&=+-]*)?$/.test(path) ? { path, wasForm } : elsewhere;
}
