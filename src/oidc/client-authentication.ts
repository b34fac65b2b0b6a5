import { type Client, errors, Provider } from 'oidc-provider';
import { matchClientSecret } from '../clients/client-secret.js';
import type { SecretUses } from '../clients/secret-uses.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import type { RecordOf } from './client-adapter.js';
import { currentUnit } from './unit-of-work.js';

/** As the request presented it: the core takes either form for either registered method. */
function presentedMethod(): 'client_secret_basic' | 'client_secret_post' {
  return Provider.ctx?.oidc.params?.client_secret ? 'client_secret_post' : 'client_secret_basic';
}

export interface ClientAuthenticationParts {
  readonly hasher: SecretHasher;
  /** The database's clock as this node knows it, milliseconds. */
  readonly databaseNow: () => number;
  readonly secretUses: SecretUses;
}

/**
 * Checks secrets against their stored hashes, all of a client's live ones in one constant time, and enforces the
 * registered method (OpenID Connect Core 9) and grant types (RFC 6749 §5.2). Introspection is for clients that
 * authenticate; to revoke, a public client only names itself (RFC 7009 §2.1).
 */
export function installClientAuthentication(
  provider: Provider,
  recordOf: RecordOf,
  { hasher, databaseNow, secretUses }: ClientAuthenticationParts,
): void {
  const prototype = provider.Client.prototype as Client & {
    compareClientSecret(presented: string): Promise<boolean>;
    grantTypeAllowed(type: string): boolean;
  };

  prototype.compareClientSecret = async function (this: Client, presented) {
    const record = recordOf(this);
    const now = databaseNow();
    const secret = matchClientSecret(hasher, record.secrets, presented, now);
    if (secret === undefined || record.authMethod !== presentedMethod()) return false;
    const unit = currentUnit();
    if (unit !== undefined) unit.credentialId = secret.id;
    secretUses.note(secret.id, now);
    return true;
  };

  // RFC 7662 §2.1: whoever asks about a token has proved who they are, lest tokens be tried out. The name of a public
  // client proves nothing, so here it has no method that the core could accept.
  Object.defineProperty(prototype, 'clientAuthMethod', {
    configurable: true,
    get(this: Client): string | undefined {
      const method = this.tokenEndpointAuthMethod;
      return method === 'none' && Provider.ctx?.oidc.route === 'introspection' ? undefined : method;
    },
  });

  const isAllowed = prototype.grantTypeAllowed;
  prototype.grantTypeAllowed = function (this: Client, type) {
    const allowed = isAllowed.call(this, type);
    // The core would answer invalid_request. Elsewhere it only wants to know, so nothing is thrown there.
    const oidc = Provider.ctx?.oidc;
    if (!allowed && oidc?.route === 'token' && oidc.params?.grant_type === type) {
      throw new errors.UnauthorizedClient('the client may not use this grant type');
    }
    return allowed;
  };
}
