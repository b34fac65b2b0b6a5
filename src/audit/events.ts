/** The closed catalogue: nothing is audited under a name that is not here. */
export const AUDIT_EVENTS = [
  'client.created',
  'client.updated',
  'client.disabled',
  'client.enabled',
  'client.deleted',
  'client_secret.created',
  'client_secret.expires_sooner',
  'client_secret.revoked',
  'resource_server.created',
  'resource_server.updated',
  'resource_server.deleted',
  'signing_key.announced',
  'signing_key.activated',
  'signing_key.promoted_unseen',
  'signing_key.retained',
  'signing_key.retired',
  'signing_key.revoked',
  'signing_key.destroyed',
  'grant.revoked',
  'token.issued',
  'token.refused',
  'token.introspected',
  'token.introspection_refused',
  'token.revoked',
  'token.revocation_refused',
  'database.adopted',
  'root_key.added',
  'root_key.rotated',
  'root_key.recovered',
  'root_key.recovery_added',
  'root_key.retired',
  'data_key.wrapped',
  'user.created',
  'user.imported',
  'user.invited',
  'user.updated',
  'user.disabled',
  'user.enabled',
  'user.locked',
  'user.unlocked',
  'user.deleted',
  'user.exported',
  'user.password_changed',
  'user.password_reset_requested',
  'user.email_verified',
  'user.email_changed',
  'user.factor_added',
  'user.factor_removed',
  'user.devices_forgotten',
  'user.recovery_codes_made',
  'user.identity_linked',
  'user.identity_unlinked',
  'sign_in.succeeded',
  'sign_in.refused',
  'sign_in.throttled',
  'session.ended',
  'authorization.granted',
  'authorization.refused',
  'authorization.pushed',
  'device.authorized',
  'device.refused',
  'backchannel_authentication.requested',
  'backchannel_authentication.answered',
  'backchannel_authentication.refused',
  'consent.granted',
  'consent.revoked',
  'userinfo.read',
  'userinfo.refused',
  'refresh_token.reused',
  'alert.raised',
  'key_ring.restore_confirmed',
  'mail.delivered',
  'mail.given_up',
  'logout.delivered',
  'logout.given_up',
] as const;
export type AuditEventName = (typeof AUDIT_EVENTS)[number];

/**
 * Who did it: `user:us_…`, `client:cl_…`, `os:ada@host` (the CLI), `node:…` (a job), `anonymous` (nobody proved who
 * they are).
 */
export type Actor = `user:${string}` | `client:${string}` | `os:${string}` | `node:${string}` | 'anonymous';

/** Values of facts that fit no column; never a secret, a token or a password. */
export type AuditDetail = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export interface AuditEvent {
  readonly event: AuditEventName;
  readonly outcome: 'success' | 'refused';
  readonly actor: Actor;
  /** What was acted on: a kid, a token's jti, a secret's id. */
  readonly subject?: string | undefined;
  readonly clientId?: string | undefined;
  /** The person concerned: what their own activity shows. */
  readonly userId?: string | undefined;
  /** The credential that opened the door: a client secret's id. */
  readonly credentialId?: string | undefined;
  readonly resource?: string | undefined;
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly requestId?: string | undefined;
  readonly detail?: AuditDetail;
  /** Of a token that can be revoked in a status list: how a later revocation finds its bit. */
  readonly status?:
    | {
        readonly listId: number;
        readonly index: number;
        /** The handle of the grant, for tokens that a person allowed. */
        readonly grantKey?: string | undefined;
      }
    | undefined;
}

/** What the edge knows of a request and the core does not. */
export interface RequestFacts {
  readonly requestId: string;
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
}
