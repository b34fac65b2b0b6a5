import type { ClientRecord } from '../clients/client.js';
import type { ClientView } from './view-models.js';

/** What a page tells of a client. Its name is the operator's word for it, not the client's own. */
export function clientView(client: ClientRecord): ClientView {
  return {
    clientId: client.clientId,
    name: client.name,
    initial: (Array.from(client.name)[0] ?? '?').toUpperCase(),
    isFirstParty: client.isFirstParty,
    registeredAt: client.createdAt,
    clientUri: client.clientUri,
    policyUri: client.policyUri,
    tosUri: client.tosUri,
  };
}
