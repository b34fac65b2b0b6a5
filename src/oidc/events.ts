import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { Actor, AuditEvent, AuditEventName } from '../audit/events.js';
import type { UnitOfWork } from './unit-of-work.js';

/** What the edge knows of a request and the core does not. */
export interface RequestFacts {
  readonly requestId: string;
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
}

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
      resource: text(oidc.params?.resource),
      detail: { ...refusalDetail(unit.refusal), grant_type: text(oidc.params?.grant_type) },
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
  if (unit.revoked === undefined) {
    return {
      ...common,
      event: 'token.revocation_refused',
      outcome: 'refused',
      detail: { error: 'not_its_token' },
    };
  }
  return { ...common, event: 'token.revoked', outcome: 'success', subject: unit.revoked };
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
  const reason = text(detail) ?? text(description);
  return { error: text(error) ?? 'server_error', ...(reason === undefined ? {} : { reason }) };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** Whom a guesser pretends to be: worth knowing, proves nothing. The secret beside it is never looked at. */
function claimedClientId(authorization: string | undefined, parameter: unknown): string | undefined {
  const basic = /^basic ([A-Za-z0-9+/]{1,2048}={0,2})$/i.exec(authorization ?? '')?.[1];
  if (basic === undefined) return text(parameter);
  const decoded = Buffer.from(basic, 'base64').toString('utf8');
  const end = decoded.indexOf(':');
  return end > 0 ? decoded.slice(0, end) : undefined;
}
