import { PageRefusal } from '../page-refusal.js';
import type { Shown, Visitor } from './doorway.js';

/** Below the issuer. Where each tab is; its forms post to addresses below it. */
export const PATHS = {
  overview: '/account',
  profile: '/account/profile',
  security: '/account/security',
  access: '/account/access',
  sessions: '/account/sessions',
  activity: '/account/activity',
  requests: '/account/requests',
  callback: '/account/callback',
  signOut: '/account/sign-out',
  upstreamCallback: '/federation/account-callback',
} as const;

/** What every page of the account shows. */
export function frameOf({ user }: Visitor, action: string, { faults, notice }: Shown) {
  return { email: user.email, signOutUrl: PATHS.signOut, action, faults, notice };
}

export function good(message: string, values?: Readonly<Record<string, string | number>>) {
  return { kind: 'good', message: `notice.${message}`, values } as const;
}

/** It was so already: another tab, or the same button twice. */
export const NOTHING_CHANGED = { kind: 'note', message: 'notice.nothing_changed' } as const;

/** Somebody else's and what does not exist look the same. */
export function notFound(): PageRefusal {
  const next = { url: PATHS.overview, label: 'next.account' };
  return new PageRefusal({ reason: 'not_found', status: 404, code: 'not_found', next });
}
