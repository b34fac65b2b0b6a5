import { shortestPassword } from '../../users/password-policy.js';
import { countTrustedDevices, forgetTrustedDevices } from '../../users/trusted-devices.js';
import { frameOf, good, NOTHING_CHANGED, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Act, Show } from './doorway.js';
import type { HostCookie } from './host-cookie.js';
import { passkeyOptions } from './passkeys.js';

export function showSecurity(parts: AccountParts, passkeyCookie: HostCookie): Show {
  return async (ctx, visitor, shown) => {
    const { context, renderer, signIn, federation } = parts;
    const { user } = visitor;
    const { passkeys, recoveryCodesLeft } = await signIn.factorsOf(user);
    const identities = await federation.identitiesOf(user.id);
    const linked = new Set(identities.map(({ provider }) => provider));
    const linkableUpstreams = federation.providers.filter(({ id }) => !linked.has(id));
    renderer.render(ctx, 'account/security', {
      ...frameOf(visitor, PATHS.security, shown),
      passwordChangedAt: user.passwordChangedAt,
      hasPassword: user.hasPassword,
      passwordMinLength: shortestPassword(visitor.hasSecondFactor),
      hasTotp: user.hasTotp,
      recoveryCodesLeft,
      trustedDevices: await countTrustedDevices(context, user.id),
      passkeys,
      identities: identities.map(({ provider, providerName, createdAt }) => ({
        provider,
        name: providerName,
        createdAt,
      })),
      linkableUpstreams,
      passkeyOptions: await passkeyOptions(parts, passkeyCookie, ctx, visitor),
    });
  };
}

/** Without a fresh sign-in: it only adds to what is asked for, and whoever lost a device is in a hurry. */
export function forgetDevices({ context }: AccountParts): Act {
  return async (_ctx, { user, acting }) => {
    const count = await forgetTrustedDevices(context, user.id, acting);
    return { notice: count === 0 ? NOTHING_CHANGED : good('devices_forgotten', { count }) };
  };
}
