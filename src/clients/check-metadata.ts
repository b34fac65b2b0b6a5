import { isUserId } from '../crypto/random-id.js';
import type { Fault } from '../errors.js';
import {
  ACR_ONE_FACTOR,
  ACR_TWO_FACTORS,
  AUTHORIZATION_RESPONSE_MODES,
  type ClientAuthMethod,
  type GrantType,
  IDENTITY_SCOPES,
  REQUEST_OBJECT_ALGORITHMS,
  type SigningAlgorithm,
} from '../protocol.js';
import { nameProblem } from '../resources/text-checks.js';
import { checkJwks } from './client-jwks.js';
import { type AllowedUsers, type ClientMetadata, STANDARD_METADATA } from './client-metadata.js';
import {
  booleanProblem,
  checkList,
  checkOptional,
  choiceProblem,
  emailProblem,
  secondsProblem,
} from './field-checks.js';
import {
  MOST_REDIRECT_URIS,
  originProblem,
  pageUriProblem,
  redirectUriProblem,
  securePageUriProblem,
  serviceUriProblem,
} from './redirect-uri.js';

/** Null takes away what may be absent; undefined means the default. */
export type ClientMetadataInput = {
  readonly [Field in keyof ClientMetadata]?:
    | ClientMetadata[Field]
    | (undefined extends ClientMetadata[Field] ? null : never)
    | undefined;
};

/** What the server that the client is for allows. */
export interface ClientSurroundings {
  readonly isDevelopment: boolean;
  /** Scopes by which the operator hands out custom claims, beside those of OpenID Connect. */
  readonly claimScopes: readonly string[];
  /** Those that have a signing key. */
  readonly algorithms: readonly SigningAlgorithm[];
  /** Why none may be newly chosen of them, at this moment. Absent: nothing is known against any. */
  readonly algorithmProblem?: ((alg: SigningAlgorithm) => string | undefined) | undefined;
  /** Of a client that names none. */
  readonly idTokenAlgorithm?: SigningAlgorithm | undefined;
  /** Seconds: what a client's own lifetimes may not exceed. */
  readonly refreshTokens: { readonly idleAfter: number; readonly endAfter: number };
}

/** Of the fields that a client's other fields decide unless somebody says otherwise. */
export type DerivedField = 'oidcScopes' | 'corsOrigins' | 'sectorIdentifier';

/** What of a client is signed by our keys. */
export const SIGNED_FIELDS = [
  'idTokenSignedResponseAlg',
  'userinfoSignedResponseAlg',
  'authorizationSignedResponseAlg',
] as const;

interface Kind {
  readonly authMethod: ClientAuthMethod;
  readonly grantTypes: readonly GrantType[];
}

const PEOPLE_GRANTS: readonly GrantType[] = [
  'authorization_code',
  'urn:ietf:params:oauth:grant-type:device_code',
  'urn:openid:params:grant-type:ciba',
];
const JWT_MODES = AUTHORIZATION_RESPONSE_MODES.filter(mode => mode.includes('jwt'));
const MOST_ALLOWED = 500;
const MOST_ORIGINS = 20;
const MOST_CONTACTS = 10;
const LONGEST_MAX_AGE = 366 * 24 * 3600;
const SHORTEST_LIFETIME = 60;

function urlsOf(uris: unknown): URL[] {
  if (!Array.isArray(uris)) return [];
  return uris.flatMap(uri => (typeof uri === 'string' && URL.canParse(uri) ? [new URL(uri)] : []));
}

export function usesPeople(grantTypes: unknown): boolean {
  return Array.isArray(grantTypes) && PEOPLE_GRANTS.some(grant => grantTypes.includes(grant));
}

/** What follows from the rest: the values that a client has when nobody names them. */
export function derivedMetadata(
  { authMethod, grantTypes }: Kind,
  { redirectUris, subjectType }: Pick<ClientMetadataInput, 'redirectUris' | 'subjectType'>,
): Pick<ClientMetadata, DerivedField> {
  const urls = urlsOf(redirectUris);
  const isOffline = Array.isArray(grantTypes) && grantTypes.includes('refresh_token');
  const hosts = [...new Set(urls.map(({ host }) => host))];
  return {
    oidcScopes: usesPeople(grantTypes)
      ? ['openid', 'profile', 'email', ...(isOffline ? ['offline_access'] : [])]
      : STANDARD_METADATA.oidcScopes,
    // A public client runs where its redirects end; a confidential one has no business in a browser.
    corsOrigins:
      authMethod === 'none'
        ? [...new Set(urls.filter(({ protocol }) => /^https?:$/.test(protocol)).map(({ origin }) => origin))]
        : STANDARD_METADATA.corsOrigins,
    sectorIdentifier:
      subjectType === 'pairwise' && hosts.length === 1 && hosts[0] !== '' ? hosts[0] : undefined,
  };
}

function completed(
  kind: Kind,
  input: ClientMetadataInput,
  { idTokenAlgorithm }: ClientSurroundings,
): ClientMetadata {
  const derived = derivedMetadata(kind, input);
  const signs = input.authorizationSignedResponseAlg ?? undefined;
  const responseModes =
    input.responseModes ??
    (signs === undefined ? STANDARD_METADATA.responseModes : AUTHORIZATION_RESPONSE_MODES);
  const answersByJwt = Array.isArray(responseModes) && responseModes.some(mode => JWT_MODES.includes(mode));
  const given = Object.entries({ ...input, responseModes }).filter(
    ([field, value]) => value !== undefined && value !== null && Object.hasOwn(STANDARD_METADATA, field),
  );
  return {
    ...STANDARD_METADATA,
    ...derived,
    ...(idTokenAlgorithm === undefined ? {} : { idTokenSignedResponseAlg: idTokenAlgorithm }),
    authorizationSignedResponseAlg: answersByJwt ? 'RS256' : undefined,
    ...(Object.fromEntries(given) as Partial<ClientMetadata>),
  };
}

function checkUris(metadata: ClientMetadata, surroundings: ClientSurroundings, faults: Fault[]): void {
  const { applicationType } = metadata;
  const redirect = (uri: unknown) => redirectUriProblem(uri, applicationType, surroundings);
  checkList('redirect_uris', metadata.redirectUris, MOST_REDIRECT_URIS, redirect, faults);
  checkList(
    'post_logout_redirect_uris',
    metadata.postLogoutRedirectUris,
    MOST_REDIRECT_URIS,
    redirect,
    faults,
  );
  const service = (uri: unknown) => serviceUriProblem(uri, surroundings);
  checkOptional('backchannel_logout_uri', metadata.backchannelLogoutUri, service, faults);
  checkOptional('client_uri', metadata.clientUri, pageUriProblem, faults);
  checkOptional('policy_uri', metadata.policyUri, pageUriProblem, faults);
  checkOptional('tos_uri', metadata.tosUri, pageUriProblem, faults);
  checkOptional('logo_uri', metadata.logoUri, securePageUriProblem, faults);
  checkOptional('initiate_login_uri', metadata.initiateLoginUri, securePageUriProblem, faults);
}

function checkSwitches(metadata: ClientMetadata, faults: Fault[]): void {
  const switches = [
    ['require_pkce', metadata.requirePkce],
    ['require_pushed_authorization_requests', metadata.requirePar],
    ['first_party', metadata.isFirstParty],
    ['always_refresh', metadata.alwaysIssueRefreshToken],
    ['dpop_bound_access_tokens', metadata.dpopBound],
    ['backchannel_logout_session_required', metadata.backchannelLogoutSessionRequired],
    ['require_auth_time', metadata.requireAuthTime],
  ] as const;
  for (const [at, value] of switches) checkOptional(at, value, booleanProblem, faults);
}

function checkAlgorithms(
  metadata: ClientMetadata,
  input: ClientMetadataInput,
  { algorithms, algorithmProblem }: ClientSurroundings,
  faults: Fault[],
): void {
  const isOffered = choiceProblem(algorithms);
  const signing = (alg: unknown) =>
    isOffered(alg) ??
    // A default is no choice: what it stands for may never be asked for.
    (SIGNED_FIELDS.some(field => input[field] === alg)
      ? algorithmProblem?.(alg as SigningAlgorithm)
      : undefined);
  checkOptional('id_token_signed_response_alg', metadata.idTokenSignedResponseAlg, signing, faults);
  checkOptional('userinfo_signed_response_alg', metadata.userinfoSignedResponseAlg, signing, faults);
  const { responseModes, authorizationSignedResponseAlg: alg } = metadata;
  checkOptional('authorization_signed_response_alg', alg, signing, faults);
  // OWASP ASVS 5 §10.4.12: a fragment stays in the history and in the referrer of what the page loads.
  const modes = choiceProblem(AUTHORIZATION_RESPONSE_MODES);
  const most = AUTHORIZATION_RESPONSE_MODES.length;
  checkList('response_modes', responseModes, most, modes, faults);
  if (Array.isArray(responseModes)) {
    if (responseModes.length === 0) {
      faults.push({
        at: 'response_modes',
        problem: `Choose at least one of ${AUTHORIZATION_RESPONSE_MODES.join(', ')}.`,
      });
    } else if (alg !== undefined && !responseModes.some(mode => JWT_MODES.includes(mode))) {
      faults.push({
        at: 'authorization_signed_response_alg',
        problem: 'It needs a response mode that is signed: jwt, query.jwt or form_post.jwt.',
      });
    }
  }
  const requestObjects = choiceProblem(REQUEST_OBJECT_ALGORITHMS);
  checkOptional('request_object_signing_alg', metadata.requestObjectSigningAlg, requestObjects, faults);
}

/** OpenID Connect Core §8.1 */
function checkSubject({ grantTypes }: Kind, metadata: ClientMetadata, faults: Fault[]): void {
  const { subjectType, sectorIdentifier, redirectUris } = metadata;
  checkOptional('subject_type', subjectType, choiceProblem(['public', 'pairwise']), faults);
  const at = 'sector_identifier';
  if (subjectType !== 'pairwise') {
    if (sectorIdentifier !== undefined) faults.push({ at, problem: 'It needs the subject type pairwise.' });
    return;
  }
  const unfit = PEOPLE_GRANTS.slice(1).find(grant => grantTypes.includes(grant));
  if (unfit !== undefined) {
    faults.push({ at: 'subject_type', problem: `Pairwise subjects are not offered together with ${unfit}.` });
  }
  if (sectorIdentifier === undefined) {
    const hosts = new Set(urlsOf(redirectUris).map(({ host }) => host)).size;
    const why = hosts > 1 ? 'The redirect URIs have several hosts' : 'No redirect URI has a host';
    faults.push({ at, problem: `${why}: name the one that stands for the client.` });
  } else if (
    typeof sectorIdentifier !== 'string' ||
    pageUriProblem(`https://${sectorIdentifier}/`) !== undefined ||
    new URL(`https://${sectorIdentifier}/`).host !== sectorIdentifier
  ) {
    faults.push({ at, problem: 'Give a host, for example shop.example.com.' });
  }
}

/** As stored: without members that nobody asked for. */
function checkAllowedUsers(allowedUsers: unknown, faults: Fault[]): AllowedUsers {
  if (allowedUsers === 'all') return allowedUsers;
  const at = 'allowed_users';
  if (typeof allowedUsers !== 'object' || allowedUsers === null) {
    faults.push({ at, problem: 'Give "all", or groups and user_ids.' });
    return 'all';
  }
  const { groups = [], userIds = [] } = allowedUsers as Partial<Record<string, string[]>>;
  checkList(`${at}.groups`, groups, MOST_ALLOWED, nameProblem, faults);
  const id = (one: unknown) =>
    typeof one === 'string' && isUserId(one) ? undefined : 'It is no user id: they look like us_….';
  checkList(`${at}.user_ids`, userIds, MOST_ALLOWED, id, faults);
  return { groups, userIds };
}

function checkTimes(metadata: ClientMetadata, { refreshTokens }: ClientSurroundings, faults: Fault[]): void {
  const { refreshTokenIdleAfter: idle, refreshTokenEndAfter: end } = metadata;
  checkOptional('default_max_age', metadata.defaultMaxAge, secondsProblem(0, LONGEST_MAX_AGE), faults);
  const shortest = SHORTEST_LIFETIME;
  checkOptional('refresh_token_idle_after', idle, secondsProblem(shortest, refreshTokens.idleAfter), faults);
  checkOptional('refresh_token_end_after', end, secondsProblem(shortest, refreshTokens.endAfter), faults);
  if (typeof idle === 'number' && typeof end === 'number' && idle > end) {
    faults.push({
      at: 'refresh_token_idle_after',
      problem: 'It must not be longer than refresh_token_end_after.',
    });
  }
}

/** Checks everything a client registers besides its name, grants, authentication and resource servers. */
export function checkMetadata(
  kind: Kind,
  input: ClientMetadataInput,
  surroundings: ClientSurroundings,
  faults: Fault[],
): ClientMetadata {
  const metadata = completed(kind, input, surroundings);
  const wrongType = choiceProblem(['web', 'native'])(metadata.applicationType);
  if (wrongType !== undefined) faults.push({ at: 'application_type', problem: wrongType });
  checkUris(metadata, surroundings, faults);
  if (input.corsOrigins !== undefined) {
    const origin = (one: unknown) => originProblem(one, surroundings);
    checkList('cors_origins', metadata.corsOrigins, MOST_ORIGINS, origin, faults);
  }
  checkSwitches(metadata, faults);
  if (metadata.alwaysIssueRefreshToken && !kind.grantTypes.includes('refresh_token')) {
    faults.push({ at: 'always_refresh', problem: 'It needs the grant refresh_token: add it.' });
  }
  if (kind.authMethod === 'none' && metadata.requirePkce === false) {
    // RFC 9700 §2.1.1: nothing else ties the code of a public client to who asked for it.
    faults.push({ at: 'require_pkce', problem: 'A public client always uses PKCE: leave it on.' });
  }
  const scopes = [...new Set([...IDENTITY_SCOPES, ...surroundings.claimScopes])];
  checkList('oidc_scopes', metadata.oidcScopes, scopes.length, choiceProblem(scopes), faults);
  if (Array.isArray(metadata.oidcScopes) && metadata.oidcScopes.length > 0 && !usesPeople(kind.grantTypes)) {
    faults.push({
      at: 'oidc_scopes',
      problem: 'They are about people; none of its grants has a person in it.',
    });
  }
  checkAlgorithms(metadata, input, surroundings, faults);
  const jwks = checkJwks(input.jwks, metadata.requestObjectSigningAlg, faults);
  checkSubject(kind, metadata, faults);
  checkTimes(metadata, surroundings, faults);
  const acrs = choiceProblem([ACR_ONE_FACTOR, ACR_TWO_FACTORS]);
  checkList('default_acr_values', metadata.defaultAcrValues, 2, acrs, faults);
  checkList('contacts', metadata.contacts, MOST_CONTACTS, emailProblem, faults);
  return { ...metadata, jwks, allowedUsers: checkAllowedUsers(metadata.allowedUsers, faults) };
}
