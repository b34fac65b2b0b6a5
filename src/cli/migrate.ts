import type { Command } from 'commander';
import { openInstallation } from '../database/installation.js';
import { schemaStatus } from '../database/schema.js';
import { configuredRootKey } from '../root-keys/configured-root-key.js';
import type { Cli } from './cli.js';
import { assertExists, firstRootKey, loadSettled, open } from './context.js';

/** Reads only: also for a database that this configuration may not open. */
async function status(cli: Cli): Promise<void> {
  const config = await loadSettled(cli);
  assertExists(config);
  const database = open(config);
  try {
    const { applied, pending } = await schemaStatus(database);
    cli.output.result({ applied, pending }, () =>
      cli.output.table(
        ['MIGRATION', 'STATE'],
        [
          ...applied.map(name => [name, { text: 'applied', style: 'green' }] as const),
          ...pending.map(name => [name, { text: 'pending', style: 'yellow' }] as const),
        ],
      ),
    );
  } finally {
    await database.close();
  }
}

async function migrate(cli: Cli): Promise<void> {
  const config = await loadSettled(cli);
  const rootKey = configuredRootKey(config, await firstRootKey(config, cli.surroundings.cwd));
  const database = open(config);
  try {
    const { migrated } = await openInstallation(database, rootKey, config);
    cli.output.result({ migrated }, () =>
      migrated.length === 0
        ? 'Nothing to do: the database is up to date.'
        : `Applied ${migrated.join(', ')}.`,
    );
  } finally {
    rootKey.close();
    await database.close();
  }
}

export function migrateCommand(program: Command, cli: Cli): void {
  program
    .command('migrate')
    .description('create the tables, or bring them up to date')
    .option('--status', 'only list what is applied and what is pending')
    .action(({ status: isStatus }: { status?: boolean }) => (isStatus === true ? status(cli) : migrate(cli)));
}
