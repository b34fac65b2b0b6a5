import type { AccessToken, Client, ClientCredentials, KoaContextWithOIDC, RefreshToken } from 'oidc-provider';
import type { ClientRecord } from '../clients/client.js';
import type { RevokedTokenStore } from '../clients/revoked-token-store.js';
import type { Database } from '../database/connect.js';
import type { RecordCache } from '../database/record-cache.js';
import type { ResourceStore } from '../resources/resource-store.js';
import { isActive, type User } from '../users/user.js';
import { mayUseClient } from './accounts.js';
import type { ArtifactStore } from './artifact-store.js';

/** What introspection and revocation need to know of a token, whatever its format. */
export interface TokenFacts {
  readonly jti: string;
  readonly clientId: string;
  readonly audience: string | undefined;
  /** Seconds. */
  readonly issuedAt: number;
  /** Of a JWT that a person allowed. */
  readonly grantHandle?: string | undefined;
  /** Of a stored token that a person allowed; the core has looked at its grant. */
  readonly userId?: string | undefined;
  /** Scopes, as in its wire form. */
  readonly scope?: string | undefined;
}

export interface TokenPolicyParts {
  readonly database: Database;
  readonly resources: ResourceStore;
  readonly revoked: RevokedTokenStore;
  readonly clients: RecordCache<ClientRecord>;
  readonly users: RecordCache<User>;
  readonly artifacts: ArtifactStore;
}

/**
 * Who may ask about a token, and whether it is still good. A caller sees its own tokens and those meant for a
 * resource server that names it as introspector; for all others the answer is that of an unknown token, because
 * "not yours" would already tell that it exists (RFC 7662 §4).
 */
export class TokenPolicy {
  readonly #database: Database;
  readonly #resources: ResourceStore;
  readonly #revoked: RevokedTokenStore;
  readonly #clients: RecordCache<ClientRecord>;
  readonly #users: RecordCache<User>;
  readonly #artifacts: ArtifactStore;

  constructor(parts: TokenPolicyParts) {
    this.#database = parts.database;
    this.#resources = parts.resources;
    this.#revoked = parts.revoked;
    this.#clients = parts.clients;
    this.#users = parts.users;
    this.#artifacts = parts.artifacts;
  }

  readonly mayIntrospect = async (
    _ctx: KoaContextWithOIDC,
    client: Client,
    token: AccessToken | ClientCredentials | RefreshToken,
  ): Promise<boolean> => {
    return this.isActiveFor(client.clientId, factsOfStored(token));
  };

  /** RFC 7009 §2.1: only the client a token was issued to. */
  readonly mayRevoke = async (
    _ctx: KoaContextWithOIDC,
    client: Client,
    token: AccessToken | ClientCredentials | RefreshToken,
  ): Promise<boolean> => client.clientId === token.clientId;

  async isActiveFor(caller: string, token: TokenFacts): Promise<boolean> {
    return (await this.#maySee(caller, token)) && (await this.isLive(token));
  }

  /** Whether client, person and grant still stand, and nobody has revoked it. */
  async isLive(token: TokenFacts): Promise<boolean> {
    return (
      (await this.#isClientLive(token)) && (await this.#isAllowed(token)) && !(await this.#isRevoked(token))
    );
  }

  async #isAllowed({ grantHandle, userId, clientId }: TokenFacts): Promise<boolean> {
    if (grantHandle === undefined) return userId === undefined || this.#mayUse(userId, clientId);
    const grant = await this.#database.read(on => this.#artifacts.findGrant(on, grantHandle));
    return typeof grant?.accountId === 'string' && this.#mayUse(grant.accountId, clientId);
  }

  async #mayUse(userId: string, clientId: string): Promise<boolean> {
    const [user, client] = await Promise.all([this.#users.find(userId), this.#clients.find(clientId)]);
    return user !== undefined && client !== undefined && isActive(user) && mayUseClient(user, client);
  }

  async #maySee(caller: string, token: TokenFacts): Promise<boolean> {
    if (token.clientId === caller) return true;
    const { audience } = token;
    if (audience === undefined) return false;
    const resource = await this.#database.read(on => this.#resources.findByIdentifier(on, audience));
    return resource?.introspectors.includes(caller) ?? false;
  }

  /** A token with a scope that its client has lost is dead whole: a narrower one is to be had for the asking. */
  async #isClientLive({ clientId, scope }: TokenFacts): Promise<boolean> {
    const client = await this.#clients.find(clientId);
    if (client === undefined || client.disabledAt !== undefined) return false;
    return scope === undefined || lostScope(client, scope.split(' ')) === undefined;
  }

  async #isRevoked(token: TokenFacts): Promise<boolean> {
    const { jti, clientId, issuedAt } = token;
    return this.#database.read(on => this.#revoked.isRevoked(on, { jti, clientId, iat: issuedAt }));
  }
}

/** The first that the client may not ask for any more. */
export function lostScope(client: ClientRecord, scopes: Iterable<string>): string | undefined {
  const allowed = new Set([...client.oidcScopes, ...client.resources.flatMap(resource => resource.scopes)]);
  return [...scopes].find(scope => scope !== '' && !allowed.has(scope));
}

/** Of a token that the core has found in the store. */
export function factsOfStored(token: AccessToken | ClientCredentials | RefreshToken): TokenFacts {
  return {
    jti: token.jti,
    clientId: token.clientId ?? '',
    audience: audienceOf(token),
    issuedAt: token.iat ?? 0,
    userId: 'accountId' in token && typeof token.accountId === 'string' ? token.accountId : undefined,
    scope: token.scope,
  };
}

function audienceOf(token: object): string | undefined {
  return 'aud' in token && typeof token.aud === 'string' ? token.aud : undefined;
}
