import type { Command } from 'commander';
import type { ClientMetadataInput } from '../clients/check-metadata.js';
import type { AllowedUsers, ClientJwks } from '../clients/client-metadata.js';
import {
  AUTHORIZATION_RESPONSE_MODES,
  type AuthorizationResponseMode,
  type ClientAuthMethod,
  REQUEST_OBJECT_ALGORITHMS,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
} from '../protocol.js';
import { type Surroundings, UsageError } from './command.js';
import { choiceOption, readSeconds, words } from './options.js';
import { readTextFile } from './read-secret.js';

/** What people, browsers and sign-ins have to do with a client, as the command line says it. */
export interface MetadataOptions {
  readonly redirectUri?: readonly string[];
  readonly postLogoutRedirectUri?: readonly string[];
  readonly public?: boolean;
  readonly native?: boolean;
  readonly firstParty?: boolean;
  readonly pkce?: boolean;
  readonly requirePar?: boolean;
  readonly dpopBound?: boolean;
  readonly alwaysRefresh?: boolean;
  readonly requireAuthTime?: boolean;
  readonly pairwise?: boolean;
  readonly sector?: string;
  readonly oidcScope?: readonly string[];
  readonly responseMode?: readonly AuthorizationResponseMode[];
  readonly idTokenAlg?: SigningAlgorithm;
  readonly userinfoAlg?: SigningAlgorithm;
  readonly authorizationAlg?: SigningAlgorithm;
  readonly requestObjectAlg?: string;
  readonly jwksFile?: string;
  readonly backchannelLogoutUri?: string;
  readonly backchannelLogoutSession?: boolean;
  readonly defaultMaxAge?: number;
  readonly defaultAcr?: readonly string[];
  readonly allowGroup?: readonly string[];
  readonly allowUser?: readonly string[];
  readonly allowAll?: boolean;
  readonly corsOrigin?: readonly string[];
  readonly clientUri?: string;
  readonly logoUri?: string;
  readonly policyUri?: string;
  readonly tosUri?: string;
  readonly initiateLoginUri?: string;
  readonly contact?: readonly string[];
  readonly refreshIdleAfter?: number;
  readonly refreshEndAfter?: number;
}

/** `--name` and `--no-name`; neither leaves it as it is. */
function toggle(command: Command, name: string, says: string): void {
  command.option(`--${name}`, says).option(`--no-${name}`, `not --${name}`);
}

export function metadataOptions(command: Command): Command {
  command
    .option('--redirect-uri <uri...>', 'where people may be sent back to, compared exactly')
    .option('--post-logout-redirect-uri <uri...>', 'where people may be sent after signing out')
    .option('--public', 'it can keep no secret: a program in a browser, on a phone, on a desktop');
  toggle(command, 'native', 'an installed program: private-use schemes, any loopback port');
  toggle(command, 'first-party', 'of this house: people are not asked for consent');
  toggle(command, 'pkce', 'codes need PKCE (the default; only a confidential client may do without)');
  toggle(command, 'require-par', 'authorization requests must have been pushed');
  toggle(command, 'dpop-bound', 'no token without a DPoP proof');
  toggle(command, 'always-refresh', 'a refresh token without offline_access');
  toggle(command, 'require-auth-time', 'ID tokens always say when the person signed in');
  toggle(command, 'pairwise', 'other subjects than other clients get for the same people');
  return command
    .option('--sector <host>', 'with --pairwise: the host that stands for the client')
    .option('--oidc-scope <scope...>', 'what it may ask for about a person: openid profile email …')
    .addOption(choiceOption('--response-mode <mode...>', 'ways back to it', AUTHORIZATION_RESPONSE_MODES))
    .addOption(choiceOption('--id-token-alg <alg>', 'signature of ID tokens', SIGNING_ALGORITHMS))
    .addOption(choiceOption('--userinfo-alg <alg>', 'signs userinfo; none: ""', [...SIGNING_ALGORITHMS, '']))
    .addOption(
      choiceOption('--authorization-alg <alg>', 'signs authorization responses', [...SIGNING_ALGORITHMS, '']),
    )
    .addOption(
      choiceOption('--request-object-alg <alg>', 'its request objects', [...REQUEST_OBJECT_ALGORITHMS, '']),
    )
    .option('--jwks-file <file>', 'its public keys, as a JWKS; none: ""')
    .option('--backchannel-logout-uri <uri>', 'is told when a person signs out; none: ""')
    .option('--backchannel-logout-session', 'logout notices name the session')
    .option('--no-backchannel-logout-session', 'not --backchannel-logout-session')
    .option('--default-max-age <duration>', 'the oldest sign-in it accepts: 1h', readSeconds)
    .option('--default-acr <acr...>', 'the classes of sign-in it asks for when a request names none')
    .option('--allow-group <group...>', 'only users of these groups may use it')
    .option('--allow-user <user-id...>', 'only these users may use it')
    .option('--allow-all', 'every user may use it (the default)')
    .option('--cors-origin <origin...>', 'origins whose scripts may call the token endpoint')
    .option('--client-uri <uri>', 'its home page; none: ""')
    .option('--logo-uri <uri>', 'its logo, which no page of ours loads; none: ""')
    .option('--policy-uri <uri>', 'what it does with what it learns; none: ""')
    .option('--tos-uri <uri>', 'its terms; none: ""')
    .option('--initiate-login-uri <uri>', 'where a sign-in can be begun for it; none: ""')
    .option('--contact <email...>', 'people responsible for it')
    .option('--refresh-idle-after <duration>', 'refresh tokens end when unused: 7d', readSeconds)
    .option('--refresh-end-after <duration>', 'refresh tokens end at the latest: 90d', readSeconds);
}

/** An empty text takes away what stood there. */
function orNone<T extends string>(given: T | undefined): T | null | undefined {
  return given === '' ? null : given;
}

/** A list of one empty text is an empty list. */
function listOf<T extends string>(given: readonly T[] | undefined): T[] | undefined {
  return words(given) as T[] | undefined;
}

function jwksFrom(surroundings: Surroundings, file: string | undefined): ClientJwks | null | undefined {
  if (file === undefined || file === '') return orNone(file) as null | undefined;
  try {
    return JSON.parse(readTextFile(surroundings, file)) as ClientJwks;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`The file ${file} holds no JSON.`);
  }
}

function allowedFrom(
  { allowAll, allowGroup, allowUser }: MetadataOptions,
  before: AllowedUsers,
): AllowedUsers | undefined {
  const names = allowGroup !== undefined || allowUser !== undefined;
  if (allowAll === true) {
    if (names) throw new UsageError('Give either --allow-all, or --allow-group and --allow-user.');
    return 'all';
  }
  if (!names) return undefined;
  const { groups, userIds } = before === 'all' ? { groups: [], userIds: [] } : before;
  // A group's name may hold blanks.
  return { groups: allowGroup ?? groups, userIds: listOf(allowUser) ?? userIds };
}

/** @param before whom an update that names only groups, or only users, leaves in. */
export function metadataFrom(
  surroundings: Surroundings,
  options: MetadataOptions,
  before: AllowedUsers = 'all',
): ClientMetadataInput {
  const { native, pairwise, requestObjectAlg, userinfoAlg, authorizationAlg } = options;
  return {
    redirectUris: listOf(options.redirectUri),
    postLogoutRedirectUris: listOf(options.postLogoutRedirectUri),
    applicationType: native === undefined ? undefined : native ? 'native' : 'web',
    isFirstParty: options.firstParty,
    requirePkce: options.pkce,
    requirePar: options.requirePar,
    dpopBound: options.dpopBound,
    alwaysIssueRefreshToken: options.alwaysRefresh,
    requireAuthTime: options.requireAuthTime,
    subjectType: pairwise === undefined ? undefined : pairwise ? 'pairwise' : 'public',
    sectorIdentifier: pairwise === false ? null : orNone(options.sector),
    oidcScopes: listOf(options.oidcScope),
    responseModes: options.responseMode,
    idTokenSignedResponseAlg: options.idTokenAlg,
    userinfoSignedResponseAlg: orNone(userinfoAlg),
    authorizationSignedResponseAlg: orNone(authorizationAlg),
    requestObjectSigningAlg: orNone(requestObjectAlg),
    jwks: jwksFrom(surroundings, options.jwksFile),
    backchannelLogoutUri: orNone(options.backchannelLogoutUri),
    backchannelLogoutSessionRequired: options.backchannelLogoutSession,
    defaultMaxAge: options.defaultMaxAge,
    defaultAcrValues: listOf(options.defaultAcr),
    allowedUsers: allowedFrom(options, before),
    corsOrigins: listOf(options.corsOrigin),
    clientUri: orNone(options.clientUri),
    logoUri: orNone(options.logoUri),
    policyUri: orNone(options.policyUri),
    tosUri: orNone(options.tosUri),
    initiateLoginUri: orNone(options.initiateLoginUri),
    contacts: listOf(options.contact),
    refreshTokenIdleAfter: options.refreshIdleAfter,
    refreshTokenEndAfter: options.refreshEndAfter,
  };
}

/** `--public` is another way to say `--auth none`. */
export function authMethodFrom(
  { public: isPublic }: MetadataOptions,
  auth: ClientAuthMethod | undefined,
): ClientAuthMethod | undefined {
  if (isPublic !== true) return auth;
  if (auth !== undefined && auth !== 'none') {
    throw new UsageError(
      'A public client proves nothing at the token endpoint: give --public or --auth, not both.',
    );
  }
  return 'none';
}
