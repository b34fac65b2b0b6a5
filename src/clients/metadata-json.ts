import type { AuditDetail } from '../audit/events.js';
import type { SharedValues } from '../database/shared-values.js';
import { type AllowedUsers, type ClientMetadata, STANDARD_METADATA } from './client-metadata.js';

/** Names on the wire and in the database: those of RFC 7591 and OpenID Connect where there is one. */
const WIRE_NAMES: Readonly<Record<keyof ClientMetadata, string>> = {
  applicationType: 'application_type',
  redirectUris: 'redirect_uris',
  postLogoutRedirectUris: 'post_logout_redirect_uris',
  responseModes: 'response_modes',
  requirePkce: 'require_pkce',
  requirePar: 'require_pushed_authorization_requests',
  isFirstParty: 'first_party',
  oidcScopes: 'oidc_scopes',
  alwaysIssueRefreshToken: 'always_refresh',
  subjectType: 'subject_type',
  sectorIdentifier: 'sector_identifier',
  idTokenSignedResponseAlg: 'id_token_signed_response_alg',
  userinfoSignedResponseAlg: 'userinfo_signed_response_alg',
  authorizationSignedResponseAlg: 'authorization_signed_response_alg',
  requestObjectSigningAlg: 'request_object_signing_alg',
  jwks: 'jwks',
  dpopBound: 'dpop_bound_access_tokens',
  backchannelLogoutUri: 'backchannel_logout_uri',
  backchannelLogoutSessionRequired: 'backchannel_logout_session_required',
  defaultMaxAge: 'default_max_age',
  requireAuthTime: 'require_auth_time',
  defaultAcrValues: 'default_acr_values',
  clientUri: 'client_uri',
  logoUri: 'logo_uri',
  policyUri: 'policy_uri',
  tosUri: 'tos_uri',
  initiateLoginUri: 'initiate_login_uri',
  contacts: 'contacts',
  allowedUsers: 'allowed_users',
  corsOrigins: 'cors_origins',
  refreshTokenIdleAfter: 'refresh_token_idle_after',
  refreshTokenEndAfter: 'refresh_token_end_after',
};

const FIELDS = Object.entries(WIRE_NAMES) as readonly [keyof ClientMetadata, string][];

function wireUsers(users: AllowedUsers): unknown {
  return users === 'all' ? users : { groups: users.groups, user_ids: users.userIds };
}

function usersOf(stored: unknown): AllowedUsers {
  const { groups, user_ids: userIds } = stored as { groups: string[]; user_ids: string[] };
  return { groups, userIds };
}

/** All of it by its wire names; what is not set is null. */
export function metadataJson(metadata: ClientMetadata): Record<string, unknown> {
  return Object.fromEntries(
    FIELDS.map(([field, name]) => [
      name,
      field === 'allowedUsers' ? wireUsers(metadata.allowedUsers) : (metadata[field] ?? null),
    ]),
  );
}

/** For the audit log: what differs from a client that says nothing, in texts and lists of texts. */
export function metadataDetail(metadata: ClientMetadata): AuditDetail {
  const stored = JSON.parse(storedMetadata(metadata)) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(stored).map(([name, value]) => {
      const isList = Array.isArray(value) && value.every(entry => typeof entry === 'string');
      const isPlain = isList || typeof value !== 'object' || value === null;
      return [name, (isPlain ? value : JSON.stringify(value)) as AuditDetail[string]];
    }),
  );
}

/** As stored: only what differs from a client that says nothing, so that most rows hold `{}`. */
export function storedMetadata(metadata: ClientMetadata): string {
  const [all, standard] = [metadataJson(metadata), metadataJson(STANDARD_METADATA)];
  const differing = Object.entries(all).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(standard[name]),
  );
  return JSON.stringify(Object.fromEntries(differing));
}

/** @param lists gives equal lists of many clients as one object. */
export function readMetadata(stored: string, lists: SharedValues<readonly unknown[]>): ClientMetadata {
  if (stored === '{}') return STANDARD_METADATA;
  const values = JSON.parse(stored) as Record<string, unknown>;
  const given = FIELDS.flatMap(([field, name]): [string, unknown][] => {
    const value = values[name];
    if (value === undefined) return [];
    if (field === 'allowedUsers') return [[field, usersOf(value)]];
    return [[field, Array.isArray(value) ? lists.of(JSON.stringify(value), () => value) : value]];
  });
  return { ...STANDARD_METADATA, ...(Object.fromEntries(given) as Partial<ClientMetadata>) };
}
