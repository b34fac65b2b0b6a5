import { randomBytes } from 'node:crypto';
import type { Client, Provider } from 'oidc-provider';
import { accountClient } from '../clients/account-client.js';
import type { ClientRecord } from '../clients/client.js';
import { postLogoutRedirectUriMatches, redirectUriMatches } from '../clients/redirect-uri.js';
import type { RecordCache } from '../database/record-cache.js';
import { SharedValues } from '../database/shared-values.js';

/** Our record of a client, from the core's built object: scopes, secrets and what else the core does not know. */
export type RecordOf = (client: Client) => ClientRecord;

const RECORD: unique symbol = Symbol('record');
type BuiltClient = Client & { [RECORD]?: ClientRecord };

/**
 * The core demands a client secret in the metadata of a client that authenticates with one, and would use it as
 * a key for HS256, which is switched off. It gets a value that nobody knows and no request is compared with.
 */
const PLACEHOLDER_SECRET = randomBytes(32).toString('base64url');

/**
 * What the core allows of the scopes it knows. It takes an empty list as "all of them", so no scope is a blank; and it
 * refuses a client that names a scope which the operator no longer offers, so it is told after its own checks.
 */
function allowedScopes({ oidcScopes }: ClientRecord): string {
  return oidcScopes.length === 0 ? ' ' : oidcScopes.join(' ');
}

/** The record in the core's words. What is undefined there is left to the core's defaults, which are the record's. */
export function metadataOf(record: ClientRecord): Record<string, unknown> {
  const isPublic = record.authMethod === 'none';
  const isPolling = record.grantTypes.includes('urn:openid:params:grant-type:ciba');
  // Several hosts need a sector that somebody has named; the core looks for it in an address, which is never fetched.
  const sector = record.sectorIdentifier;
  return {
    client_id: record.clientId,
    client_name: record.name,
    ...(isPublic ? {} : { client_secret: PLACEHOLDER_SECRET }),
    token_endpoint_auth_method: record.authMethod,
    application_type: record.applicationType,
    grant_types: [...record.grantTypes],
    response_types: [...record.responseTypes],
    response_modes: [...record.responseModes],
    redirect_uris: [...record.redirectUris],
    post_logout_redirect_uris: [...record.postLogoutRedirectUris],
    subject_type: record.subjectType,
    sector_identifier_uri: sector === undefined ? undefined : `https://${sector}/`,
    id_token_signed_response_alg: record.idTokenSignedResponseAlg,
    userinfo_signed_response_alg: record.userinfoSignedResponseAlg,
    authorization_signed_response_alg: record.authorizationSignedResponseAlg,
    request_object_signing_alg: record.requestObjectSigningAlg,
    jwks: record.jwks === undefined ? undefined : { keys: record.jwks.keys.map(key => ({ ...key })) },
    require_pushed_authorization_requests: record.requirePar,
    dpop_bound_access_tokens: record.dpopBound,
    backchannel_logout_uri: record.backchannelLogoutUri,
    backchannel_logout_session_required: record.backchannelLogoutSessionRequired,
    backchannel_token_delivery_mode: isPolling ? 'poll' : undefined,
    default_max_age: record.defaultMaxAge,
    require_auth_time: record.requireAuthTime,
    default_acr_values: record.defaultAcrValues.length === 0 ? undefined : [...record.defaultAcrValues],
    client_uri: record.clientUri,
    policy_uri: record.policyUri,
    tos_uri: record.tosUri,
    initiate_login_uri: record.initiateLoginUri,
    contacts: record.contacts.length === 0 ? undefined : [...record.contacts],
  };
}

/** JARM §2.3.4: `jwt` is the signed form of the type's default mode, which of ours is the query in each case. */
function longMode(mode: string): string {
  return mode === 'jwt' ? 'query.jwt' : mode;
}

function recordFrom(client: Client): ClientRecord {
  const record = (client as BuiltClient)[RECORD];
  if (record === undefined) throw new TypeError('not a client of this server');
  return record;
}

/**
 * Replaces the core's look-up of clients. Its own reads the adapter, serialises and hashes the metadata on each
 * request and keeps 100 built clients; ours keeps the built client beside the cached record, for as long as the
 * record itself is in memory. Built clients belong to one Provider, so each Provider installs its own.
 */
export function installClients(
  provider: Provider,
  clients: RecordCache<ClientRecord>,
  issuer: string,
): RecordOf {
  const built = new WeakMap<ClientRecord, BuiltClient>();
  const lists = new SharedValues<readonly unknown[]>();
  const Client = provider.Client as typeof provider.Client & {
    new (metadata: Record<string, unknown>): BuiltClient;
  };

  function build(record: ClientRecord): BuiltClient {
    const client = new Client(metadataOf(record));
    Object.assign(client, { scope: allowedScopes(record) });
    for (const [name, value] of Object.entries(client)) {
      // The core makes every client its own copy of every empty list.
      if (Array.isArray(value))
        Object.assign(client, { [name]: lists.of(JSON.stringify(value), () => value) });
    }
    client[RECORD] = record;
    built.set(record, client);
    return client;
  }

  // Registered addresses are compared by our rule: the core would let the port of `localhost` differ too.
  Object.assign(Client.prototype, {
    redirectUriAllowed(this: BuiltClient, uri: string): boolean {
      return redirectUriMatches(recordFrom(this), uri);
    },
    postLogoutRedirectUriAllowed(this: BuiltClient, uri: string): boolean {
      return postLogoutRedirectUriMatches(recordFrom(this), uri);
    },
    // RFC 6749 §4.1.2.1: what is wrong with `token` is the type, not the fragment that would be its default mode. The
    // core, which looks at the mode first, refuses the type right after; repeated words it reads as one.
    responseModeAllowed(this: BuiltClient, mode: string, responseType: string | undefined): boolean {
      const isOffered = (responseType ?? '').split(' ').every(word => ['', 'code', 'none'].includes(word));
      return (
        !isOffered || recordFrom(this).responseModes.some(allowed => longMode(allowed) === longMode(mode))
      );
    },
  });

  const ofAccounts = accountClient(issuer);

  Client.find = async (id: string): Promise<Client | undefined> => {
    if (typeof id !== 'string' || id === '') return undefined;
    if (id === ofAccounts.clientId) return built.get(ofAccounts) ?? build(ofAccounts);
    const record = clients.peek(id) ?? (await clients.find(id));
    // A disabled client is to the outside what an unknown one is.
    if (record === undefined || record.disabledAt !== undefined) return undefined;
    return built.get(record) ?? build(record);
  };

  return recordFrom;
}
