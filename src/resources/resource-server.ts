import { LOCALES } from '../config/config.js';
import { isClientId, randomBase62 } from '../crypto/random-id.js';
import type { Fault } from '../errors.js';
import {
  ACCESS_TOKEN_FORMATS,
  type AccessTokenFormat,
  IDENTITY_SCOPES,
  REVOCATION_WAYS,
  type RevocationWay,
  SCOPE_TOKEN,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
} from '../protocol.js';
import { LONGEST_NAME, nameProblem, quoted, refuseFaults, textProblem } from './text-checks.js';

export type ResourceServerId = `rs_${string}`;

/** Seconds. A token that outlives an hour outlives every bound on revocation that we promise. */
export const SHORTEST_ACCESS_TOKEN_FOR = 60;
export const LONGEST_ACCESS_TOKEN_FOR = 3600;
export const MOST_SCOPES = 200;
export const MOST_INTROSPECTORS = 50;
export const LONGEST_IDENTIFIER = 512;
const LONGEST_DESCRIPTION = 200;

export type ScopeDescriptions = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface ResourceServer {
  readonly id: ResourceServerId;
  /** RFC 8707 §2: an absolute URI without a fragment; compared as an exact string; the `aud` of its tokens. */
  readonly identifier: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** What a scope allows, in the words of people, by language: `{"orders.read": {"en": "Read your orders"}}`. */
  readonly scopeDescriptions: ScopeDescriptions;
  readonly alg: SigningAlgorithm;
  /** Seconds. */
  readonly accessTokenFor: number;
  readonly accessTokenFormat: AccessTokenFormat;
  readonly revocation: RevocationWay;
  /** Clients that may introspect tokens meant for this resource server. */
  readonly introspectors: readonly string[];
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** What a writer may say about a resource server; undefined means the default. */
export interface ResourceServerInput {
  readonly identifier: string;
  /** Default: the identifier, cut to a name's length. */
  readonly name?: string | undefined;
  readonly scopes: readonly string[];
  /** Default: none; pages show the scope itself. */
  readonly scopeDescriptions?: ScopeDescriptions | undefined;
  /** Default: `keys.accessTokenAlgorithm`, once it has an active key; ES256 where nobody says. */
  readonly alg?: SigningAlgorithm | undefined;
  /** Seconds. Callers without an opinion pass `config.tokens.accessTokenFor`. */
  readonly accessTokenFor: number;
  /** Default: jwt. */
  readonly accessTokenFormat?: AccessTokenFormat | undefined;
  /** Default: none, so that a JWT lives until it expires wherever nobody introspects it. */
  readonly revocation?: RevocationWay | undefined;
  readonly introspectors?: readonly string[] | undefined;
}

export type CheckedResourceServer = Omit<ResourceServer, 'id' | 'createdAt' | 'updatedAt'>;

const ID = /^rs_[0-9A-Za-z]{22}$/;
/** RFC 3986 §4.3 absolute-URI: scheme, colon, then only characters that an URI may hold; no `#`. */
const ABSOLUTE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9\-._~:/?@[\]!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;

export function resourceServerId(): ResourceServerId {
  return `rs_${randomBase62(22)}`;
}

export function isResourceServerId(value: string): value is ResourceServerId {
  return ID.test(value);
}

export function isResourceIdentifier(value: unknown): value is string {
  return typeof value === 'string' && identifierProblem(value) === undefined;
}

/** RFC 8707 §2 */
function identifierProblem(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '') {
    return 'Give an absolute URI, for example https://api.example.com/orders.';
  }
  if (value.length > LONGEST_IDENTIFIER) return `Shorten it to at most ${LONGEST_IDENTIFIER} characters.`;
  if (value.includes('#')) return 'Remove the fragment (everything from # on): RFC 8707 §2 forbids it.';
  if (!ABSOLUTE_URI.test(value) || !URL.canParse(value)) {
    return 'Give an absolute URI, for example https://api.example.com/orders.';
  }
  const { username, password } = new URL(value);
  // It is published in tokens and logs.
  if (username !== '' || password !== '') return 'Remove the user name and password from the URI.';
  return undefined;
}

function scopeProblem(scope: unknown): string | undefined {
  if (typeof scope !== 'string' || !SCOPE_TOKEN.test(scope)) {
    // RFC 6749 §3.3
    return `${quoted(scope)} is no scope: use 1 to 128 visible ASCII characters except space, " and \\.`;
  }
  if ((IDENTITY_SCOPES as readonly string[]).includes(scope)) {
    return `${quoted(scope)} belongs to OpenID Connect: choose another name, for example "orders:${scope}".`;
  }
  return undefined;
}

function checkScopes(scopes: unknown, faults: Fault[]): void {
  if (!Array.isArray(scopes)) {
    faults.push({ at: 'scopes', problem: 'Give a list of scopes; it may be empty.' });
    return;
  }
  if (scopes.length > MOST_SCOPES) {
    faults.push({ at: 'scopes', problem: `Name at most ${MOST_SCOPES} scopes.` });
    return;
  }
  const seen = new Set<unknown>();
  for (const [index, scope] of scopes.entries()) {
    const problem = seen.has(scope) ? `${quoted(scope)} is named twice: remove one.` : scopeProblem(scope);
    if (problem !== undefined) faults.push({ at: `scopes[${index}]`, problem });
    seen.add(scope);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function descriptionProblem(locale: string, text: unknown): string | undefined {
  if (!(LOCALES as readonly string[]).includes(locale)) {
    return `There are no pages in ${quoted(locale)}: choose ${LOCALES.join(' or ')}.`;
  }
  if (typeof text !== 'string') return 'Give a text.';
  if (text.length > LONGEST_DESCRIPTION) return `Shorten it to at most ${LONGEST_DESCRIPTION} characters.`;
  return textProblem(text);
}

/** People decide by these words, on our page: they are as short and as harmless as a name. */
function checkDescriptions(descriptions: unknown, scopes: readonly unknown[], faults: Fault[]): void {
  const at = 'scope_descriptions';
  if (!isObject(descriptions)) {
    faults.push({ at, problem: 'Give an object: {"orders.read": {"en": "Read your orders"}}.' });
    return;
  }
  for (const [scope, texts] of Object.entries(descriptions)) {
    const place = `${at}.${scope.slice(0, 128)}`;
    if (!scopes.includes(scope)) {
      faults.push({
        at: place,
        problem: `${quoted(scope)} is not among the scopes: add it, or leave it out.`,
      });
    } else if (!isObject(texts)) {
      faults.push({ at: place, problem: 'Give a text for each language: {"en": "Read your orders"}.' });
    } else {
      for (const [locale, text] of Object.entries(texts)) {
        const problem = descriptionProblem(locale, text);
        if (problem !== undefined) faults.push({ at: `${place}.${locale.slice(0, 16)}`, problem });
      }
    }
  }
}

function checkIntrospectors(introspectors: unknown, faults: Fault[]): void {
  if (!Array.isArray(introspectors) || introspectors.length > MOST_INTROSPECTORS) {
    faults.push({ at: 'introspectors', problem: `Give a list of at most ${MOST_INTROSPECTORS} client ids.` });
    return;
  }
  const seen = new Set<unknown>();
  for (const [index, clientId] of introspectors.entries()) {
    const at = `introspectors[${index}]`;
    if (typeof clientId !== 'string' || !isClientId(clientId)) {
      faults.push({ at, problem: `${quoted(clientId)} is no client id: they look like cl_….` });
    } else if (seen.has(clientId)) {
      faults.push({ at, problem: `${clientId} is named twice: remove one.` });
    }
    seen.add(clientId);
  }
}

function checkChoice(at: string, value: unknown, choices: readonly string[], faults: Fault[]): void {
  if (typeof value !== 'string' || !choices.includes(value)) {
    faults.push({ at, problem: `${quoted(value)} is unknown here: choose ${choices.join(' or ')}.` });
  }
}

/**
 * The one check before a resource server is written, whoever writes it.
 *
 * @param longestTokenFor seconds; `config.tokens.longestTokenFor`. Retained signing keys stay published that long, so
 *   a token that lives longer would outlive the key that proves it.
 * @throws AppError `invalid_request` with every fault found.
 */
export function validateResourceServer(
  input: ResourceServerInput,
  longestTokenFor: number = LONGEST_ACCESS_TOKEN_FOR,
): CheckedResourceServer {
  const longest = Math.min(longestTokenFor, LONGEST_ACCESS_TOKEN_FOR);
  const faults: Fault[] = [];
  const { identifier, scopes, accessTokenFor } = input;
  const alg = input.alg ?? 'ES256';
  const accessTokenFormat = input.accessTokenFormat ?? 'jwt';
  const revocation = input.revocation ?? 'none';
  const introspectors = input.introspectors ?? [];
  const scopeDescriptions = input.scopeDescriptions ?? {};
  const name = input.name ?? (typeof identifier === 'string' ? identifier.slice(0, LONGEST_NAME) : '');

  const wrongIdentifier = identifierProblem(identifier);
  if (wrongIdentifier !== undefined) faults.push({ at: 'identifier', problem: wrongIdentifier });
  // A wrong identifier that also became the name is one fault, not two.
  const wrongName = input.name === undefined && wrongIdentifier !== undefined ? undefined : nameProblem(name);
  if (wrongName !== undefined) faults.push({ at: 'name', problem: wrongName });
  checkScopes(scopes, faults);
  checkDescriptions(scopeDescriptions, Array.isArray(scopes) ? scopes : [], faults);
  checkChoice('alg', alg, SIGNING_ALGORITHMS, faults);
  if (
    !Number.isSafeInteger(accessTokenFor) ||
    accessTokenFor < SHORTEST_ACCESS_TOKEN_FOR ||
    accessTokenFor > longest
  ) {
    faults.push({
      at: 'access_token_for',
      problem: `Choose from ${SHORTEST_ACCESS_TOKEN_FOR} to ${longest} whole seconds.`,
    });
  }
  checkChoice('access_token_format', accessTokenFormat, ACCESS_TOKEN_FORMATS, faults);
  checkChoice('revocation', revocation, REVOCATION_WAYS, faults);
  if (revocation === 'status-list' && accessTokenFormat === 'opaque') {
    faults.push({
      at: 'revocation',
      problem: 'Choose none: an opaque token is introspected, which tells of its revocation at once.',
    });
  }
  checkIntrospectors(introspectors, faults);
  refuseFaults('resource server', faults);
  return {
    identifier,
    name,
    scopes: [...scopes],
    scopeDescriptions,
    alg,
    accessTokenFor,
    accessTokenFormat,
    revocation,
    introspectors: [...introspectors],
  };
}
