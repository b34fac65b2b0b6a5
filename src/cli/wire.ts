import type { ClientRecord } from '../clients/client.js';
import { type ClientSecretRecord, secretState } from '../clients/client-secret.js';
import { metadataJson } from '../clients/metadata-json.js';
import { toRfc3339 } from '../clock.js';
import type { RotationDecision, UpcomingEvent } from '../keys/key-schedule.js';
import type { Ring, SigningKey } from '../keys/signing-key.js';
import type { AlgorithmFinding } from '../oidc/algorithm-findings.js';
import type { Consent } from '../oidc/consent-store.js';
import type { ListedSession } from '../oidc/sessions.js';
import type { ResourceServer } from '../resources/resource-server.js';
import type { User } from '../users/user.js';

/** The one place where camelCase and milliseconds become snake_case and RFC 3339 for this surface. */

export function instant(milliseconds: number | undefined): string | null {
  return milliseconds === undefined || !Number.isFinite(milliseconds) ? null : toRfc3339(milliseconds);
}

export function resourceJson(server: ResourceServer) {
  return {
    id: server.id,
    identifier: server.identifier,
    name: server.name,
    scopes: server.scopes,
    scope_descriptions: server.scopeDescriptions,
    alg: server.alg,
    access_token_for: server.accessTokenFor,
    access_token_format: server.accessTokenFormat,
    revocation: server.revocation,
    introspectors: server.introspectors,
    created_at: toRfc3339(server.createdAt),
    updated_at: toRfc3339(server.updatedAt),
  };
}

export function clientJson(client: ClientRecord, now: number) {
  return {
    client_id: client.clientId,
    name: client.name,
    token_endpoint_auth_method: client.authMethod,
    grant_types: client.grantTypes,
    response_types: client.responseTypes,
    ...metadataJson(client),
    resources: client.resources.map(({ identifier, scopes, defaultScopes, isDefault }) => ({
      identifier,
      scopes,
      default_scopes: defaultScopes,
      is_default: isDefault,
    })),
    disabled: client.disabledAt !== undefined,
    disabled_at: instant(client.disabledAt),
    secrets: client.secrets.map(secret => secretJson(secret, now)),
    created_at: toRfc3339(client.createdAt),
    updated_at: toRfc3339(client.updatedAt),
  };
}

/** Nothing of the secret itself, which nobody can read any more. */
export function secretJson(secret: ClientSecretRecord, now: number) {
  return {
    id: secret.id,
    client_id: secret.clientId,
    name: secret.name,
    state: secretState(secret, now),
    created_by: secret.createdBy,
    created_at: toRfc3339(secret.createdAt),
    expires_at: instant(secret.expiresAt),
    revoked_at: instant(secret.revokedAt),
    last_used_at: instant(secret.lastUsedAt),
  };
}

/** Nothing of the password but whether there is one. */
export function userJson(user: User) {
  return {
    id: user.id,
    email: user.email,
    email_verified: user.emailVerifiedAt !== undefined,
    profile: user.profile,
    groups: user.groups,
    custom_claims: user.customClaims,
    has_password: user.hasPassword,
    password_changed_at: instant(user.passwordChangedAt),
    has_totp: user.hasTotp,
    disabled: user.disabledAt !== undefined,
    disabled_at: instant(user.disabledAt),
    locked: user.lockedAt !== undefined,
    locked_at: instant(user.lockedAt),
    last_sign_in_at: instant(user.lastSignInAt),
    created_at: toRfc3339(user.createdAt),
    updated_at: toRfc3339(user.updatedAt),
  };
}

export function keyJson(key: SigningKey, events: readonly UpcomingEvent[]) {
  const planned = (kind: UpcomingEvent['kind']) =>
    instant(events.find(event => event.kind === kind && event.kid === key.kid)?.at);
  return {
    kid: key.kid,
    alg: key.alg,
    state: key.state,
    place: key.external?.place ?? 'local',
    created_at: toRfc3339(key.createdAt),
    announced_at: toRfc3339(key.announcedAt),
    activates_at: planned('activate'),
    activated_at: instant(key.activatedAt),
    retained_at: instant(key.retainedAt),
    retires_at: planned('retire'),
    retired_at: instant(key.retiredAt),
    revoked_at: instant(key.revokedAt),
  };
}

export function algorithmJson({ alg, finding, remedy, users }: AlgorithmFinding) {
  return {
    ...{ alg, finding, remedy },
    used_by: { resource_servers: users.resourceServers, clients: users.clients },
  };
}

export function ringJson(ring: Ring, events: readonly UpcomingEvent[]) {
  return {
    version: ring.version,
    keys: ring.keys.map(key => keyJson(key, events)),
    next: events.map(({ kind, alg, kid, at, waitsForNodeIds, waitsForVerifiers, waitsUntil }) => ({
      kind,
      alg,
      kid: kid ?? null,
      at: instant(at),
      waits_for_nodes: waitsForNodeIds,
      waits_for_verifiers: waitsForVerifiers ?? [],
      waits_until: instant(waitsUntil),
    })),
  };
}

export function decisionJson(decision: RotationDecision) {
  const { alg, outcome } = decision;
  switch (decision.outcome) {
    case 'rotates': {
      const { transition } = decision;
      const kid = transition.kind === 'activate' ? transition.kid : null;
      return {
        alg,
        outcome,
        kid,
        retains: transition.kind === 'activate' ? (transition.demotes ?? null) : null,
      };
    }
    case 'waits_for_announcement': {
      const { kid, until, nowFrom } = decision;
      return { alg, outcome, kid, until: instant(until), now_from: instant(nowFrom) };
    }
    case 'waits_for_nodes':
      return { alg, outcome, kid: decision.kid, node_ids: decision.nodeIds };
    case 'waits_for_verifiers':
      return {
        ...{ alg, outcome, kid: decision.kid },
        verifiers: decision.verifiers,
        until: instant(decision.until),
      };
    case 'successor_damaged':
      return { alg, outcome, kid: decision.kid };
    case 'needs_acceptance':
      return { alg, outcome, kid: decision.kid, safe_at: instant(decision.safeAt) };
    default:
      return { alg, outcome };
  }
}

/** The id ends the session and opens nothing: it is no cookie. */
export function sessionJson(session: ListedSession) {
  return {
    session_id: session.sessionId,
    user_id: session.userId,
    amr: session.amr,
    ip: session.ip ?? null,
    user_agent: session.userAgent ?? null,
    client_ids: session.clientIds,
    created_at: toRfc3339(session.createdAt),
    last_used_at: toRfc3339(session.lastUsedAt),
    expires_at: toRfc3339(session.expiresAt),
  };
}

export function grantJson({ userId, clientId, granted, createdAt, updatedAt, lastUsedAt }: Consent) {
  return {
    user_id: userId,
    client_id: clientId,
    oidc_scopes: granted.oidcScopes,
    claims: granted.claims,
    resources: Object.entries(granted.resources).map(([identifier, scopes]) => ({ identifier, scopes })),
    created_at: toRfc3339(createdAt),
    updated_at: toRfc3339(updatedAt),
    last_used_at: toRfc3339(lastUsedAt),
  };
}
