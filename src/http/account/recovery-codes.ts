import { makeRecoveryCodes, recoveryCodesLeft } from '../../users/recovery-codes.js';
import { PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Outcome, Visitor } from './doorway.js';

/** Shown in the answer itself, once: they must not be kept anywhere to be shown by the next page. */
export function renewRecoveryCodes(parts: AccountParts): Act {
  return (_ctx, visitor) => shown(parts, visitor);
}

/** With the first factor come the codes for the day it is lost. Undefined: there are some already. */
export async function firstRecoveryCodes(
  parts: AccountParts,
  visitor: Visitor,
): Promise<Outcome | undefined> {
  if ((await recoveryCodesLeft(parts.context, visitor.user.id)) > 0) return undefined;
  return shown(parts, visitor);
}

async function shown({ context, renderer }: AccountParts, { user, acting }: Visitor): Promise<Outcome> {
  const codes = await makeRecoveryCodes(context, user.id, acting);
  return { page: ctx => renderer.render(ctx, 'recovery-codes', { codes, continueUrl: PATHS.security }) };
}
