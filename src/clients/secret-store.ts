import type { Queryable, Transaction } from '../database/connect.js';
import { type ClientSecretId, type ClientSecretRecord, MOST_LIVE_SECRETS } from './client-secret.js';

interface Row {
  readonly id: ClientSecretId;
  readonly client_id: string;
  readonly name: string;
  readonly hash: string;
  readonly pepper_id: string;
  readonly created_by: string;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly revoked_at: number | null;
  readonly last_used_at: number | null;
}

/** For SQLite knex joins rows by UNION ALL, of which SQLite takes 500. */
const ROWS_PER_STATEMENT = 400;

export class SecretStore {
  /** Every secret of a client that is still stored, revoked and expired ones too; newest first. */
  async list(on: Queryable, clientId: string): Promise<ClientSecretRecord[]> {
    const rows: Row[] = await on('client_secrets')
      .where({ client_id: clientId })
      .orderBy('created_at', 'desc')
      .orderBy('id');
    return rows.map(secretOf);
  }

  /**
   * The secrets that may open something, per client. At most MOST_LIVE_SECRETS of a client are live at once, so the
   * ones that expire last hold all of them, and years of rotation make no client slow.
   */
  async listUsable(on: Queryable, clientIds: readonly string[]): Promise<Map<string, ClientSecretRecord[]>> {
    const rows: Row[] = await on('client_secrets')
      .whereIn('client_id', [...clientIds])
      .whereNull('revoked_at')
      .orderByRaw('expires_at is null desc, expires_at desc, id');
    const usable = new Map<string, ClientSecretRecord[]>();
    for (const row of rows) {
      const secrets = usable.get(row.client_id) ?? [];
      if (secrets.length < MOST_LIVE_SECRETS) secrets.push(secretOf(row));
      usable.set(row.client_id, secrets);
    }
    return usable;
  }

  async insertMany(trx: Transaction, secrets: readonly ClientSecretRecord[]): Promise<void> {
    await trx.batchInsert('client_secrets', secrets.map(rowOf), ROWS_PER_STATEMENT);
  }

  /** Its end: the only thing about a stored secret that a person can change. */
  async setEnd(trx: Transaction, secret: ClientSecretRecord): Promise<void> {
    const { expires_at, revoked_at } = rowOf(secret);
    await trx('client_secrets').where({ id: secret.id }).update({ expires_at, revoked_at });
  }

  /** Moves last uses forward, never back: nodes report in any order. */
  async recordUses(trx: Transaction, uses: ReadonlyMap<string, number>): Promise<void> {
    const all = [...uses];
    for (let start = 0; start < all.length; start += ROWS_PER_STATEMENT) {
      const part = all.slice(start, start + ROWS_PER_STATEMENT);
      const cases = part.map(() => 'when ? then cast(? as bigint)').join(' ');
      const used = trx.raw(`case id ${cases} end`, part.flat());
      await trx('client_secrets')
        .whereIn(
          'id',
          part.map(([id]) => id),
        )
        .where(row => row.whereNull('last_used_at').orWhere('last_used_at', '<', used))
        .update({ last_used_at: used });
    }
  }

  /** Deletes what was revoked or expired before `olderThan`; until then it explains what the audit log names. */
  async sweep(trx: Transaction, olderThan: number): Promise<number> {
    return trx('client_secrets')
      .where('revoked_at', '<', olderThan)
      .orWhere('expires_at', '<', olderThan)
      .delete();
  }
}

function instant(value: number | null): number | undefined {
  return value === null ? undefined : Number(value);
}

function secretOf(row: Row): ClientSecretRecord {
  return {
    id: row.id,
    clientId: row.client_id,
    name: row.name,
    hash: row.hash,
    pepperId: row.pepper_id,
    createdBy: row.created_by,
    createdAt: Number(row.created_at),
    expiresAt: instant(row.expires_at),
    revokedAt: instant(row.revoked_at),
    lastUsedAt: instant(row.last_used_at),
  };
}

function rowOf(secret: ClientSecretRecord): Row {
  return {
    id: secret.id,
    client_id: secret.clientId,
    name: secret.name,
    hash: secret.hash,
    pepper_id: secret.pepperId,
    created_by: secret.createdBy,
    created_at: secret.createdAt,
    expires_at: secret.expiresAt ?? null,
    revoked_at: secret.revokedAt ?? null,
    last_used_at: secret.lastUsedAt ?? null,
  };
}
