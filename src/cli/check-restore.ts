import type { Database } from '../database/connect.js';
import { planRestore } from '../keys/confirm-restore.js';
import { type Finding, found } from './finding.js';

/** Nodes that have served a newer key ring than the database holds sign nothing until somebody decides. */
export async function checkRestore(database: Database, now: number): Promise<Finding[]> {
  const plan = await database.read(on => planRestore(on, now));
  if (plan === undefined) return [];
  const nodes = plan.nodes.map(({ nodeId, version }) => `${nodeId} (version ${version})`).join(', ');
  const finding = `The key ring went back to version ${plan.before.version}, as after the restore of a backup; these have stopped signing: ${nodes}.`;
  return [found('key_ring', 'error', finding, 'claviger key confirm-restore --dry-run')];
}
