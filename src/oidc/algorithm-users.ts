import { ClientStore } from '../clients/client-store.js';
import type { Queryable } from '../database/connect.js';
import type { AlgorithmsInUse } from '../keys/rotate.js';
import type { SigningAlgorithm } from '../protocol.js';
import { ResourceStore } from '../resources/resource-store.js';

/** More names than these help nobody; there may be thousands. */
const MOST_NAMES = 20;

/** Who is signed for with an algorithm: it keeps its keys as long as there is one. */
export interface AlgorithmUsers {
  readonly alg: SigningAlgorithm;
  /** Identifiers; the first of them. */
  readonly resourceServers: readonly string[];
  /** Client ids; the first of them. */
  readonly clients: readonly string[];
}

const resources = new ResourceStore();
const clients = new ClientStore();

export const algorithmsInUse: AlgorithmsInUse = async (on, among) => {
  const used: SigningAlgorithm[] = [];
  for (const alg of among) {
    const users = await usersOf(on, alg, 1);
    if (users.resourceServers.length + users.clients.length > 0) used.push(alg);
  }
  return used;
};

export async function usersOf(
  on: Queryable,
  alg: SigningAlgorithm,
  limit: number = MOST_NAMES,
): Promise<AlgorithmUsers> {
  const resourceServers = await resources.signedWith(on, alg, limit);
  // Clients are looked through one by one; whether there is any user at all is often known before.
  const isKnown = limit === 1 && resourceServers.length > 0;
  return { alg, resourceServers, clients: isKnown ? [] : await clients.signedWith(on, alg, limit) };
}
