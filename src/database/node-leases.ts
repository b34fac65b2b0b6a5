import type { SigningAlgorithm } from '../protocol.js';
import type { Queryable, Transaction } from './connect.js';

export interface NodeLease {
  readonly nodeId: string;
  /** The key ring's version that this node has been answering with. */
  readonly servedVersion: number;
  readonly leaseUntil: number;
}

/**
 * Seconds after its lease for which a node that did not say goodbye still counts as one that wants its algorithms: it
 * may be paused or cut off, and come back with the configuration it had.
 */
export const REMEMBERED_FOR = 3600;

/** Seconds that a heartbeat counts for, and for which its node may sign. */
export const LEASE_FOR = 30;

export async function renewNodeLease(
  trx: Transaction,
  nodeId: string,
  servedVersion: number,
  now: number,
  algorithms?: readonly SigningAlgorithm[],
): Promise<void> {
  const leaseUntil = now + LEASE_FOR * 1000;
  const served = {
    served_version: servedVersion,
    lease_until: leaseUntil,
    algorithms: algorithms === undefined ? null : JSON.stringify(algorithms),
  };
  await trx('nodes')
    .insert({ node_id: nodeId, started_at: now, ...served })
    .onConflict('node_id')
    .merge(served);
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

/**
 * The algorithms that nodes are configured for which live, or were lost a while ago.
 *
 * @returns undefined when one of them does not say.
 */
export async function configuredAlgorithms(
  on: Queryable,
  now: number,
): Promise<readonly SigningAlgorithm[] | undefined> {
  const rows: { algorithms: string | null }[] = await on('nodes')
    .where('lease_until', '>', now - REMEMBERED_FOR * 1000)
    .distinct('algorithms');
  const lists = rows.map(({ algorithms }) =>
    algorithms === null ? undefined : (JSON.parse(algorithms) as SigningAlgorithm[]),
  );
  if (lists.includes(undefined)) return undefined;
  return [...new Set(lists.flatMap(list => list ?? []))];
}

export async function sweepNodeLeases(trx: Transaction, before: number): Promise<number> {
  return trx('nodes').where('lease_until', '<', before).delete();
}
