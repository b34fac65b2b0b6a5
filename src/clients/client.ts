import type { Fault } from '../errors.js';
import {
  CLIENT_AUTH_METHODS,
  type ClientAuthMethod,
  GRANT_TYPES,
  type GrantType,
  SIGNING_ALGORITHMS,
} from '../protocol.js';
import type { ResourceServer, ResourceServerId } from '../resources/resource-server.js';
import { nameProblem, quoted, refuseFaults } from '../resources/text-checks.js';
import {
  type ClientMetadataInput,
  type ClientSurroundings,
  checkMetadata,
  usesPeople,
} from './check-metadata.js';
import type { ClientMetadata } from './client-metadata.js';
import type { ClientSecretRecord } from './client-secret.js';

export const MOST_RESOURCES = 50;

/** What a client may ask for at one resource server. */
export interface ClientResource {
  readonly resourceId: ResourceServerId;
  readonly identifier: string;
  readonly scopes: readonly string[];
  /** Of `scopes`: granted when a request names no scope. */
  readonly defaultScopes: readonly string[];
  /** This resource server is meant when a request names none. */
  readonly isDefault: boolean;
}

export interface ClientRecord extends ClientMetadata {
  readonly clientId: string;
  readonly name: string;
  readonly authMethod: ClientAuthMethod;
  readonly grantTypes: readonly GrantType[];
  /** Follows from the grants; `none` is the built-in client's alone, which only asks who is signed in. */
  readonly responseTypes: readonly ('code' | 'none')[];
  readonly disabledAt?: number | undefined;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly resources: readonly ClientResource[];
  /** Those that may still open something: not revoked, and every one that has not expired. */
  readonly secrets: readonly ClientSecretRecord[];
}

export interface ClientResourceInput {
  /** The resource server's identifier. */
  readonly identifier: string;
  readonly scopes: readonly string[];
  /** Default: all of `scopes`. */
  readonly defaultScopes?: readonly string[] | undefined;
  /** Default: true for an only resource server, otherwise false. */
  readonly isDefault?: boolean | undefined;
}

/** What a writer may say about a client; undefined means the default. */
export interface ClientInput extends ClientMetadataInput {
  readonly name: string;
  /** Default: client_secret_basic. */
  readonly authMethod?: ClientAuthMethod | undefined;
  /** Default: client_credentials; with redirect URIs authorization_code and refresh_token. */
  readonly grantTypes?: readonly GrantType[] | undefined;
  readonly resources: readonly ClientResourceInput[];
}

export type CheckedClient = Omit<
  ClientRecord,
  'clientId' | 'disabledAt' | 'createdAt' | 'updatedAt' | 'secrets'
>;

/** The strictest: what holds where nobody says what the server allows. */
const STRICT: ClientSurroundings = {
  isDevelopment: false,
  claimScopes: [],
  algorithms: SIGNING_ALGORITHMS,
  refreshTokens: { idleAfter: 366 * 24 * 3600, endAfter: 366 * 24 * 3600 },
};
const DEVICE: GrantType = 'urn:ietf:params:oauth:grant-type:device_code';
const CIBA: GrantType = 'urn:openid:params:grant-type:ciba';
const CODE_RESPONSE = Object.freeze(['code'] as const);
const NO_RESPONSE: readonly never[] = Object.freeze([]);

/** What its grants let it ask the authorization endpoint for. */
export function responseTypesOf(grantTypes: readonly GrantType[]): ClientRecord['responseTypes'] {
  return grantTypes.includes('authorization_code') ? CODE_RESPONSE : NO_RESPONSE;
}

function checkGrantTypes(grantTypes: unknown, faults: Fault[]): void {
  if (!Array.isArray(grantTypes) || grantTypes.length === 0 || grantTypes.length > GRANT_TYPES.length) {
    faults.push({
      at: 'grant_types',
      problem: `Choose at least one of ${GRANT_TYPES.join(', ')}, each once.`,
    });
    return;
  }
  const seen = new Set<unknown>();
  for (const [index, grantType] of grantTypes.entries()) {
    const at = `grant_types[${index}]`;
    if (!(GRANT_TYPES as readonly unknown[]).includes(grantType)) {
      faults.push({ at, problem: `${quoted(grantType)} is not offered: choose ${GRANT_TYPES.join(', ')}.` });
    } else if (seen.has(grantType)) {
      faults.push({ at, problem: `${quoted(grantType)} is named twice: remove one.` });
    }
    seen.add(grantType);
  }
  if (seen.has('refresh_token') && !usesPeople(grantTypes)) {
    // RFC 6749 §4.4.3: client_credentials gives no refresh token.
    faults.push({
      at: 'grant_types',
      problem: 'refresh_token continues another grant: add authorization_code, the device grant or CIBA.',
    });
  }
}

/** RFC 7591 §2.1: the code is delivered to a redirect URI, and to nothing else is one for. */
function checkRedirects(grantTypes: unknown, redirectUris: unknown, faults: Fault[]): void {
  if (!Array.isArray(grantTypes)) return;
  const hasUris = Array.isArray(redirectUris) && redirectUris.length > 0;
  if (grantTypes.includes('authorization_code') === hasUris) return;
  faults.push({
    at: 'redirect_uris',
    problem: hasUris
      ? 'They belong to the grant authorization_code: add it, or leave them out.'
      : 'The grant authorization_code needs at least one.',
  });
}

function checkAuthMethod(authMethod: unknown, grantTypes: unknown, faults: Fault[]): void {
  const at = 'token_endpoint_auth_method';
  const grants: readonly unknown[] = Array.isArray(grantTypes) ? grantTypes : [];
  const unfit = ['client_credentials', CIBA].find(grant => grants.includes(grant));
  if (authMethod === 'none' && unfit !== undefined) {
    // RFC 6749 §4.4, CIBA Core §4: the client is the only one who proves anything in these requests.
    faults.push({ at, problem: `A public client cannot use ${unfit}: choose client_secret_basic.` });
  } else if (authMethod === 'none' && !grants.includes('authorization_code') && !grants.includes(DEVICE)) {
    faults.push({ at, problem: 'A public client needs authorization_code or the device grant.' });
  } else if (!(CLIENT_AUTH_METHODS as readonly unknown[]).includes(authMethod)) {
    faults.push({
      at,
      problem: `${quoted(authMethod)} is not offered: choose ${CLIENT_AUTH_METHODS.join(' or ')}.`,
    });
  }
}

/** Scopes out of what is `allowed`, each once. */
function checkScopes(
  at: string,
  scopes: unknown,
  allowed: ReadonlySet<unknown>,
  where: string,
  faults: Fault[],
): void {
  if (!Array.isArray(scopes) || scopes.length > allowed.size) {
    faults.push({ at, problem: `Give a list of scopes out of ${where}, each once.` });
    return;
  }
  const seen = new Set<unknown>();
  for (const [index, scope] of scopes.entries()) {
    const place = `${at}[${index}]`;
    if (!allowed.has(scope)) {
      faults.push({
        at: place,
        problem: `${quoted(scope)} is not among ${where}: add it there, or leave it out.`,
      });
    } else if (seen.has(scope)) {
      faults.push({ at: place, problem: `${quoted(scope)} is named twice: remove one.` });
    }
    seen.add(scope);
  }
}

function checkResource(
  at: string,
  resource: ClientResourceInput,
  isOnly: boolean,
  servers: ReadonlyMap<string, ResourceServer>,
  faults: Fault[],
): ClientResource | undefined {
  if (typeof resource !== 'object' || resource === null) {
    faults.push({ at, problem: 'Give an object with identifier and scopes.' });
    return undefined;
  }
  const { identifier, scopes } = resource;
  const server = servers.get(identifier);
  if (server === undefined) {
    faults.push({
      at: `${at}.identifier`,
      problem: `There is no resource server ${quoted(identifier)}: create it first, or correct the identifier.`,
    });
    return undefined;
  }
  const defaultScopes = resource.defaultScopes ?? scopes;
  const isDefault = resource.isDefault ?? isOnly;
  const before = faults.length;
  checkScopes(`${at}.scopes`, scopes, new Set(server.scopes), `the scopes of ${identifier}`, faults);
  if (faults.length === before && resource.defaultScopes !== undefined) {
    checkScopes(`${at}.default_scopes`, defaultScopes, new Set(scopes), "the client's scopes there", faults);
  }
  if (typeof isDefault !== 'boolean') faults.push({ at: `${at}.is_default`, problem: 'Give true or false.' });
  if (faults.length > before) return undefined;
  return {
    resourceId: server.id,
    identifier,
    scopes: [...scopes],
    defaultScopes: [...defaultScopes],
    // A request that names no resource server can only mean the one there is.
    isDefault: isDefault || isOnly,
  };
}

function checkResources(
  resources: readonly ClientResourceInput[],
  servers: readonly ResourceServer[],
  faults: Fault[],
): ClientResource[] {
  if (!Array.isArray(resources) || resources.length > MOST_RESOURCES) {
    faults.push({ at: 'resources', problem: `Give a list of at most ${MOST_RESOURCES} resource servers.` });
    return [];
  }
  const byIdentifier = new Map(servers.map(server => [server.identifier, server]));
  const checked: ClientResource[] = [];
  for (const [index, resource] of (resources as readonly ClientResourceInput[]).entries()) {
    const at = `resources[${index}]`;
    const one = checkResource(at, resource, resources.length === 1, byIdentifier, faults);
    if (one === undefined) continue;
    if (checked.some(({ identifier }) => identifier === one.identifier)) {
      faults.push({ at: `${at}.identifier`, problem: `${one.identifier} is named twice: join the two.` });
    } else if (one.isDefault && checked.some(({ isDefault }) => isDefault)) {
      faults.push({
        at: `${at}.is_default`,
        problem: 'Only one resource server can be the default: choose one.',
      });
    }
    checked.push(one);
  }
  return checked;
}

/**
 * The one check before a client is written, whoever writes it.
 *
 * @param servers the resource servers that the input names, read in the transaction that writes the client
 * @throws AppError `invalid_request` with every fault found.
 */
export function validateClient(
  input: ClientInput,
  servers: readonly ResourceServer[],
  surroundings: ClientSurroundings = STRICT,
): CheckedClient {
  const faults: Fault[] = [];
  const { name, redirectUris = [] } = input;
  const authMethod = input.authMethod ?? 'client_secret_basic';
  const grantTypes =
    input.grantTypes ??
    (redirectUris.length > 0
      ? (['authorization_code', 'refresh_token'] as const)
      : (['client_credentials'] as const));
  const wrongName = nameProblem(name);
  if (wrongName !== undefined) faults.push({ at: 'name', problem: wrongName });
  checkGrantTypes(grantTypes, faults);
  checkAuthMethod(authMethod, grantTypes, faults);
  checkRedirects(grantTypes, redirectUris, faults);
  const metadata = checkMetadata({ authMethod, grantTypes }, input, surroundings, faults);
  const resources = checkResources(input.resources, servers, faults);
  refuseFaults('client', faults);
  const responseTypes = responseTypesOf(grantTypes);
  return { ...metadata, name, authMethod, grantTypes: [...grantTypes], responseTypes, resources };
}
