import { type Configuration, errors } from 'oidc-provider';
import type { ClientRecord } from '../clients/client.js';
import type { RecordOf } from './client-adapter.js';

/** Whom a request is about, and how that person learns of it. */
export interface BackchannelRequests {
  userIdOf(loginHint: string): Promise<string | undefined>;
  tell(userId: string, client: ClientRecord): Promise<void>;
}

/** CIBA Core §7.1: shown on both devices, so it must be short and harmless. */
const BINDING_MESSAGE = /^[\p{L}\p{N} .,:;#_+/-]{1,40}$/u;

type Feature = NonNullable<NonNullable<Configuration['features']>['ciba']>;

export function backchannelFeature(backchannel: BackchannelRequests, recordOf: RecordOf): Feature {
  return {
    enabled: true,
    deliveryModes: ['poll'],
    // Nobody is found for an empty id: the core answers unknown_user_id.
    processLoginHint: async (_ctx, loginHint) => (await backchannel.userIdOf(loginHint ?? '')) ?? '',
    processLoginHintToken: async () => {
      throw new errors.InvalidRequest('login_hint_token is not supported: send login_hint or id_token_hint');
    },
    validateBindingMessage: async (_ctx, message) => {
      if (message !== undefined && !BINDING_MESSAGE.test(message)) {
        throw new errors.InvalidBindingMessage(
          'binding_message must be 1 to 40 letters, digits or . , : ; # _ + / -',
        );
      }
    },
    validateRequestContext: async () => undefined,
    // The person proves to be there by signing in, not by a code that the client could learn.
    verifyUserCode: async () => undefined,
    triggerAuthenticationDevice: async (_ctx, _request, account, client) => {
      if (account !== undefined && client !== undefined)
        await backchannel.tell(account.accountId, recordOf(client));
    },
  } as Feature;
}
