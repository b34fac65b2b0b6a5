import type { Command } from 'commander';
import { SIGNING_ALGORITHMS } from '../protocol.js';
import type { Cli, Consent } from './cli.js';
import { confirmKeyRestore } from './confirm-key-restore.js';
import { EXPORT_FORMATS, type ExportFormat, exportKeys } from './export-keys.js';
import { keyStatus } from './key-status.js';
import { choiceOption, destructive } from './options.js';
import { revokeKey } from './revoke-key.js';
import { type RotateOptions, rotate } from './rotate-key.js';

export function keyCommands(program: Command, cli: Cli): void {
  const noun = program.command('key').description('signing keys');

  noun
    .command('status')
    .description('every key on a time line, and what happens next by itself')
    .action(() => keyStatus(cli));

  destructive(noun.command('rotate'))
    .description('let the announced successor sign, if its announcement is complete')
    .addOption(choiceOption('--alg <alg>', 'only this algorithm', SIGNING_ALGORITHMS))
    .option('--now', 'skip the rest of the announcement')
    .action((options: RotateOptions) => rotate(cli, options));

  destructive(noun.command('revoke <kid>'))
    .description('emergency: trust this key no more, from any state; --dry-run tells whom it concerns')
    .action((kid: string, options: Consent) => revokeKey(cli, kid, options));

  destructive(noun.command('confirm-restore'))
    .description('after the restore of a backup: nodes that have stopped sign again')
    .action((options: Consent) => confirmKeyRestore(cli, options));

  noun
    .command('export')
    .description('the published public keys')
    .addOption(choiceOption('--format <format>', 'form', EXPORT_FORMATS).default('jwks'))
    .action(({ format }: { format: ExportFormat }) => exportKeys(cli, format));
}
