import { type Account, errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { ClientRecord } from '../clients/client.js';
import type { Config } from '../config/config.js';
import type { RecordCache } from '../database/record-cache.js';
import { IDENTITY_SCOPES } from '../protocol.js';
import { isActive, type User } from '../users/user.js';
import type { RecordOf } from './client-adapter.js';

/** OpenID Connect Core §5.4, and ours: the claims that each scope brings. */
const CLAIMS_BY_SCOPE: Readonly<Record<string, readonly string[]>> = {
  openid: ['sub'],
  profile: [
    'name',
    'family_name',
    'given_name',
    'middle_name',
    'nickname',
    'preferred_username',
    'profile',
    'picture',
    'website',
    'gender',
    'birthdate',
    'zoneinfo',
    'locale',
    'updated_at',
  ],
  email: ['email', 'email_verified'],
  address: ['address'],
  phone: ['phone_number', 'phone_number_verified'],
  groups: ['groups'],
};

/** Scopes of OpenID Connect and those by which the operator hands out custom claims: not of any resource server. */
export function identityScopes(config: Pick<Config, 'users'>): string[] {
  return [...new Set([...IDENTITY_SCOPES, ...customClaims(config).map(({ scope }) => scope)])];
}

/** `users.claimScopes`: each entry `scope:claim`. */
function customClaims({ users }: Pick<Config, 'users'>): { scope: string; claim: string }[] {
  return users.claimScopes.map(entry => {
    const [scope = '', claim = ''] = entry.split(':');
    return { scope, claim };
  });
}

/** For the core: which claims each scope brings. */
export function claimsByScope(config: Pick<Config, 'users'>): Record<string, null | string[]> {
  const claims: Record<string, null | string[]> = {
    acr: null,
    amr: null,
    auth_time: null,
    iss: null,
    sid: null,
  };
  for (const [scope, names] of Object.entries(CLAIMS_BY_SCOPE)) claims[scope] = [...names];
  for (const { scope, claim } of customClaims(config)) {
    claims[scope] = [...new Set([...(claims[scope] ?? []), claim])];
  }
  return claims;
}

/** Every claim that some scope brings, and those of the ID token itself. */
export function supportedClaims(config: Pick<Config, 'users'>): string[] {
  const byScope = Object.entries(claimsByScope(config));
  return [...new Set(byScope.flatMap(([name, claims]) => claims ?? [name]))];
}

/** Which users may use this client. */
export function mayUseClient(user: User, { allowedUsers }: ClientRecord): boolean {
  if (allowedUsers === 'all') return true;
  return (
    allowedUsers.userIds.includes(user.id) || allowedUsers.groups.some(group => user.groups.includes(group))
  );
}

/** People as the core knows them. Undefined for everybody whom nothing may be issued for: the core refuses the rest. */
export class Accounts {
  readonly #users: RecordCache<User>;
  readonly #recordOf: RecordOf;
  readonly #customClaims: readonly string[];

  constructor(users: RecordCache<User>, recordOf: RecordOf, config: Pick<Config, 'users'>) {
    this.#users = users;
    this.#recordOf = recordOf;
    this.#customClaims = customClaims(config).map(({ claim }) => claim);
  }

  readonly find = async (
    ctx: KoaContextWithOIDC,
    userId: string,
    token?: unknown,
  ): Promise<Account | undefined> => {
    const user = this.#users.peek(userId) ?? (await this.#users.find(userId));
    if (user === undefined || !isActive(user)) return undefined;
    const { client } = ctx.oidc;
    // At the authorization endpoint the client is told (access_denied); a token that exists already is simply dead.
    if (client !== undefined && !mayUseClient(user, this.#recordOf(client))) {
      if (token !== undefined) return undefined;
      throw new errors.AccessDenied('this person may not use this client', 'user not allowed');
    }
    return { accountId: user.id, claims: () => ({ sub: user.id, ...this.#claimsOf(user) }) };
  };

  #claimsOf(user: User): Record<string, unknown> {
    const custom = Object.fromEntries(
      this.#customClaims
        .map(name => [name, user.customClaims[name]] as const)
        .filter(([, value]) => value !== undefined),
    );
    return {
      ...custom,
      ...user.profile,
      email: user.email,
      email_verified: user.emailVerifiedAt !== undefined,
      groups: [...user.groups],
      updated_at: Math.floor(user.updatedAt / 1000),
    };
  }
}
