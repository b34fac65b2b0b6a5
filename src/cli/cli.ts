import type { Command } from 'commander';
import type { Config } from '../config/config.js';
import type { LoadedProviders } from '../config/federation-file.js';
import type { LoadedConfig } from '../config/load.js';
import { loadConfigRemotely, loadProvidersRemotely } from '../config/load-remotely.js';
import type { Surroundings } from './command.js';
import { CommandFailed, UsageError } from './command.js';
import { Output } from './output.js';
import { createRemoteReader } from './remote-reader.js';

/** The options that every command takes. */
interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly color: boolean;
  readonly set: Readonly<Record<string, string>>;
}

/** How a destructive verb may be told to go on, or to go no further than showing. */
export interface Consent {
  readonly yes?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

/** What every noun's commands are given. */
export class Cli {
  readonly surroundings: Surroundings;
  readonly #program: Command;

  constructor(surroundings: Surroundings, program: Command) {
    this.surroundings = surroundings;
    this.#program = program;
  }

  get output(): Output {
    const { json = false, color } = this.#options;
    return new Output(this.surroundings, {
      isJson: json,
      isColored: color && this.surroundings.isColored && !json,
    });
  }

  /** @param flags settings that the command itself decides; they win over `--set`. */
  loadConfig(flags: Readonly<Record<string, string>> = {}): Promise<LoadedConfig> {
    const { config, set } = this.#options;
    const { env, cwd } = this.surroundings;
    const input = {
      flags: { ...set, ...flags },
      env,
      cwd,
      ...(config === undefined ? {} : { file: config }),
    };
    return loadConfigRemotely(input, createRemoteReader());
  }

  /** The list that `federation.providersFile` names. */
  loadProviders(config: Config): Promise<LoadedProviders> {
    const { env, cwd } = this.surroundings;
    return loadProvidersRemotely(config, env, cwd, createRemoteReader());
  }

  /** The file of `--config`, for commands that write one. */
  get configFile(): string | undefined {
    return this.#options.config;
  }

  /** Returns when the person agrees; without a person in front only `--yes` agrees. */
  async confirm(question: string, { yes = false }: Consent): Promise<void> {
    if (yes) return;
    if (!this.surroundings.isTty) {
      throw new UsageError(
        `${question}\nNothing was changed: there is no terminal to ask at. Add --yes to go on, or --dry-run to look.`,
      );
    }
    const answer = await this.surroundings.ask(`${question} [y/N] `);
    if (/^y(es)?$/i.test(answer.trim())) return;
    this.output.say('Nothing was changed.');
    throw new CommandFailed();
  }

  get #options(): GlobalOptions {
    return this.#program.opts<GlobalOptions>();
  }
}
