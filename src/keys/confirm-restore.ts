import { appendAuditEvents } from '../audit/audit-log.js';
import { recordChange } from '../database/changes.js';
import type { Queryable } from '../database/connect.js';
import { AppError } from '../errors.js';
import { requireKey } from './key-state.js';
import { readRing, swapRing } from './key-store.js';
import { isAnotherHistory, mergeRings } from './merge-rings.js';
import { RememberedRingStore } from './remembered-ring-store.js';
import { type RotationContext, revokeTokensOf, tell } from './rotate.js';
import type { Ring } from './signing-key.js';

/** What a confirmation does, for who is asked and for who did it. */
export interface RestoreOutcome {
  readonly before: Ring;
  readonly after: Ring;
  /** Nodes that remember a newer past, and its version. */
  readonly nodes: readonly { readonly nodeId: string; readonly version: number }[];
  readonly broughtBack: readonly string[];
  readonly setAside: readonly string[];
  /** Whether the backup knows them or not: what it says of their tokens is from before. */
  readonly revokedAgain: readonly string[];
}

const store = new RememberedRingStore();

/** Undefined: no running node remembers anything that the database does not know. */
export async function planRestore(on: Queryable, now: number): Promise<RestoreOutcome | undefined> {
  const before = await readRing(on);
  // What a node has written down and the database has by now is no past of its own: it must not win as the newest.
  const remembered = (await store.list(on)).filter(({ ring }) => isAnotherHistory(before, ring));
  if (remembered.length === 0) return undefined;
  const after = mergeRings(
    before,
    remembered.map(({ ring }) => ring),
    now,
  );
  const known = new Map(before.keys.map(key => [key.kid, key] as const));
  const changed = after.keys.filter(key => known.get(key.kid)?.state !== key.state);
  return {
    before,
    after,
    nodes: remembered.map(({ nodeId, ring }) => ({ nodeId, version: ring.version })),
    broughtBack: changed
      .filter(({ kid, state }) => !known.has(kid) && state !== 'revoked')
      .map(({ kid }) => kid),
    setAside: changed
      .filter(({ kid, state, retainedAt }) => known.has(kid) && state === 'retained' && retainedAt === now)
      .map(({ kid }) => kid),
    revokedAgain: changed.filter(({ state }) => state === 'revoked').map(({ kid }) => kid),
  };
}

/**
 * An operator's word that the restored database is the one to go on with: its ring becomes the union with what
 * running nodes remember, in one transaction, with a version above all of them. So they sign again at once.
 */
export async function confirmRestore(context: RotationContext): Promise<RestoreOutcome | undefined> {
  const { database, policy, actor, nodeId } = context;
  return database.transaction(async trx => {
    const now = await database.now(trx);
    const outcome = await planRestore(trx, now);
    if (outcome === undefined) return undefined;
    const { before, after } = outcome;
    if (!(await swapRing(trx, before, after))) {
      throw new AppError('conflict', 'The key ring changed at this moment. Look again: add --dry-run.');
    }
    for (const kid of outcome.revokedAgain) {
      await revokeTokensOf(trx, kid, policy, now);
      const { alg } = requireKey(after, kid);
      const transition = { kind: 'revoke', kid, alg, activates: undefined, announces: false } as const;
      for (const companion of context.companions ?? []) {
        await companion(trx, { transition, before, after, now, actor });
      }
    }
    const nodeIds = outcome.nodes.map(node => node.nodeId);
    await store.forget(trx, nodeIds);
    const confirmed = {
      event: 'key_ring.restore_confirmed',
      outcome: 'success',
      actor,
      subject: String(after.version),
      detail: {
        ring_version: after.version,
        restored_version: before.version,
        nodes: outcome.nodes.length,
        brought_back: outcome.broughtBack.length,
        set_aside: outcome.setAside.length,
        revoked_again: outcome.revokedAgain.length,
      },
    } as const;
    await appendAuditEvents(database, trx, [confirmed, ...tell(actor, before, after)], nodeId, now);
    await recordChange(trx, 'key_ring', String(after.version), now);
    return outcome;
  });
}
