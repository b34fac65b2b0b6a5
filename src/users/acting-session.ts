import type { Transaction } from '../database/connect.js';
import { AppError } from '../errors.js';
import type { Acting } from './people-context.js';

/**
 * In the transaction of what opens an account. The request was let in by its session a moment before; if a new password
 * has ended that session meanwhile, a thief's factor or address must not come after it.
 *
 * @throws AppError `stale`
 */
export async function assertActingSession(trx: Transaction, { sessionId }: Acting): Promise<void> {
  // An operator, or somebody with a link from a mail.
  if (sessionId === undefined) return;
  const live = await trx('sessions').where({ session_id: sessionId, ended_at: null }).first('session_id');
  if (live === undefined) throw new AppError('stale', 'The session has ended meanwhile. Sign in again.');
}
