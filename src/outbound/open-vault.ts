import { VaultClient, type VaultOptions } from './vault-client.js';
import { VaultError } from './vault-error.js';
import type { Concealed, VaultAuthentication } from './vault-login.js';

/** The settings `vault.*`, as the configuration has them: what is not given is empty. */
export interface VaultReach {
  readonly address: string;
  readonly namespace: string;
  readonly caFile: string;
  readonly token: Concealed | undefined;
  readonly agentTokenFile: string;
  readonly role: string;
  readonly secretId: Concealed | undefined;
  readonly jwtFile: string;
  readonly loginPath: string;
}

function authenticationOf(reach: VaultReach): VaultAuthentication | undefined {
  const { token, agentTokenFile, role, secretId, jwtFile, loginPath } = reach;
  const mount = loginPath === '' ? {} : { mount: loginPath };
  if (token !== undefined) return { kind: 'token', token };
  if (agentTokenFile !== '') return { kind: 'token_file', path: agentTokenFile };
  if (role === '') return undefined;
  if (secretId !== undefined) return { kind: 'approle', roleId: role, secretId, ...mount };
  return jwtFile === '' ? undefined : { kind: 'jwt', role, jwtFile, ...mount };
}

/** The one Vault of the configuration. Reaches nobody yet. One client serves a whole program: it holds one login. */
export function openVault(
  reach: VaultReach,
  more: Pick<VaultOptions, 'clock' | 'timeoutAfter' | 'wait' | 'resolve'> = {},
): VaultClient {
  const { address, namespace, caFile } = reach;
  const authentication = authenticationOf(reach);
  if (address === '' || authentication === undefined) {
    const remedy = 'Set vault.address and a way to log in (vault.agentTokenFile, vault.token, or vault.role)';
    throw new VaultError('unreachable', `It is not said how Vault is reached. ${remedy}.`);
  }
  return new VaultClient({ address, namespace, authentication, caFile, ...more });
}
