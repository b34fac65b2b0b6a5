import { isObject } from './access-token-claims.js';
import {
  checkedUrl,
  type Fetch,
  type FetchedJson,
  type FetchLimits,
  fetchJson,
  UnexpectedStatus,
} from './fetch-json.js';

export interface DiscoveryOptions {
  readonly issuer: string;
  readonly fetch: Fetch;
  readonly limits: FetchLimits;
  readonly isHttpAllowed: boolean;
}

/** OpenID Connect Discovery §4 appends to the issuer, RFC 8414 §3.1 inserts before its path. */
export function metadataUrls(issuer: string): readonly [string, string] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  return [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ];
}

/**
 * One URL out of the authorization server's metadata, e.g. `jwks_uri`.
 *
 * @throws Error when neither document can be had, when it names another issuer (RFC 8414 §3.3: whoever answers for a
 * foreign issuer could hand us his own keys), or when the member is no acceptable URL.
 */
export async function discoverUrl(member: string, options: DiscoveryOptions): Promise<string> {
  const { value } = await fetchMetadata(options);
  // Byte by byte: no normalisation of slash, case or port.
  if (!isObject(value) || value.issuer !== options.issuer)
    throw new Error(`the metadata of ${options.issuer} names another issuer`);
  const url = value[member];
  if (typeof url !== 'string') throw new Error(`the metadata of ${options.issuer} has no ${member}`);
  return checkedUrl(url, member, options.isHttpAllowed);
}

async function fetchMetadata({ issuer, fetch: fetchIt, limits }: DiscoveryOptions): Promise<FetchedJson> {
  const [openid, oauth] = metadataUrls(issuer);
  const init = { headers: { accept: 'application/json' } };
  try {
    return await fetchJson(fetchIt, openid, init, limits);
  } catch (error) {
    if (!(error instanceof UnexpectedStatus) || error.status !== 404) throw error;
    return await fetchJson(fetchIt, oauth, init, limits);
  }
}
