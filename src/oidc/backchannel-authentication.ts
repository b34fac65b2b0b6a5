import { errors, type Provider } from 'oidc-provider';
import type { RequestFacts } from '../audit/events.js';
import type { ClientRecord } from '../clients/client.js';
import type { Database } from '../database/connect.js';
import type { Outbox } from '../delivery/outbox.js';
import { AppError } from '../errors.js';
import { emailKey } from '../users/account-input.js';
import type { User } from '../users/user.js';
import { UserStore } from '../users/user-store.js';
import type { ArtifactStore } from './artifact-store.js';
import type { BackchannelRequests } from './backchannel-feature.js';
import type { CurrentProvider } from './current-provider.js';
import { addAccess } from './granted-access.js';
import { demandedRank, rankOf, requestedAcrs } from './interaction-policy.js';
import type { CurrentSession } from './sessions.js';
import { currentUnit, inUnit } from './unit-of-work.js';

export interface BackchannelAuthenticationParts {
  readonly issuer: string;
  readonly database: Database;
  readonly nodeId: string;
  readonly artifacts: ArtifactStore;
  readonly outbox: Outbox;
  readonly identityScopes: readonly string[];
  /** Counts a mail to this person; false: they have had enough of them. */
  readonly mayMail?: (userId: string) => Promise<boolean>;
}

/** A client elsewhere asks this person to confirm. */
export interface PendingBackchannelRequest {
  /** Shown in addresses of the account pages; opens nothing. */
  readonly handle: string;
  readonly client: ClientRecord;
  readonly bindingMessage: string | undefined;
  readonly scopes: readonly string[];
  /** Milliseconds. */
  readonly askedAt: number;
  readonly demandsSecondFactor: boolean;
}

interface StoredRequest {
  readonly jti: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly scope?: string;
  readonly resource?: string | readonly string[];
  readonly params?: Readonly<Record<string, unknown>>;
  readonly iat: number;
  readonly grantId?: string;
  readonly error?: string;
}

const MODEL = 'BackchannelAuthenticationRequest';
/** Milliseconds, longer than any request lives. */
const ANSWER_KEPT_FOR = 3_600_000;

/** OpenID Connect CIBA, poll mode: the person answers on the account pages, of which a mail tells. */
export class BackchannelAuthentication implements BackchannelRequests {
  readonly #parts: BackchannelAuthenticationParts;
  readonly #current: () => CurrentProvider;
  readonly #users = new UserStore();

  constructor(parts: BackchannelAuthenticationParts, current: () => CurrentProvider) {
    this.#parts = parts;
    this.#current = current;
  }

  async userIdOf(loginHint: string): Promise<string | undefined> {
    const user = await this.#parts.database.read(on => this.#users.findByEmailKey(on, emailKey(loginHint)));
    return user?.id;
  }

  /** In the transaction of the request: who is asked must be able to learn of it. */
  async tell(userId: string, client: ClientRecord): Promise<void> {
    const { database, outbox, issuer, mayMail } = this.#parts;
    if (mayMail !== undefined && !(await mayMail(userId))) return;
    const user: User | undefined = await database.read(on => this.#users.find(on, userId));
    if (user === undefined) return;
    currentUnit()?.operations.push((trx, now) =>
      outbox.enqueue(
        trx,
        {
          kind: 'mail',
          to: user.email,
          locale: user.profile.locale ?? '',
          userId,
          mail: 'backchannel-request',
          values: { client: client.name, url: `${issuer}/account/requests` },
        },
        now,
      ),
    );
  }

  async list(userId: string): Promise<PendingBackchannelRequest[]> {
    const pending: PendingBackchannelRequest[] = [];
    for (const request of await this.#stored(userId)) {
      const { provider, recordOf } = this.#current().built;
      const client = await provider.Client.find(request.clientId);
      if (client === undefined) continue;
      const message = request.params?.binding_message;
      pending.push({
        handle: this.#parts.artifacts.rowId(MODEL, request.jti),
        client: recordOf(client),
        bindingMessage: typeof message === 'string' ? message : undefined,
        scopes: (request.scope ?? '').split(' ').filter(scope => scope !== ''),
        askedAt: request.iat * 1000,
        demandsSecondFactor: demandsSecondFactor(request),
      });
    }
    return pending;
  }

  /**
   * @param session of the person, who has just proved to be there
   * @throws AppError `not_found` if the request is not theirs, has been answered or has expired; `invalid_request` if
   * it asks for two factors and the session has one.
   */
  async answer(
    session: CurrentSession,
    handle: string,
    isAllowed: boolean,
    facts: RequestFacts,
  ): Promise<void> {
    const { artifacts } = this.#parts;
    const stored = (await this.#stored(session.userId)).find(
      ({ jti }) => artifacts.rowId(MODEL, jti) === handle,
    );
    if (stored === undefined)
      throw new AppError('not_found', 'There is no such request, or it has been answered.');
    // CIBA Core §7.1, acr_values: less than was asked for would be told as if it were enough. A no needs no proof.
    if (isAllowed && demandsSecondFactor(stored) && rankOf(session.acr) < 2) {
      throw new AppError('invalid_request', 'This request needs a sign-in with two factors. Sign in again.');
    }
    await inUnit(this.#parts, facts, async unit => {
      // Of two answers at once, in two tabs or at two nodes, the first counts; the core would keep the last.
      unit.operations.push((trx, now) =>
        artifacts.insertOnce(trx, 'BackchannelAnswer', stored.jti, now + ANSWER_KEPT_FOR, now),
      );
      const { provider } = this.#current().built;
      await provider.backchannelResult(
        stored.jti,
        isAllowed
          ? await this.#grantFor(provider, stored)
          : new errors.AccessDenied('End-User denied the request'),
        {
          acr: session.acr ?? '',
          amr: [...session.amr],
          authTime: Math.floor(session.authenticatedAt / 1000),
          // Until it is fetched, the answer is worth as much as the session it was given in.
          sessionUid: session.sessionId,
        },
      );
      unit.events.push({
        event: 'backchannel_authentication.answered',
        outcome: isAllowed ? 'success' : 'refused',
        actor: `user:${session.userId}`,
        userId: session.userId,
        clientId: stored.clientId,
        ip: facts.ip,
        userAgent: facts.userAgent,
        requestId: facts.requestId,
        detail: { scope: stored.scope ?? '' },
      });
    });
  }

  async #grantFor(provider: Provider, request: StoredRequest): Promise<string> {
    const grant = new provider.Grant({ accountId: request.accountId, clientId: request.clientId });
    const scopes = (request.scope ?? '').split(' ').filter(scope => scope !== '');
    const identity = new Set(this.#parts.identityScopes);
    const resources: Record<string, string[]> = {};
    for (const identifier of [request.resource ?? []].flat()) {
      resources[identifier] = scopes.filter(scope => !identity.has(scope));
    }
    addAccess(grant, { oidcScopes: scopes.filter(scope => identity.has(scope)), claims: [], resources });
    return grant.save();
  }

  async #stored(userId: string): Promise<StoredRequest[]> {
    const { database, artifacts } = this.#parts;
    const found = await database.read(async on =>
      artifacts.list(on, MODEL, { accountId: userId }, await database.now(on)),
    );
    return (found as unknown as StoredRequest[]).filter(
      ({ grantId, error }) => grantId === undefined && error === undefined,
    );
  }
}

function demandsSecondFactor({ params = {} }: StoredRequest): boolean {
  return demandedRank(requestedAcrs(params)) === 2;
}
