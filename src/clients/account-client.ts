import { ACCOUNT_CLIENT_ID } from '../protocol.js';
import type { ClientRecord } from './client.js';
import { STANDARD_METADATA } from './client-metadata.js';

/**
 * The client of the account pages. It is in no database and has no grants: it only asks who is signed in, by the
 * response type `none`, which no registered client can have.
 */
export function accountClient(issuer: string): ClientRecord {
  return {
    ...STANDARD_METADATA,
    clientId: ACCOUNT_CLIENT_ID,
    name: 'Account',
    authMethod: 'none',
    grantTypes: [],
    responseTypes: ['none'],
    isFirstParty: true,
    redirectUris: [`${issuer}/account/callback`],
    oidcScopes: ['openid'],
    createdAt: 0,
    updatedAt: 0,
    resources: [],
    secrets: [],
  };
}
