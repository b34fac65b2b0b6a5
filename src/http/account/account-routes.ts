import type { Form } from '../form-body.js';
import { PageRefusal } from '../page-refusal.js';
import { type Answer, type PageRouteParts, pageRoute } from '../page-route.js';
import type { Route } from '../router.js';
import { showAccess, withdrawAccess } from './access.js';
import { PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import { showActivity } from './activity.js';
import { DELETE_PATH, deleteAccount, showDeletion } from './delete-account.js';
import { Doorway } from './doorway.js';
import { HostCookie } from './host-cookie.js';
import { beginLink, finishLink, IDENTITIES_PATH, showUnlink, UNLINK_PATH, unlink } from './identities.js';
import { showOverview } from './overview.js';
import {
  nameOfPasskey,
  PASSKEYS_PATH,
  REMOVE_PASSKEY_PATH,
  registerPasskey,
  showPasskeyRemoval,
  takePasskeyAway,
} from './passkeys.js';
import { changePassword } from './password.js';
import { changeEmail, exportProfile, saveProfile, sendVerification, showProfile } from './profile.js';
import { renewRecoveryCodes } from './recovery-codes.js';
import { answerRequest, REQUEST_PATH, requestPathOf, showRequest, showRequests } from './requests.js';
import { returnPathOf } from './return-path.js';
import { forgetDevices, showSecurity } from './security.js';
import { endOtherSessions, endSession, showSessions } from './sessions.js';
import { Summaries } from './summaries.js';
import {
  addTotp,
  beginTotp,
  REMOVE_TOTP_PATH,
  showTotp,
  showTotpRemoval,
  TOTP_PATH,
  takeTotpAway,
} from './totp.js';

/** Changes of what opens the account, or its end: only for who has just signed in (OWASP ASVS 5 §7.5.1). */
const SENSITIVE = { isSensitive: true };
const SENSITIVE_ACT = { isSensitive: () => true };
/** The first click only leads to the page that says what happens, which asks for itself and is come back to. */
const SENSITIVE_ONCE_CONFIRMED = { isSensitive: (form: Form) => form.get('confirmed') === 'yes' };

/** Every page that people have about themselves. */
export function accountRoutes(parts: AccountParts, pages: PageRouteParts): Map<string, Route> {
  const doorway = new Doorway(parts);
  const summaries = new Summaries(parts);
  const cookie = (name: string) => new HostCookie(name, parts.context.config.issuer.startsWith('https:'));
  const [passkey, enrolling, upstream] = [cookie('passkey'), cookie('enrolling'), cookie('upstream')];

  const overview = showOverview(parts, summaries);
  const profile = showProfile(parts);
  const security = showSecurity(parts, passkey);
  const access = showAccess(parts, summaries);
  const sessions = showSessions(parts, summaries);
  const deletion = showDeletion(parts);
  const totp = showTotp(parts, enrolling);
  const totpRemoval = showTotpRemoval(parts);
  const passkeyRemoval = showPasskeyRemoval(parts);
  const unlinking = showUnlink(parts);
  const request = showRequest(parts);

  const answers: Record<string, { readonly get?: Answer; readonly post?: Answer }> = {
    [PATHS.overview]: { get: doorway.page(PATHS.overview, overview) },

    [PATHS.profile]: {
      get: doorway.page(PATHS.profile, profile),
      post: doorway.act(PATHS.profile, profile, saveProfile(parts)),
    },
    [`${PATHS.profile}/email`]: {
      post: doorway.act(PATHS.profile, profile, changeEmail(parts), SENSITIVE_ACT),
    },
    [`${PATHS.profile}/verify`]: { post: doorway.act(PATHS.profile, profile, sendVerification(parts)) },
    [`${PATHS.profile}/export`]: {
      post: doorway.act(PATHS.profile, profile, exportProfile(parts), SENSITIVE_ACT),
    },
    [DELETE_PATH]: {
      get: doorway.page(DELETE_PATH, deletion, SENSITIVE),
      post: doorway.act(DELETE_PATH, deletion, deleteAccount(parts), SENSITIVE_ONCE_CONFIRMED),
    },

    [PATHS.security]: { get: doorway.page(PATHS.security, security) },
    [`${PATHS.security}/password`]: {
      post: doorway.act(PATHS.security, security, changePassword(parts), SENSITIVE_ACT),
    },
    [TOTP_PATH]: {
      get: doorway.page(TOTP_PATH, totp, SENSITIVE),
      // Only leads to the page, which asks for itself.
      post: doorway.act(TOTP_PATH, totp, beginTotp(enrolling)),
    },
    [`${TOTP_PATH}/confirm`]: {
      post: doorway.act(TOTP_PATH, totp, addTotp(parts, enrolling), SENSITIVE_ACT),
    },
    [REMOVE_TOTP_PATH]: {
      get: doorway.page(REMOVE_TOTP_PATH, totpRemoval, SENSITIVE),
      post: doorway.act(REMOVE_TOTP_PATH, totpRemoval, takeTotpAway(parts), SENSITIVE_ONCE_CONFIRMED),
    },
    [`${PATHS.security}/devices/forget`]: {
      post: doorway.act(PATHS.security, security, forgetDevices(parts)),
    },
    [`${PATHS.security}/recovery-codes`]: {
      post: doorway.act(PATHS.security, security, renewRecoveryCodes(parts), SENSITIVE_ACT),
    },
    [PASSKEYS_PATH]: {
      post: doorway.act(PATHS.security, security, registerPasskey(parts, passkey), SENSITIVE_ACT),
    },
    [`${PASSKEYS_PATH}/rename`]: {
      post: doorway.act(PATHS.security, security, nameOfPasskey(parts)),
    },
    [REMOVE_PASSKEY_PATH]: {
      get: doorway.page(REMOVE_PASSKEY_PATH, passkeyRemoval, SENSITIVE),
      post: doorway.act(PATHS.security, security, takePasskeyAway(parts), SENSITIVE_ONCE_CONFIRMED),
    },
    [`${IDENTITIES_PATH}/link`]: {
      post: doorway.act(PATHS.security, security, beginLink(parts, upstream), SENSITIVE_ACT),
    },
    [`${PATHS.upstreamCallback}/*`]: {
      get: doorway.act(PATHS.security, security, finishLink(parts, upstream)),
    },
    [UNLINK_PATH]: {
      get: doorway.page(UNLINK_PATH, unlinking, SENSITIVE),
      post: doorway.act(PATHS.security, security, unlink(parts), SENSITIVE_ONCE_CONFIRMED),
    },

    [PATHS.access]: { get: doorway.page(PATHS.access, access) },
    [`${PATHS.access}/withdraw`]: { post: doorway.act(PATHS.access, access, withdrawAccess(parts)) },
    [PATHS.sessions]: { get: doorway.page(PATHS.sessions, sessions) },
    [`${PATHS.sessions}/end`]: { post: doorway.act(PATHS.sessions, sessions, endSession(parts)) },
    [`${PATHS.sessions}/end-others`]: {
      post: doorway.act(PATHS.sessions, sessions, endOtherSessions(parts)),
    },
    [PATHS.requests]: { get: doorway.page(PATHS.requests, showRequests(parts)) },
    [REQUEST_PATH]: {
      get: doorway.page(requestPathOf, request, SENSITIVE),
      post: doorway.act(requestPathOf, request, answerRequest(parts), SENSITIVE_ACT),
    },
    [PATHS.activity]: { get: doorway.page(PATHS.activity, showActivity(parts, summaries)) },

    [PATHS.signOut]: { get: showSignedOut(parts, doorway), post: signOut(parts, doorway) },
    [PATHS.callback]: { get: arrive(doorway) },
  };
  return new Map(
    Object.entries(answers).map(([path, { get = toTab(doorway, path), post }]) => [
      path,
      pageRoute(pages, { get, post }),
    ]),
  );
}

/** The address of a form that is no page: a reload or the language switch comes to the page it stands on. */
function toTab(doorway: Doorway, path: string): Answer {
  const tab = path.split('/').slice(0, 3).join('/');
  return ctx => doorway.redirect(ctx, tab);
}

/** Out of this browser and, by back-channel logout, of every client that was signed in to here. */
function signOut({ sessions }: AccountParts, doorway: Doorway): Answer {
  return async ctx => {
    await sessions.signOut(ctx);
    doorway.redirect(ctx, PATHS.signOut);
  };
}

function showSignedOut({ renderer, sessions }: AccountParts, doorway: Doorway): Answer {
  return async ctx => {
    // Typed by hand, or a link from somewhere: nobody has signed out.
    if ((await sessions.current(ctx)) !== undefined) return doorway.redirect(ctx, PATHS.overview);
    renderer.render(ctx, 'message', {
      title: 'message.signed_out.title',
      text: 'message.signed_out.text',
      isGood: true,
      next: { url: PATHS.overview, label: 'next.sign_in_again' },
    });
  };
}

/** Back from signing in. That it succeeded is seen by the page itself, from the session. */
function arrive(doorway: Doorway): Answer {
  return ctx => {
    if (ctx.query.error === undefined) {
      const { path, wasForm } = returnPathOf(ctx.query.state);
      return doorway.arrive(ctx, path, wasForm);
    }
    const next = { url: PATHS.overview, label: 'next.account' };
    throw new PageRefusal({ reason: 'stopped', status: 400, code: 'access_denied', next });
  };
}
