import { normalizedPassword } from '../../users/password-policy.js';
import { minutesOf, setPassword } from '../../users/set-password.js';
import { DeviceCookie } from '../interaction/device-cookie.js';
import type { FieldFault } from '../view-models.js';
import { good } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Visitor } from './doorway.js';

/** Every other session ends with it: whoever is inside with the old password is out. */
export function changePassword(parts: AccountParts): Act {
  const devices = new DeviceCookie(parts.context.config.issuer);
  return async (ctx, visitor, form) => {
    const { user, acting } = visitor;
    const password = form.text('password');
    // Whoever sends the old one while its owner sets a new one must not have the last word.
    const provedAt = await parts.context.database.now();
    if (user.hasPassword) {
      const current = form.text('current_password');
      const fault = await faultOfCurrent(parts, visitor, current, devices.get(ctx));
      if (fault !== undefined) return { faults: [fault] };
      if (normalizedPassword(password) === normalizedPassword(current)) {
        return { faults: [{ field: 'password', message: 'password.same' }] };
      }
    }
    await setPassword(parts.context, { userId: user.id, password, provedAt }, acting);
    return { notice: good(user.hasPassword ? 'password_changed' : 'password_set') };
  };
}

/**
 * A guess here counts as much as one at the door: an unlocked browser is no way around the limits. It counts for this
 * device, so that strangers who guess elsewhere do not keep the owner from changing the password.
 */
async function faultOfCurrent(
  { signIn }: AccountParts,
  { user, acting: { facts } }: Visitor,
  password: string,
  deviceToken: string | undefined,
): Promise<FieldFault | undefined> {
  const field = 'current_password';
  if (password === '') return { field, message: 'password.required' };
  if (facts === undefined) throw new TypeError('a request has facts');
  const answer = await signIn.password({ email: user.email, password, facts, deviceToken });
  if (answer.status === 'accepted' && answer.user.id === user.id) return undefined;
  if (answer.status !== 'throttled') return { field, message: 'password.wrong' };
  // A pause has no end to wait for.
  if (answer.isPaused) return { field, message: 'sign_in.paused' };
  return { field, message: 'sign_in.throttled', values: { minutes: minutesOf(answer.retryAfter) } };
}
