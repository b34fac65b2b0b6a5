import { isAppError } from '../../errors.js';
import {
  confirmTotp,
  enrolTotp,
  removeTotp,
  resumeTotpEnrolment,
  type TotpEnrolment,
} from '../../users/totp.js';
import { frameOf, good, NOTHING_CHANGED, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Show, Visitor } from './doorway.js';
import type { HostCookie } from './host-cookie.js';
import { firstRecoveryCodes } from './recovery-codes.js';

export const TOTP_PATH = `${PATHS.security}/totp`;
export const REMOVE_TOTP_PATH = `${TOTP_PATH}/remove`;

/** Milliseconds, as long as an enrolment is good for. */
const KEPT_FOR = 15 * 60_000;

/** The page with the code to scan. The secret is stored when a code of it was typed, and travels sealed until then. */
export function showTotp({ context, renderer }: AccountParts, cookie: HostCookie): Show {
  return async (ctx, { user }, { faults, notice }) => {
    const begun = await resumed(context, user, cookie.get(ctx));
    const { enrolling, secret, qrSvg } = begun ?? (await enrolTotp(context, user));
    cookie.set(ctx, enrolling, KEPT_FOR);
    // After a wrong code of a secret that is gone there is nothing to correct: the new one is scanned first.
    const shown = begun === undefined ? [] : faults;
    renderer.render(ctx, 'enrol-totp', {
      action: `${TOTP_PATH}/confirm`,
      faults: shown,
      notice,
      secret,
      qrSvg,
    });
  };
}

/** Begins anew: what was scanned in an earlier attempt must not count by accident. */
export function beginTotp(cookie: HostCookie): Act {
  return async ctx => {
    cookie.clear(ctx);
    return { to: TOTP_PATH };
  };
}

export function addTotp(parts: AccountParts, cookie: HostCookie): Act {
  return async (ctx, visitor, form) => {
    const { context } = parts;
    const { user, acting } = visitor;
    const enrolling = cookie.get(ctx) ?? '';
    if ((await resumed(context, user, enrolling)) === undefined) return { to: TOTP_PATH };
    const code = form.text('code');
    if (code.trim() === '') return { faults: [{ field: 'code', message: 'code.required' }] };
    if (!(await confirmTotp(context, { userId: user.id, enrolling, code }, acting))) {
      return { faults: [{ field: 'code', message: 'code.wrong' }] };
    }
    cookie.clear(ctx);
    const notice = good('totp_added');
    return (await firstRecoveryCodes(parts, visitor)) ?? { notice, to: PATHS.security };
  };
}

export function showTotpRemoval({ renderer }: AccountParts): Show {
  return async (ctx, visitor, shown) => {
    renderer.render(ctx, 'account/confirm', {
      ...frameOf(visitor, REMOVE_TOTP_PATH, shown),
      act: 'remove_totp',
      values: {},
      hidden: { confirmed: 'yes' },
      cancelUrl: PATHS.security,
    });
  };
}

export function takeTotpAway({ context }: AccountParts): Act {
  return async (_ctx, { user, acting }, form) => {
    if (form.get('confirmed') !== 'yes') return { to: REMOVE_TOTP_PATH };
    const wasThere = await removeTotp(context, user.id, acting);
    return { notice: wasThere ? good('totp_removed') : NOTHING_CHANGED, to: PATHS.security };
  };
}

/** Undefined for one that is expired, of somebody else, or not ours: the browser could hold anything. */
async function resumed(
  context: AccountParts['context'],
  user: Visitor['user'],
  enrolling: string | undefined,
): Promise<TotpEnrolment | undefined> {
  if (enrolling === undefined || enrolling === '') return undefined;
  try {
    return await resumeTotpEnrolment(context, user, enrolling);
  } catch (error) {
    if (!isAppError(error, 'sealed_value_damaged')) throw error;
    return undefined;
  }
}
