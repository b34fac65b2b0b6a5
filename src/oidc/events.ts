import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { Actor, AuditEvent, AuditEventName, RequestFacts } from '../audit/events.js';
import { isClientId } from '../crypto/random-id.js';
import { isResourceIdentifier } from '../resources/resource-server.js';
import type { UnitOfWork } from './unit-of-work.js';

/** Every event by which the core tells why it refused. */
const REFUSALS = [
  'grant.error',
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

type AuditedRoute = 'token' | 'introspection' | 'revocation';
const REFUSED: Readonly<Record<AuditedRoute, AuditEventName>> = {
  token: 'token.refused',
  introspection: 'token.introspection_refused',
  revocation: 'token.revocation_refused',
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
): AuditEvent | undefined {
  const { oidc } = ctx;
  const route = oidc?.route;
  if (oidc === undefined || !isAudited(route)) return undefined;
  const isRefused = ctx.status >= 400;
  const isAuthenticated = unit.credentialId !== undefined && oidc.client !== undefined;
  const clientId =
    oidc.client?.clientId ?? claimedClientId(ctx.headers.authorization, oidc.params?.client_id);
  const actor: Actor = isAuthenticated && clientId !== undefined ? `client:${clientId}` : 'anonymous';
  const common = {
    actor,
    clientId,
    credentialId: unit.credentialId,
    ip: facts.ip,
    userAgent: facts.userAgent,
    requestId: facts.requestId,
  };
  if (isRefused) {
    return {
      ...common,
      event: REFUSED[route],
      outcome: 'refused',
      resource: claimedResource(oidc.params?.resource),
      detail: { ...refusalDetail(unit.refusal), grant_type: claimedGrantType(oidc.params?.grant_type) },
    };
  }
  if (route === 'token') return { ...common, ...issued(oidc) };
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

/** The core knows opaque tokens only, and has removed the one it was shown if it is its caller's own. */
function isOwnOpaqueToken({ entities, client }: KoaContextWithOIDC['oidc']): boolean {
  const token = entities.ClientCredentials ?? entities.AccessToken ?? entities.RefreshToken;
  return token !== undefined && token.clientId === client?.clientId;
}

function issued(
  oidc: KoaContextWithOIDC['oidc'],
): Pick<AuditEvent, 'event' | 'outcome' | 'subject' | 'resource' | 'detail'> {
  const token = oidc.entities.ClientCredentials ?? oidc.entities.AccessToken;
  // The jti of an opaque token is the token itself.
  const isJwt = token?.resourceServer?.accessTokenFormat === 'jwt';
  return {
    event: 'token.issued',
    outcome: 'success',
    subject: isJwt ? token?.jti : undefined,
    resource: text(token?.aud),
    detail: { grant_type: text(oidc.params?.grant_type), scope: token?.scope ?? '' },
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
