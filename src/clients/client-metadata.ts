import type { AuthorizationResponseMode, SigningAlgorithm } from '../protocol.js';

/** RFC 7517, public keys only: what a client signs its request objects with. */
export interface ClientJwks {
  readonly keys: readonly Readonly<Record<string, unknown>>[];
}

/** Which users may use a client: everybody, or those named and those of a named group. */
export type AllowedUsers =
  | 'all'
  | { readonly groups: readonly string[]; readonly userIds: readonly string[] };

export type ApplicationType = 'web' | 'native';
export type SubjectType = 'public' | 'pairwise';

/** What a client registers besides its name, grants, authentication and resource servers. Lists keep their order. */
export interface ClientMetadata {
  readonly applicationType: ApplicationType;
  readonly redirectUris: readonly string[];
  readonly postLogoutRedirectUris: readonly string[];
  readonly responseModes: readonly AuthorizationResponseMode[];
  /** False only for a confidential client. */
  readonly requirePkce: boolean;
  /** RFC 9126 §6: an authorization request must have been pushed. */
  readonly requirePar: boolean;
  /** A client of the house: people are not asked whether it may. */
  readonly isFirstParty: boolean;
  /** What it may ask for about a person, `offline_access` included. */
  readonly oidcScopes: readonly string[];
  /** A refresh token without `offline_access`. */
  readonly alwaysIssueRefreshToken: boolean;
  readonly subjectType: SubjectType;
  /** OpenID Connect Core §8.1: the host that stands for all clients that may know a person by one subject. */
  readonly sectorIdentifier?: string | undefined;
  readonly idTokenSignedResponseAlg: SigningAlgorithm;
  /** Absent: userinfo answers with plain JSON. */
  readonly userinfoSignedResponseAlg?: SigningAlgorithm | undefined;
  /** JARM; only with a `jwt` response mode. */
  readonly authorizationSignedResponseAlg?: SigningAlgorithm | undefined;
  readonly requestObjectSigningAlg?: string | undefined;
  readonly jwks?: ClientJwks | undefined;
  /** RFC 9449 §5.2: it gets no token without a proof. */
  readonly dpopBound: boolean;
  readonly backchannelLogoutUri?: string | undefined;
  readonly backchannelLogoutSessionRequired: boolean;
  /** Seconds. */
  readonly defaultMaxAge?: number | undefined;
  readonly requireAuthTime: boolean;
  readonly defaultAcrValues: readonly string[];
  readonly clientUri?: string | undefined;
  /** Kept for other programs; never loaded, and on none of our pages. */
  readonly logoUri?: string | undefined;
  readonly policyUri?: string | undefined;
  readonly tosUri?: string | undefined;
  readonly initiateLoginUri?: string | undefined;
  readonly contacts: readonly string[];
  readonly allowedUsers: AllowedUsers;
  /** Origins whose scripts may read the token and userinfo answers. */
  readonly corsOrigins: readonly string[];
  /** Seconds; shorter than the configured ones. */
  readonly refreshTokenIdleAfter?: number | undefined;
  readonly refreshTokenEndAfter?: number | undefined;
}

const NONE: readonly never[] = Object.freeze([]);

/** A client that says nothing. Stored is only what differs from it, and every client shares its lists. */
export const STANDARD_METADATA: ClientMetadata = Object.freeze({
  applicationType: 'web',
  redirectUris: NONE,
  postLogoutRedirectUris: NONE,
  responseModes: Object.freeze(['query', 'form_post'] as const),
  requirePkce: true,
  requirePar: false,
  isFirstParty: false,
  oidcScopes: NONE,
  alwaysIssueRefreshToken: false,
  subjectType: 'public',
  sectorIdentifier: undefined,
  idTokenSignedResponseAlg: 'RS256',
  userinfoSignedResponseAlg: undefined,
  authorizationSignedResponseAlg: undefined,
  requestObjectSigningAlg: undefined,
  jwks: undefined,
  dpopBound: false,
  backchannelLogoutUri: undefined,
  backchannelLogoutSessionRequired: false,
  defaultMaxAge: undefined,
  requireAuthTime: false,
  defaultAcrValues: NONE,
  clientUri: undefined,
  logoUri: undefined,
  policyUri: undefined,
  tosUri: undefined,
  initiateLoginUri: undefined,
  contacts: NONE,
  allowedUsers: 'all',
  corsOrigins: NONE,
  refreshTokenIdleAfter: undefined,
  refreshTokenEndAfter: undefined,
});
