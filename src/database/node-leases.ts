import type { Queryable, Transaction } from './connect.js';

export interface NodeLease {
  readonly nodeId: string;
  /** The key ring's version that this node has been answering with. */
  readonly servedVersion: number;
  readonly leaseUntil: number;
}

/** Seconds that a heartbeat counts for, and for which its node may sign. */
export const LEASE_FOR = 30;

export async function renewNodeLease(
  trx: Transaction,
  nodeId: string,
  servedVersion: number,
  now: number,
): Promise<void> {
  const leaseUntil = now + LEASE_FOR * 1000;
  await trx('nodes')
    .insert({ node_id: nodeId, served_version: servedVersion, lease_until: leaseUntil, started_at: now })
    .onConflict('node_id')
    .merge({ served_version: servedVersion, lease_until: leaseUntil });
}

/** At a clean stop, so that a promotion need not wait for a node that will not answer any more. */
export async function endNodeLease(trx: Transaction, nodeId: string): Promise<void> {
  await trx('nodes').where({ node_id: nodeId }).delete();
}

export async function liveNodeLeases(on: Queryable, now: number): Promise<NodeLease[]> {
  const rows = await on('nodes').where('lease_until', '>', now);
  return rows.map(row => ({
    nodeId: String(row.node_id),
    servedVersion: Number(row.served_version),
    leaseUntil: Number(row.lease_until),
  }));
}

export async function sweepNodeLeases(trx: Transaction, before: number): Promise<number> {
  return trx('nodes').where('lease_until', '<', before).delete();
}
