import { appendAuditEvents } from '../audit/audit-log.js';
import type { Database } from '../database/connect.js';
import { AppError } from '../errors.js';
import type { Acting } from '../users/people-context.js';
import type { ArtifactStore } from './artifact-store.js';
import { type Consent, ConsentStore } from './consent-store.js';
import type { AccessEnding } from './end-access.js';

export interface ConsentsParts {
  readonly database: Database;
  readonly nodeId: string;
  readonly artifacts: ArtifactStore;
  readonly ending: AccessEnding;
}

/** What people allow clients, as they and operators see it. */
export class Consents {
  readonly #parts: ConsentsParts;
  readonly #store = new ConsentStore();

  constructor(parts: ConsentsParts) {
    this.#parts = parts;
  }

  async list(of: { readonly userId?: string; readonly clientId?: string }): Promise<Consent[]> {
    return this.#parts.database.read(on => this.#store.list(on, of));
  }

  /** How many grants a withdrawal would end. */
  async countGrants(userId: string, clientId: string): Promise<number> {
    const { database, artifacts } = this.#parts;
    return database.read(async on => {
      const now = await database.now(on);
      return (await artifacts.list(on, 'Grant', { accountId: userId, clientId }, now)).length;
    });
  }

  /**
   * The client loses everything at once: each token of each grant is inactive from the commit on.
   *
   * @returns how many grants ended.
   * @throws AppError `not_found` if there is neither a consent nor a grant.
   */
  async revoke(userId: string, clientId: string, acting: Acting): Promise<number> {
    const { database, nodeId, ending } = this.#parts;
    return database.transaction(async trx => {
      const now = await database.now(trx);
      const existed = await this.#store.delete(trx, userId, clientId);
      const grants = await ending.revokeGrants(trx, { accountId: userId, clientId }, now);
      if (!existed && grants === 0) {
        throw new AppError('not_found', 'This person has allowed this client nothing. List the grants.');
      }
      const { actor, facts } = acting;
      const event = {
        event: 'consent.revoked',
        outcome: 'success',
        actor,
        userId,
        clientId,
        ip: facts?.ip,
        userAgent: facts?.userAgent,
        requestId: facts?.requestId,
        detail: { grants },
      } as const;
      await appendAuditEvents(database, trx, [event], nodeId, now);
      return grants;
    });
  }
}
