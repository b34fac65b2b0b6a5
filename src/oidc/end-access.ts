import { appendAuditEvents } from '../audit/audit-log.js';
import type { Actor, RequestFacts } from '../audit/events.js';
import { ClientStore } from '../clients/client-store.js';
import type { Database, Transaction } from '../database/connect.js';
import type { Outbox } from '../delivery/outbox.js';
import type { EndAccess } from '../users/people-context.js';
import type { ArtifactPayload, ArtifactStore } from './artifact-store.js';
import type { PairwiseSubjects } from './pairwise-subjects.js';
import { SessionStore } from './session-store.js';

export interface EndAccessParts {
  readonly database: Database;
  readonly nodeId: string;
  readonly artifacts: ArtifactStore;
  readonly outbox: Outbox;
  readonly subjects: PairwiseSubjects;
}

export interface Ending {
  readonly now: number;
  readonly actor: Actor;
  readonly facts?: RequestFacts | undefined;
  /** In this transaction already. */
  readonly areClientsTold?: boolean | undefined;
}

interface SessionAuthorization {
  readonly sid?: string;
  readonly grantId?: string;
  /** Set by the core for grants whose tokens do not expire with their session. */
  readonly persistsLogout?: boolean;
}

/** Artifacts of an account that could still turn into a session or a token. */
const PENDING_MODELS = [
  'Interaction',
  'SignInStep',
  'BackchannelAuthenticationRequest',
  'DeviceCode',
] as const;

/** Ends sessions and grants, whole, in the transaction of whatever demands it. */
export class AccessEnding {
  readonly #parts: EndAccessParts;
  readonly #sessions = new SessionStore();
  readonly #clients = new ClientStore();

  constructor(parts: EndAccessParts) {
    this.#parts = parts;
  }

  /** @returns false if there is no such live session. */
  async endSession(trx: Transaction, sessionId: string, ending: Ending): Promise<boolean> {
    const { artifacts, database, nodeId } = this.#parts;
    const summary = await this.#sessions.find(trx, sessionId);
    if (summary === undefined || !(await this.#sessions.end(trx, sessionId, ending.now))) return false;
    const session = await artifacts.findSession(trx, sessionId);
    await artifacts.destroySession(trx, sessionId);
    for (const [clientId, authorization] of Object.entries(authorizationsOf(session))) {
      const { sid, grantId } = authorization;
      if (grantId !== undefined && !(await this.#isForAbsence(trx, grantId, authorization))) {
        await artifacts.revokeByGrantId(trx, grantId, ending.now);
      }
      if (ending.areClientsTold === true) continue;
      await this.notifyClient(trx, clientId, summary.userId, sid, ending.now);
    }
    await this.#takeAnswersBack(trx, summary, ending.now);
    const event = {
      event: 'session.ended',
      outcome: 'success',
      actor: ending.actor,
      subject: sessionId,
      userId: summary.userId,
      ...factsOf(ending.facts),
    } as const;
    await appendAuditEvents(database, trx, [event], nodeId, ending.now);
    return true;
  }

  /** OpenID Connect Core §11: the person has allowed this for when they are not there, so it outlives the sign-out. */
  async #isForAbsence(
    trx: Transaction,
    grantId: string,
    { persistsLogout }: SessionAuthorization,
  ): Promise<boolean> {
    if (persistsLogout !== true) return false;
    const grant = await this.#parts.artifacts.find(trx, 'Grant', grantId);
    const { scope = '' } = (grant?.openid ?? {}) as { readonly scope?: string };
    return scope.split(' ').includes('offline_access');
  }

  /** What was confirmed in a session for a client elsewhere, and that client has not fetched yet (CIBA). */
  async #takeAnswersBack(
    trx: Transaction,
    { sessionId, userId: accountId }: { readonly sessionId: string; readonly userId: string },
    now: number,
  ): Promise<void> {
    const { artifacts } = this.#parts;
    for (const request of await artifacts.list(trx, 'BackchannelAuthenticationRequest', { accountId }, now)) {
      const { sessionUid, grantId, consumed } = request;
      if (sessionUid !== sessionId || consumed !== undefined || typeof grantId !== 'string') continue;
      await artifacts.revokeByGrantId(trx, grantId, now);
    }
  }

  /** Everything but one session and what was granted in it. */
  readonly endAccess: EndAccess = async (trx, { userId, now, exceptSessionId, actor, facts }) => {
    const { artifacts } = this.#parts;
    const kept = new Set<string>();
    if (exceptSessionId !== undefined) {
      const session = await artifacts.findSession(trx, exceptSessionId);
      for (const { grantId } of Object.values(authorizationsOf(session))) {
        if (grantId !== undefined) kept.add(grantId);
      }
    }
    for (const sessionId of await this.#sessions.listLiveIds(trx, userId, now)) {
      if (sessionId !== exceptSessionId) await this.endSession(trx, sessionId, { now, actor, facts });
    }
    await this.revokeGrants(trx, { accountId: userId }, now, kept);
    await artifacts.destroyOf(trx, PENDING_MODELS, userId);
  };

  /** Each token of each grant is dead with it. */
  async revokeGrants(
    trx: Transaction,
    of: { readonly accountId?: string; readonly clientId?: string },
    now: number,
    except: ReadonlySet<string> = new Set(),
  ): Promise<number> {
    let revoked = 0;
    for (const { jti } of await this.#parts.artifacts.list(trx, 'Grant', of, now)) {
      if (typeof jti !== 'string' || except.has(jti)) continue;
      await this.#parts.artifacts.revokeByGrantId(trx, jti, now);
      revoked += 1;
    }
    return revoked;
  }

  /** OpenID Connect Back-Channel Logout 1.0 §2.3: every client that was signed in to in this session. */
  async notifyClient(
    trx: Transaction,
    clientId: string,
    userId: string,
    sid: string | undefined,
    now: number,
  ): Promise<void> {
    const client = await this.#clients.find(trx, clientId);
    if (client?.backchannelLogoutUri === undefined || client.disabledAt !== undefined) return;
    const subject = this.#parts.subjects.subjectFor(client, userId);
    await this.#parts.outbox.enqueue(trx, { kind: 'backchannel_logout', clientId, subject, sid }, now);
  }
}

function authorizationsOf(session: ArtifactPayload | undefined): Record<string, SessionAuthorization> {
  return (session?.authorizations ?? {}) as Record<string, SessionAuthorization>;
}

function factsOf(facts: RequestFacts | undefined): Partial<RequestFacts> {
  return facts === undefined ? {} : { ip: facts.ip, userAgent: facts.userAgent, requestId: facts.requestId };
}
