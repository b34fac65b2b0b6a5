import type { Database } from './connect.js';

/**
 * One node at a time runs a job. A lease only saves work: every job stays correct when two run it, because a
 * paused node can come back after its lease ended.
 */
export async function takeJobLease(
  database: Database,
  job: string,
  holder: string,
  leaseFor: number,
): Promise<boolean> {
  return database.transaction(async trx => {
    const now = await database.now(trx);
    const leaseUntil = now + leaseFor * 1000;
    const inserted = await trx('job_leases')
      .insert({ job, holder, lease_until: leaseUntil })
      .onConflict('job')
      .ignore()
      .returning('job');
    if (inserted.length === 1) return true;
    const taken = await trx('job_leases')
      .where({ job })
      .andWhere(free => free.where({ holder }).orWhere('lease_until', '<=', now))
      .update({ holder, lease_until: leaseUntil });
    return taken === 1;
  });
}
