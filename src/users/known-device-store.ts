import type { Queryable, Transaction } from '../database/connect.js';

export interface KnownDevice {
  readonly createdAt: number;
  readonly lastSeenAt: number;
  readonly trustedUntil: number | undefined;
}

export class KnownDeviceStore {
  /** Undefined for one that is unknown, of another person, or forgotten by now. */
  async find(on: Queryable, id: string, userId: string, now: number): Promise<KnownDevice | undefined> {
    const row = await on('known_devices')
      .where({ id, user_id: userId })
      .where('expires_at', '>', now)
      .select('created_at', 'last_seen_at', 'trusted_until')
      .first();
    if (row === undefined) return undefined;
    return {
      createdAt: Number(row.created_at),
      lastSeenAt: Number(row.last_seen_at),
      trustedUntil: row.trusted_until === null ? undefined : Number(row.trusted_until),
    };
  }

  /** An earlier trust stays when none is given: it was granted for its own time. */
  async save(
    trx: Transaction,
    device: {
      readonly id: string;
      readonly userId: string;
      readonly trustedUntil: number | undefined;
      readonly expiresAt: number;
    },
    now: number,
  ): Promise<void> {
    const trusted = device.trustedUntil === undefined ? {} : { trusted_until: device.trustedUntil };
    await trx('known_devices')
      .insert({
        id: device.id,
        user_id: device.userId,
        created_at: now,
        last_seen_at: now,
        expires_at: device.expiresAt,
        ...trusted,
      })
      .onConflict('id')
      .merge({ last_seen_at: now, expires_at: device.expiresAt, ...trusted });
  }

  async idsOf(on: Queryable, userId: string): Promise<string[]> {
    return on('known_devices').where({ user_id: userId }).orderBy('id').pluck('id');
  }

  async countTrusted(on: Queryable, userId: string, now: number): Promise<number> {
    const [row] = await on('known_devices')
      .where({ user_id: userId })
      .where('trusted_until', '>', now)
      .where('expires_at', '>', now)
      .count({ count: '*' });
    return Number(row?.count ?? 0);
  }

  async distrustAll(trx: Transaction, userId: string): Promise<void> {
    await trx('known_devices').where({ user_id: userId }).update({ trusted_until: null });
  }

  async deleteAll(trx: Transaction, userId: string): Promise<number> {
    return trx('known_devices').where({ user_id: userId }).delete();
  }

  async sweep(trx: Transaction, now: number): Promise<number> {
    return trx('known_devices').where('expires_at', '<=', now).delete();
  }
}
