import type { ClientRecord } from '../clients/client.js';
import type { SecretHasher } from '../crypto/secret-hash.js';

/**
 * OpenID Connect Core §8.1: clients of different sectors cannot tell that they know the same person. Derived, so that
 * it is the same on every node and nothing has to be stored; under the pepper, so that nobody else can derive it.
 */
export class PairwiseSubjects {
  readonly #hasher: SecretHasher;

  constructor(hasher: SecretHasher) {
    this.#hasher = hasher;
  }

  subjectFor(client: ClientRecord, userId: string): string {
    return client.subjectType === 'pairwise' ? this.pairwise(client, userId) : userId;
  }

  pairwise(client: ClientRecord, userId: string): string {
    const sector = client.sectorIdentifier ?? client.clientId;
    return this.#hasher.hashOf('pairwise', `${sector}\0${userId}`);
  }
}
