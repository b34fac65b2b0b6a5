import type { Config, VaultConfig } from './config.js';
import { type LoadedProviders, loadUpstreamProviders } from './federation-file.js';
import type { LoadInput } from './given.js';
import { type LoadedConfig, loadConfig, loadVaultReach } from './load.js';
import { type ReadRemote, withRemote } from './remote-references.js';

/** Made by whoever may call other machines. `vault` is undefined when it is not (rightly) said how Vault is reached. */
export type RemoteReader = (vault: VaultConfig | undefined) => ReadRemote;

/** `loadConfig`, with references to other machines followed. Nobody is called when there are none. */
export function loadConfigRemotely(input: LoadInput, reader: RemoteReader): Promise<LoadedConfig> {
  return withRemote(
    remote => loadConfig({ ...input, remote }),
    () => reader(loadVaultReach(input)),
  );
}

/** The same for the list of providers to sign in with. */
export function loadProvidersRemotely(
  config: Config,
  env: LoadInput['env'],
  cwd: string,
  reader: RemoteReader,
): Promise<LoadedProviders> {
  const { vault } = config;
  return withRemote(
    remote => loadUpstreamProviders(config, env, cwd, remote),
    () => reader(vault.address === '' ? undefined : vault),
  );
}
