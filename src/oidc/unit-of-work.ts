import { AsyncLocalStorage } from 'node:async_hooks';
import { Provider } from 'oidc-provider';
import { appendAuditEvents } from '../audit/audit-log.js';
import type { AuditEvent, RequestFacts } from '../audit/events.js';
import type { Operation } from '../audit/group-commit.js';
import type { Database } from '../database/connect.js';

/** What one request has written so far; nothing of it is in the database before the answer is ready. */
export class UnitOfWork {
  /** Where the change feed stood when this request began to read. */
  readonly sequence: number;
  readonly facts: RequestFacts | undefined;
  readonly operations: Operation[] = [];
  readonly events: AuditEvent[] = [];
  /** Artifacts written or removed by this request: what it reads back must be what it wrote. */
  #artifacts: Map<string, Readonly<Record<string, unknown>> | undefined> | undefined;
  #revokedGrants: Set<string> | undefined;
  /** The client secret that opened the door. */
  credentialId: string | undefined;
  /** The jti of a JWT that was introspected or revoked; never that of an opaque token, which is the token itself. */
  introspected: string | undefined;
  revoked: string | undefined;
  /** Where the bit of the token that this request issues stands. */
  status: AuditEvent['status'];
  /** Why the core refused; its detail is for the audit, never for the answer. */
  refusal: unknown;
  /** A refresh token that was rotated a moment ago is repeated: its successor stands already. */
  repeatsRotation = false;

  constructor(sequence: number, facts: RequestFacts | undefined) {
    this.sequence = sequence;
    this.facts = facts;
  }

  /** Handles of the grants that this request ends. */
  get revokedGrants(): Set<string> {
    this.#revokedGrants ??= new Set();
    return this.#revokedGrants;
  }

  get endsGrants(): boolean {
    return this.#revokedGrants !== undefined;
  }

  /** Made when it is needed: most requests write no artifact. */
  get artifacts(): Map<string, Readonly<Record<string, unknown>> | undefined> {
    this.#artifacts ??= new Map();
    return this.#artifacts;
  }
}

/** Units of our own pages, which the core does not know about. */
const pages = new AsyncLocalStorage<UnitOfWork>();

/** The unit of the request under way; undefined outside one (a job, a test). */
export function currentUnit(): UnitOfWork | undefined {
  const unit: unknown = Provider.ctx?.state.unit;
  return unit instanceof UnitOfWork ? unit : pages.getStore();
}

/**
 * Runs what a page does with the core's models and commits it in one transaction.
 *
 * @throws AppError `stale` when somebody else was first, with nothing written.
 */
export async function inUnit<T>(
  { database, nodeId }: { readonly database: Database; readonly nodeId: string },
  facts: RequestFacts | undefined,
  work: (unit: UnitOfWork) => Promise<T>,
): Promise<T> {
  const unit = new UnitOfWork(0, facts);
  const result = await pages.run(unit, () => work(unit));
  if (unit.operations.length === 0 && unit.events.length === 0) return result;
  await database.transaction(async trx => {
    const now = await database.now(trx);
    for (const operation of unit.operations) await operation(trx, now);
    await appendAuditEvents(database, trx, unit.events, nodeId, now);
  });
  return result;
}
