import type { GrantedAccess } from './consent-store.js';
import type { RequestedAccess } from './requested-access.js';

interface CoreGrant {
  addOIDCScope(scope: string): void;
  addOIDCClaims(claims: string[]): void;
  addResourceScope(resource: string, scope: string): void;
  rejectOIDCScope(scope: string): void;
  rejectOIDCClaims(claims: string[]): void;
  rejectResourceScope(resource: string, scope: string): void;
}

export function addAccess(grant: CoreGrant, access: GrantedAccess): void {
  if (access.oidcScopes.length > 0) grant.addOIDCScope(access.oidcScopes.join(' '));
  if (access.claims.length > 0) grant.addOIDCClaims([...access.claims]);
  for (const [identifier, scopes] of Object.entries(access.resources)) {
    if (scopes.length > 0) grant.addResourceScope(identifier, scopes.join(' '));
  }
}

/** What was asked for and not allowed is remembered for this grant, or the person would be asked again at once. */
export function rejectRest(grant: CoreGrant, asked: RequestedAccess, granted: GrantedAccess): void {
  const scopes = asked.oidcScopes.filter(scope => !granted.oidcScopes.includes(scope));
  if (scopes.length > 0) grant.rejectOIDCScope(scopes.join(' '));
  const claims = asked.claims.filter(claim => !granted.claims.includes(claim));
  if (claims.length > 0) grant.rejectOIDCClaims(claims);
  for (const { identifier, scopes: wanted } of asked.resources) {
    const rest = wanted.filter(scope => !(granted.resources[identifier] ?? []).includes(scope));
    if (rest.length > 0) grant.rejectResourceScope(identifier, rest.join(' '));
  }
}

/** Earlier answers stand for what was not asked about this time. */
export function withEarlier(
  granted: GrantedAccess,
  earlier: GrantedAccess | undefined,
  asked: RequestedAccess,
): GrantedAccess {
  if (earlier === undefined) return granted;
  const join = (now: readonly string[], before: readonly string[], about: readonly string[]): string[] => [
    ...new Set([...now, ...before.filter(each => !about.includes(each))]),
  ];
  const resources: Record<string, readonly string[]> = { ...earlier.resources };
  for (const { identifier, scopes } of asked.resources) {
    resources[identifier] = join(
      granted.resources[identifier] ?? [],
      earlier.resources[identifier] ?? [],
      scopes,
    );
  }
  return {
    oidcScopes: join(granted.oidcScopes, earlier.oidcScopes, asked.oidcScopes),
    claims: join(granted.claims, earlier.claims, asked.claims),
    resources,
  };
}

export function scopesOf(access: GrantedAccess): string[] {
  return [...access.oidcScopes, ...Object.values(access.resources).flat()];
}
