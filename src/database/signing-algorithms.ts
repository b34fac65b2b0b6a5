import type { SigningAlgorithm } from '../protocol.js';
import type { Queryable } from './connect.js';

/** Which algorithms can sign; read in the transaction that writes who is to be signed for, after `lockChanges`. */
export interface AlgorithmStates {
  /** No key was ever made: the first start makes those of the configuration, and they sign at once. */
  readonly isFresh: boolean;
  readonly active: ReadonlySet<SigningAlgorithm>;
  /** Without an active key: when their first one was announced. */
  readonly announcedAt: ReadonlyMap<SigningAlgorithm, number>;
}

export async function readAlgorithmStates(on: Queryable): Promise<AlgorithmStates> {
  const rows: { alg: SigningAlgorithm; state: string; announced_at: number }[] = await on('signing_keys')
    .select('alg', 'state')
    .min('announced_at as announced_at')
    .groupBy('alg', 'state');
  const active = new Set(rows.filter(({ state }) => state === 'active').map(({ alg }) => alg));
  const announced = rows.filter(({ alg, state }) => state === 'announced' && !active.has(alg));
  return {
    isFresh: rows.length === 0,
    active,
    announcedAt: new Map(announced.map(row => [row.alg, Number(row.announced_at)])),
  };
}
