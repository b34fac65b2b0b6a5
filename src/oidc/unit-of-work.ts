import type { AuditEvent } from '../audit/events.js';
import type { Operation } from '../audit/group-commit.js';

/** What one request has written so far; nothing of it is in the database before the answer is ready. */
export class UnitOfWork {
  /** Where the change feed stood when this request began to read. */
  readonly sequence: number;
  readonly operations: Operation[] = [];
  readonly events: AuditEvent[] = [];
  /** Artifacts written or removed by this request: what it reads back must be what it wrote. */
  #artifacts: Map<string, Readonly<Record<string, unknown>> | undefined> | undefined;
  /** The client secret that opened the door. */
  credentialId: string | undefined;
  /** The jti of a JWT that was introspected or revoked; never that of an opaque token, which is the token itself. */
  introspected: string | undefined;
  revoked: string | undefined;
  /** Why the core refused; its detail is for the audit, never for the answer. */
  refusal: unknown;

  constructor(sequence: number) {
    this.sequence = sequence;
  }

  /** Made when it is needed: most requests write no artifact. */
  get artifacts(): Map<string, Readonly<Record<string, unknown>> | undefined> {
    this.#artifacts ??= new Map();
    return this.#artifacts;
  }
}
