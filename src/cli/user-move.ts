import type { Command } from 'commander';
import { userOf } from '../users/change-user.js';
import { exportUser, exportUsers } from '../users/export-user.js';
import { importUsers } from '../users/import-users.js';
import type { Cli } from './cli.js';
import { UsageError } from './command.js';
import { withInstallation } from './context.js';
import { actingFrom, peopleContext } from './people.js';
import { readTextFile } from './read-secret.js';

interface ExportOptions {
  readonly all?: boolean;
  readonly withPasswordHash?: boolean;
}

async function bringIn(cli: Cli, file: string, options: { readonly dryRun?: boolean }): Promise<void> {
  const text = readTextFile(cli.surroundings, file);
  await withInstallation(cli, async opened => {
    const input = { text, isDryRun: options.dryRun };
    const users = await importUsers(peopleContext(opened), input, actingFrom(opened));
    const imported = users.filter(({ outcome }) => outcome === 'imported').length;
    const json = {
      imported,
      existing: users.length - imported,
      dry_run: options.dryRun === true,
      users: users.map(({ line, email, outcome, userId }) => ({ line, email, outcome, id: userId ?? null })),
    };
    cli.output.result(json, () => {
      const verb = json.dry_run ? 'would be imported' : 'imported';
      return `${imported} ${verb}, ${json.existing} exist(s) already.`;
    });
  });
}

/** One person: everything, as one JSON object. All: a line each, as `import` takes them. Always JSON. */
async function giveOut(cli: Cli, reference: string | undefined, options: ExportOptions): Promise<void> {
  if ((reference === undefined) !== (options.all === true)) {
    throw new UsageError('Name one user, or give --all.');
  }
  await withInstallation(cli, async opened => {
    const context = peopleContext(opened);
    const acting = actingFrom(opened);
    const { withPasswordHash } = options;
    const write = (json: unknown, indent?: number) =>
      cli.surroundings.stdout.write(`${JSON.stringify(json, null, indent)}\n`);
    if (reference === undefined) {
      const all = exportUsers(context, { withPasswordHashes: withPasswordHash }, acting);
      for await (const user of all) write(user);
    } else {
      const { id: userId } = await opened.database.read(on => userOf(on, reference));
      write(await exportUser(context, { userId, withPasswordHash }, acting), 2);
    }
    if (withPasswordHash === true) {
      cli.output.say(
        'The output holds password hashes: whoever reads it can try passwords. Delete it after use.',
      );
    }
  });
}

export function userMoveCommands(noun: Command, cli: Cli): void {
  noun
    .command('import <file>')
    .description('take over accounts: JSON lines with email, email_verified, name, groups, password_hash…')
    .option('--dry-run', 'only check the file and say what would happen')
    .action((file: string, options: { dryRun?: boolean }) => bringIn(cli, file, options));

  noun
    .command('export [user]')
    .description('everything about one person, or every account as import takes it; always JSON')
    .option('--all', 'every account, a line each')
    .option('--with-password-hash', 'to move accounts to another system')
    .action((reference: string | undefined, options: ExportOptions) => giveOut(cli, reference, options));
}
