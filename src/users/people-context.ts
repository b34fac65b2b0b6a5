import type { Actor, RequestFacts } from '../audit/events.js';
import type { Config } from '../config/config.js';
import type { Envelope } from '../crypto/envelope.js';
import type { PasswordHasher } from '../crypto/password-hash.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import type { Database, Transaction } from '../database/connect.js';
import type { Outbox } from '../delivery/outbox.js';

/**
 * Ends what hangs on an account, in the transaction of the change that demands it: sessions, grants and every token
 * of them, with logout notices to clients. Given in by whoever knows about sessions and grants, which lie above.
 */
export type EndAccess = (
  trx: Transaction,
  options: {
    readonly userId: string;
    readonly now: number;
    /** This session and what was granted in it stays: the person who changes the password goes on. */
    readonly exceptSessionId?: string | undefined;
    readonly actor: Actor;
    readonly facts?: RequestFacts | undefined;
  },
) => Promise<void>;

/** What every change of an account needs. */
export interface PeopleContext {
  readonly config: Pick<Config, 'issuer' | 'users' | 'branding' | 'rateLimits' | 'environment'>;
  readonly database: Database;
  readonly nodeId: string;
  readonly hasher: SecretHasher;
  /** For TOTP secrets and the payloads of links. */
  readonly envelope: Envelope;
  readonly passwords: PasswordHasher;
  readonly outbox: Outbox;
  readonly endAccess: EndAccess;
}

/** Who acts, and from where. */
export interface Acting {
  readonly actor: Actor;
  readonly facts?: RequestFacts | undefined;
  /** The session in which it happens, if any; a change of the password leaves it alone. */
  readonly sessionId?: string | undefined;
}
