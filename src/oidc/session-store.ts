import type { Queryable, Transaction } from '../database/connect.js';
import { lostRace } from './artifact-store.js';

/** A browser somebody is signed in with. Instants are epoch milliseconds by the database's clock. */
export interface SessionSummary {
  readonly sessionId: string;
  readonly userId: string;
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
  readonly amr: readonly string[];
  readonly createdAt: number;
  readonly lastUsedAt: number;
  readonly endedAt: number | undefined;
  readonly expiresAt: number;
}

export interface SessionUse {
  readonly sessionId: string;
  readonly userId: string;
  readonly amr: readonly string[];
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
  readonly expiresAt: number;
}

/**
 * What may be shown of a session, beside the sealed one. An ended session stays ended: a request that was under way
 * when it was ended must not bring it back.
 */
export class SessionStore {
  async noteUse(trx: Transaction, use: SessionUse, now: number): Promise<void> {
    const { sessionId, userId, amr, ip, userAgent, expiresAt } = use;
    const [row] = await trx('sessions')
      .insert({
        session_id: sessionId,
        user_id: userId,
        ip: ip ?? null,
        user_agent: userAgent?.slice(0, 256) ?? null,
        amr: JSON.stringify(amr),
        created_at: now,
        last_used_at: now,
        expires_at: expiresAt,
      })
      .onConflict('session_id')
      .merge(['ip', 'user_agent', 'amr', 'last_used_at', 'expires_at'])
      .returning(['ended_at', 'user_id']);
    if (row.ended_at !== null || row.user_id !== userId) throw lostRace('session ended');
  }

  /** @returns false if it does not exist or has ended before. */
  async end(trx: Transaction, sessionId: string, now: number): Promise<boolean> {
    const ended = await trx('sessions')
      .where({ session_id: sessionId, ended_at: null })
      .update({ ended_at: now });
    return ended === 1;
  }

  async find(on: Queryable, sessionId: string): Promise<SessionSummary | undefined> {
    const row = await on('sessions').where({ session_id: sessionId }).first();
    return row === undefined ? undefined : summaryOf(row);
  }

  /** Those that are alive, the last used first. */
  async listLive(on: Queryable, userId: string, now: number): Promise<SessionSummary[]> {
    const rows = await on('sessions')
      .where({ user_id: userId, ended_at: null })
      .where('expires_at', '>', now)
      .orderBy('last_used_at', 'desc')
      .limit(1000);
    return rows.map(summaryOf);
  }

  /** All of them: whoever ends them must not leave one behind those that a page has room for. */
  async listLiveIds(on: Queryable, userId: string, now: number): Promise<string[]> {
    const rows = await on('sessions')
      .where({ user_id: userId, ended_at: null })
      .where('expires_at', '>', now)
      .select('session_id');
    return rows.map(row => String(row.session_id));
  }

  async sweep(trx: Transaction, before: number): Promise<number> {
    return trx('sessions').where('expires_at', '<=', before).delete();
  }
}

// Rows as the two drivers give them: PostgreSQL returns big integers as text.
function summaryOf(row: Record<string, unknown>): SessionSummary {
  return {
    sessionId: String(row.session_id),
    userId: String(row.user_id),
    ip: typeof row.ip === 'string' ? row.ip : undefined,
    userAgent: typeof row.user_agent === 'string' ? row.user_agent : undefined,
    amr: JSON.parse(String(row.amr)) as string[],
    createdAt: Number(row.created_at),
    lastUsedAt: Number(row.last_used_at),
    endedAt: row.ended_at === null ? undefined : Number(row.ended_at),
    expiresAt: Number(row.expires_at),
  };
}
