import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { Actor, AuditEvent, AuditEventName, RequestFacts } from '../audit/events.js';
import { isClientId } from '../crypto/random-id.js';
import { isResourceIdentifier } from '../resources/resource-server.js';
import type { UnitOfWork } from './unit-of-work.js';

/** Every event by which the core tells why it refused. */
const REFUSALS = [
  'grant.error',
  'authorization.error',
  'pushed_authorization_request.error',
  'device_authorization.error',
  'backchannel_authentication.error',
  'code_verification.error',
  'device_resume.error',
  'end_session.error',
  'end_session_confirm.error',
  'end_session_success.error',
  'userinfo.error',
  'introspection.error',
  'revocation.error',
  'discovery.error',
  'jwks.error',
  'server_error',
] as const;

/** Notes the reason in the request's unit; what is audited is decided later, from the unit that is committed. */
export function noteRefusals(provider: Provider): void {
  const note = (ctx: { state: Record<string, unknown> }, error: unknown): void => {
    const unit = ctx.state.unit as UnitOfWork | undefined;
    if (unit !== undefined) unit.refusal = error;
  };
  for (const name of REFUSALS) {
    provider.on(name as 'server_error', (ctx, error) => note(ctx as never, error));
  }
}

const REFUSED = {
  token: 'token.refused',
  introspection: 'token.introspection_refused',
  revocation: 'token.revocation_refused',
  authorization: 'authorization.refused',
  resume: 'authorization.refused',
  pushed_authorization_request: 'authorization.refused',
  device_authorization: 'device.refused',
  code_verification: 'device.refused',
  device_resume: 'device.refused',
  backchannel_authentication: 'backchannel_authentication.refused',
  userinfo: 'userinfo.refused',
} as const satisfies Record<string, AuditEventName>;
type AuditedRoute = keyof typeof REFUSED;

/** What a success on these routes is called; the others have more to tell. */
const SUCCEEDED: { readonly [Route in AuditedRoute]?: AuditEventName } = {
  pushed_authorization_request: 'authorization.pushed',
  backchannel_authentication: 'backchannel_authentication.requested',
  userinfo: 'userinfo.read',
};

function isAudited(route: string | undefined): route is AuditedRoute {
  return route !== undefined && Object.hasOwn(REFUSED, route);
}

/** The one event of a request, or undefined for a route whose answers are public. */
export function auditEventOf(
  ctx: Partial<Pick<KoaContextWithOIDC, 'oidc'>> & {
    status: number;
    body: unknown;
    headers: { authorization?: string | undefined };
  },
  unit: UnitOfWork,
  facts: RequestFacts,
  kidOf: KidOf,
): AuditEvent | undefined {
  const { oidc } = ctx;
  const route = oidc?.route;
  if (oidc === undefined || !isAudited(route)) return undefined;
  // The front channel brings its refusals to the client by a redirect, and renders some with status 200.
  const isRefused = ctx.status >= 400 || (unit.refusal !== undefined && !isAudibleLater(unit.refusal));
  const isAuthenticated = unit.credentialId !== undefined && oidc.client !== undefined;
  const clientId =
    oidc.client?.clientId ?? claimedClientId(ctx.headers.authorization, oidc.params?.client_id);
  const userId = personOf(oidc);
  const actor: Actor =
    isAuthenticated && clientId !== undefined ? `client:${clientId}` : personOrNobody(oidc);
  const common = {
    actor,
    clientId,
    userId,
    credentialId: unit.credentialId,
    ip: facts.ip,
    userAgent: facts.userAgent,
    requestId: facts.requestId,
  };
  if (isRefused) {
    return {
      ...common,
      event: isReuse(unit.refusal) ? 'refresh_token.reused' : REFUSED[route],
      outcome: 'refused',
      resource: claimedResource(oidc.params?.resource),
      detail: { ...refusalDetail(unit.refusal), grant_type: claimedGrantType(oidc.params?.grant_type) },
    };
  }
  if (route === 'token') return { ...common, ...issued(oidc, ctx.body, kidOf), status: unit.status };
  if (route === 'authorization' || route === 'resume') return granted(oidc, common, 'AuthorizationCode');
  if (route === 'code_verification' || route === 'device_resume') return granted(oidc, common, 'DeviceCode');
  const succeeded = SUCCEEDED[route];
  if (succeeded !== undefined) return { ...common, event: succeeded, outcome: 'success' };
  if (route === 'device_authorization') return undefined;
  if (route === 'introspection') {
    const isActive = (ctx.body as { active?: unknown } | undefined)?.active === true;
    return {
      ...common,
      event: 'token.introspected',
      outcome: 'success',
      subject: isActive ? unit.introspected : undefined,
      detail: { active: isActive },
    };
  }
  if (unit.revoked === undefined && !isOwnOpaqueToken(oidc)) {
    return {
      ...common,
      event: 'token.revocation_refused',
      outcome: 'refused',
      detail: { error: 'not_its_token' },
    };
  }
  return { ...common, event: 'token.revoked', outcome: 'success', subject: unit.revoked };
}

/** A grant that ended with this request: revoked by its client, or given away by a replay (RFC 6749 §4.1.2). */
export function revokedGrantEvents(
  { oidc }: Partial<Pick<KoaContextWithOIDC, 'oidc'>>,
  unit: UnitOfWork,
  { ip, userAgent, requestId }: RequestFacts,
): AuditEvent[] {
  if (oidc === undefined) return [];
  const clientId = oidc.client?.clientId;
  const isClient = unit.credentialId !== undefined && clientId !== undefined;
  return [...unit.revokedGrants].map(subject => ({
    event: 'grant.revoked',
    outcome: 'success',
    actor: isClient ? `client:${clientId}` : personOrNobody(oidc),
    subject,
    clientId,
    userId: personOf(oidc),
    ip,
    userAgent,
    requestId,
  }));
}

/** The core's own words for the one refusal that tells of a thief. */
function isReuse(refusal: unknown): boolean {
  return (refusal as { error_detail?: unknown } | undefined)?.error_detail === 'refresh token already used';
}

/** A page shown again (no code typed, say) is no refusal; the answer to it will be told. */
function isAudibleLater(refusal: unknown): boolean {
  return refusal instanceof Error && (refusal.name === 'NoCodeError' || refusal.name === 'AbortedError');
}

function personOf({ account, session, entities }: KoaContextWithOIDC['oidc']): string | undefined {
  const token =
    entities.AccessToken ?? entities.RefreshToken ?? entities.AuthorizationCode ?? entities.DeviceCode;
  return account?.accountId ?? token?.accountId ?? session?.accountId;
}

function personOrNobody({ session }: KoaContextWithOIDC['oidc']): Actor {
  const userId = session?.accountId;
  return userId === undefined ? 'anonymous' : `user:${userId}`;
}

/** Something was granted only where the flow has come to its end: pages in between are no event. */
function granted(
  oidc: KoaContextWithOIDC['oidc'],
  common: Omit<AuditEvent, 'event' | 'outcome'>,
  entity: 'AuthorizationCode' | 'DeviceCode',
): AuditEvent | undefined {
  const source = oidc.entities[entity];
  if (source?.grantId === undefined) return undefined;
  const event = entity === 'DeviceCode' ? 'device.authorized' : 'authorization.granted';
  return {
    ...common,
    event,
    outcome: 'success',
    resource: [source.resource ?? []].flat()[0],
    detail: { scope: source.scope ?? '' },
  };
}

/** The core knows opaque tokens only, and has removed the one it was shown if it is its caller's own. */
function isOwnOpaqueToken({ entities, client }: KoaContextWithOIDC['oidc']): boolean {
  const token = entities.ClientCredentials ?? entities.AccessToken ?? entities.RefreshToken;
  return token !== undefined && token.clientId === client?.clientId;
}

function issued(
  oidc: KoaContextWithOIDC['oidc'],
  body: unknown,
  kidOf: KidOf,
): Pick<AuditEvent, 'event' | 'outcome' | 'subject' | 'resource' | 'detail'> {
  const token = oidc.entities.ClientCredentials ?? oidc.entities.AccessToken;
  // The jti of an opaque token is the token itself.
  const isJwt = token?.resourceServer?.accessTokenFormat === 'jwt';
  const { access_token: accessToken, id_token: idToken } = (body ?? {}) as Record<string, unknown>;
  return {
    event: 'token.issued',
    outcome: 'success',
    subject: isJwt ? token?.jti : undefined,
    resource: text(token?.aud),
    // Which key signed what, and until when it counts: what an emergency asks first.
    detail: {
      grant_type: text(oidc.params?.grant_type),
      scope: token?.scope ?? '',
      kid: isJwt ? kidOf(accessToken) : undefined,
      expires_in: token?.expiration,
      id_token_kid: kidOf(idToken),
    },
  };
}

/** RFC 7515 §4.1.4, of a token that this server has just signed. */
export type KidOf = (jwt: unknown) => string | undefined;

/** Headers of a key and a kind of token; a ring has a few. */
const MOST_HEADERS = 64;

/** Reads each header once: all tokens of a key and a kind begin with the same one. */
export function kidReader(): KidOf {
  const known = new Map<string, string | undefined>();
  return jwt => {
    if (typeof jwt !== 'string') return undefined;
    const header = jwt.slice(0, Math.max(0, jwt.indexOf('.')));
    if (header === '') return undefined;
    const read = known.get(header);
    if (read !== undefined) return read;
    if (known.size >= MOST_HEADERS) known.clear();
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString('utf8')) as { kid?: unknown };
    known.set(header, text(kid));
    return text(kid);
  };
}

function refusalDetail(refusal: unknown): { error: string; reason?: string } {
  if (!(refusal instanceof Error)) return { error: 'unknown' };
  const {
    error,
    error_detail: detail,
    error_description: description,
  } = refusal as Error & Record<string, unknown>;
  const reason = short(detail) ?? short(description);
  return { error: text(error) ?? 'server_error', ...(reason === undefined ? {} : { reason }) };
}

/** A caller chooses its length, and a refusal costs it nothing. */
function short(value: unknown): string | undefined {
  return text(value)?.slice(0, 256);
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/*
 * What an unproven caller says of itself is worth knowing and proves nothing. Only what has the form of the thing
 * asked for is kept: a secret or token in the wrong place (id and secret exchanged, say) must not end up readable.
 */

function claimedClientId(authorization: string | undefined, parameter: unknown): string | undefined {
  const basic = /^basic ([A-Za-z0-9+/]{1,2048}={0,2})$/i.exec(authorization ?? '')?.[1];
  const claimed =
    basic === undefined ? text(parameter) : Buffer.from(basic, 'base64').toString('utf8').split(':')[0];
  return claimed !== undefined && isClientId(claimed) ? claimed : undefined;
}

function claimedResource(value: unknown): string | undefined {
  return isResourceIdentifier(value) && !/cvg_|eyJ/.test(value) ? value : undefined;
}

function claimedGrantType(value: unknown): string | undefined {
  const claimed = text(value);
  if (claimed === undefined) return undefined;
  return /^(?:[a-z_]{1,32}|urn:[a-z0-9:_-]{1,100})$/.test(claimed) ? claimed : 'malformed';
}
