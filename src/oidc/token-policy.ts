import type { AccessToken, Client, ClientCredentials, KoaContextWithOIDC, RefreshToken } from 'oidc-provider';
import type { ClientRecord } from '../clients/client.js';
import type { RevokedTokenStore } from '../clients/revoked-token-store.js';
import type { Database } from '../database/connect.js';
import type { RecordCache } from '../database/record-cache.js';
import type { ResourceStore } from '../resources/resource-store.js';

/** What introspection and revocation need to know of a token, whatever its format. */
export interface TokenFacts {
  readonly jti: string;
  readonly clientId: string;
  readonly audience: string | undefined;
  /** Seconds. */
  readonly issuedAt: number;
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

  constructor(
    database: Database,
    resources: ResourceStore,
    revoked: RevokedTokenStore,
    clients: RecordCache<ClientRecord>,
  ) {
    this.#database = database;
    this.#resources = resources;
    this.#revoked = revoked;
    this.#clients = clients;
  }

  readonly mayIntrospect = async (
    _ctx: KoaContextWithOIDC,
    client: Client,
    token: AccessToken | ClientCredentials | RefreshToken,
  ): Promise<boolean> => {
    return this.isActiveFor(client.clientId, {
      jti: token.jti,
      clientId: token.clientId ?? '',
      audience: audienceOf(token),
      issuedAt: token.iat ?? 0,
    });
  };

  /** RFC 7009 §2.1: only the client a token was issued to. */
  readonly mayRevoke = async (
    _ctx: KoaContextWithOIDC,
    client: Client,
    token: AccessToken | ClientCredentials | RefreshToken,
  ): Promise<boolean> => client.clientId === token.clientId;

  async isActiveFor(caller: string, token: TokenFacts): Promise<boolean> {
    return (
      (await this.#maySee(caller, token)) &&
      (await this.#isClientLive(token.clientId)) &&
      !(await this.#isRevoked(token))
    );
  }

  async #maySee(caller: string, token: TokenFacts): Promise<boolean> {
    if (token.clientId === caller) return true;
    const { audience } = token;
    if (audience === undefined) return false;
    const resource = await this.#database.read(on => this.#resources.findByIdentifier(on, audience));
    return resource?.introspectors.includes(caller) ?? false;
  }

  async #isClientLive(clientId: string): Promise<boolean> {
    const client = await this.#clients.find(clientId);
    return client !== undefined && client.disabledAt === undefined;
  }

  async #isRevoked(token: TokenFacts): Promise<boolean> {
    const { jti, clientId, issuedAt } = token;
    return this.#database.read(on => this.#revoked.isRevoked(on, { jti, clientId, iat: issuedAt }));
  }
}

function audienceOf(token: object): string | undefined {
  return 'aud' in token && typeof token.aud === 'string' ? token.aud : undefined;
}
