import type { SecretHasher } from '../crypto/secret-hash.js';
import type { ClientRecord } from './client.js';
import { matchClientSecret } from './client-secret.js';

export interface BasicCheckParts {
  readonly clients: { find(clientId: string): Promise<ClientRecord | undefined> };
  readonly hasher: SecretHasher;
  /** Database clock, milliseconds. */
  readonly databaseNow: () => number;
}

/**
 * The client that a Basic header proves, where nobody is refused for a wrong one: the caller is then as good as
 * anonymous. Requests that open something are authenticated by the core.
 *
 * @returns undefined for anything but a live secret of an enabled client that is registered for this method.
 */
export async function clientOfBasic(
  authorization: string,
  { clients, hasher, databaseNow }: BasicCheckParts,
): Promise<string | undefined> {
  const pair = readBasic(authorization);
  if (pair === undefined) return undefined;
  const client = await clients.find(pair.clientId);
  if (client === undefined || client.disabledAt !== undefined) return undefined;
  if (client.authMethod !== 'client_secret_basic') return undefined;
  const secret = matchClientSecret(hasher, client.secrets, pair.secret, databaseNow());
  return secret === undefined ? undefined : client.clientId;
}

/** RFC 6749 §2.3.1: both parts form-encoded, then Basic (RFC 7617 §2). */
function readBasic(authorization: string): { clientId: string; secret: string } | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  if (colon === -1) return undefined;
  try {
    const [clientId, secret] = [pair.slice(0, colon), pair.slice(colon + 1)].map(part =>
      decodeURIComponent(part.replaceAll('+', ' ')),
    );
    return clientId === undefined || secret === undefined ? undefined : { clientId, secret };
  } catch {
    return undefined;
  }
}
