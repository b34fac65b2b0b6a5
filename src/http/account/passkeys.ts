import type { Context } from 'koa';
import { isAppError } from '../../errors.js';
import { openChallenge, sealChallenge } from '../../users/passkey-challenge.js';
import {
  addPasskey,
  listPasskeys,
  passkeyRegistration,
  removePasskey,
  renamePasskey,
} from '../../users/passkeys.js';
import { frameOf, good, NOTHING_CHANGED, notFound, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Outcome, Show, Visitor } from './doorway.js';
import type { HostCookie } from './host-cookie.js';
import { firstRecoveryCodes } from './recovery-codes.js';

export const PASSKEYS_PATH = `${PATHS.security}/passkeys`;
export const REMOVE_PASSKEY_PATH = `${PASSKEYS_PATH}/remove`;

/** Milliseconds, as long as a challenge is good for. */
const KEPT_FOR = 30 * 60_000;

/** JSON for the page's script. The challenge comes back in a cookie that only this server can read. */
export async function passkeyOptions(
  { context, databaseNow }: AccountParts,
  cookie: HostCookie,
  ctx: Context,
  { user, session }: Visitor,
): Promise<string> {
  const options = await passkeyRegistration(context, user);
  const sealed = sealChallenge(
    context.envelope,
    options.challenge,
    placeOf(session.sessionId),
    databaseNow(),
  );
  cookie.set(ctx, sealed, KEPT_FOR);
  return JSON.stringify(options);
}

export function registerPasskey(parts: AccountParts, cookie: HostCookie): Act {
  return async (ctx, visitor, form) => {
    const { context, limiter, databaseNow } = parts;
    const { user, session, acting } = visitor;
    const place = placeOf(session.sessionId);
    const challenge = openChallenge(context.envelope, cookie.get(ctx) ?? '', place, databaseNow());
    if (challenge === undefined) return failed('passkey.failed');
    const name = form.text('name');
    const input = { userId: user.id, response: form.text('passkey'), challenge, name };
    try {
      const added = await addPasskey({ ...context, limiter }, input, acting);
      if (added === undefined) return failed('passkey.failed');
    } catch (error) {
      if (!isAppError(error, 'conflict')) throw error;
      return failed('passkey.exists');
    }
    const notice = good('passkey_added', { name });
    return (await firstRecoveryCodes(parts, visitor)) ?? { notice, to: PATHS.security };
  };
}

export function nameOfPasskey({ context }: AccountParts): Act {
  return async (_ctx, { user, acting }, form) => {
    const input = { userId: user.id, credentialId: form.text('credential_id'), name: form.text('name') };
    return orNothing(async () => {
      await renamePasskey(context, input, acting);
      return good('passkey_renamed');
    });
  };
}

/** Someone else's passkey is shown as little as one that does not exist. */
export function showPasskeyRemoval({ context, renderer }: AccountParts): Show {
  return async (ctx, visitor, shown) => {
    const { credential_id: credentialId } = ctx.query;
    const owned = await listPasskeys(context, visitor.user.id);
    const passkey = owned.find(each => each.credentialId === credentialId);
    if (passkey === undefined) throw notFound();
    renderer.render(ctx, 'account/confirm', {
      ...frameOf(visitor, REMOVE_PASSKEY_PATH, shown),
      act: 'remove_passkey',
      values: { name: passkey.name },
      hidden: { credential_id: passkey.credentialId, confirmed: 'yes' },
      cancelUrl: PATHS.security,
    });
  };
}

export function takePasskeyAway({ context }: AccountParts): Act {
  return async (_ctx, { user, acting }, form) => {
    const credentialId = form.text('credential_id');
    if (form.get('confirmed') !== 'yes') {
      return { to: `${REMOVE_PASSKEY_PATH}?${new URLSearchParams({ credential_id: credentialId })}` };
    }
    try {
      return await orNothing(async () => {
        await removePasskey(context, { userId: user.id, credentialId }, acting);
        return good('passkey_removed');
      });
    } catch (error) {
      if (!isAppError(error, 'conflict')) throw error;
      return { notice: { kind: 'stop', message: 'way.last' }, to: PATHS.security };
    }
  };
}

async function orNothing(change: () => Promise<ReturnType<typeof good>>): Promise<Outcome> {
  try {
    return { notice: await change(), to: PATHS.security };
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
    return { notice: NOTHING_CHANGED, to: PATHS.security };
  }
}

function failed(message: 'passkey.failed' | 'passkey.exists'): Outcome {
  return { faults: [{ field: '', message }] };
}

/** A challenge counts in the session whose page showed it. */
function placeOf(sessionId: string): string {
  return `account:${sessionId}`;
}
