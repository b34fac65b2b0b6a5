import { liveNodeLeases, type NodeLease } from '../database/node-leases.js';
import { readRing } from '../keys/key-store.js';
import type { Ring } from '../keys/signing-key.js';
import type { Opened } from './context.js';

export interface SeenRing {
  readonly ring: Ring;
  readonly leases: readonly NodeLease[];
  readonly now: number;
}

export async function seeRing({ database }: Opened): Promise<SeenRing> {
  const now = await database.now();
  return database.read(async on => ({
    ring: await readRing(on),
    leases: await liveNodeLeases(on, now),
    now,
  }));
}
