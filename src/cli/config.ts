import type { Command } from 'commander';
import { configJson, printConfig } from '../config/print.js';
import { isAppError } from '../errors.js';
import type { Cli } from './cli.js';

async function print(cli: Cli): Promise<void> {
  const loaded = await cli.loadConfig();
  cli.output.result(configJson(loaded), () => printConfig(loaded));
  for (const { at, problem } of loaded.warnings) cli.output.say(`warning: ${at} ${problem}`);
}

async function validate(cli: Cli): Promise<void> {
  try {
    const { config, warnings: ofSettings } = await cli.loadConfig();
    const { warnings: ofProviders } = await cli.loadProviders(config);
    const warnings = [...ofSettings, ...ofProviders];
    cli.output.result({ valid: true, faults: [], warnings }, () => 'The configuration is valid.');
    for (const { at, problem } of warnings) cli.output.say(`warning: ${at} ${problem}`);
  } catch (error) {
    if (isAppError(error, 'configuration_invalid') && cli.output.isJson) {
      cli.output.result({ valid: false, faults: error.faults, warnings: [] }, () => '');
    }
    throw error;
  }
}

export function configCommands(program: Command, cli: Cli): void {
  const noun = program.command('config').description('settings from flags, environment, file and defaults');
  noun
    .command('print')
    .description('every setting, its value and where it comes from; secrets redacted')
    .action(() => print(cli));
  noun
    .command('validate')
    .description('all faults at once; exit code 2 when there is one')
    .action(() => validate(cli));
}
