import type { Command } from 'commander';
import { appendAuditEvents } from '../audit/audit-log.js';
import { issuerProblem } from '../config/issuer-checks.js';
import { lockChanges } from '../database/changes.js';
import { assertInstallation, moveInstallation, readInstallation } from '../database/identity.js';
import { liveNodeLeases } from '../database/node-leases.js';
import { schemaStatus } from '../database/schema.js';
import { AppError } from '../errors.js';
import type { Cli, Consent } from './cli.js';
import { UsageError } from './command.js';
import { assertExists, cliActor, cliNodeId, loadSettled, open, rootKeyOf } from './context.js';

interface AdoptOptions extends Consent {
  readonly issuer: string;
}

/**
 * The issuer stands in every token and in every verifier's configuration, so a database changes it only when
 * somebody says so. Environment and root key must still be the configured ones: neither is adopted.
 */
async function adopt(cli: Cli, options: AdoptOptions): Promise<void> {
  const { issuer } = options;
  // The configuration may name the old issuer or the new one; what is asked for decides.
  const config = await loadSettled(cli, { issuer });
  const problem = issuerProblem(issuer, config.environment);
  if (problem !== undefined) throw new UsageError(`--issuer ${problem}`);
  assertExists(config);
  const rootKey = rootKeyOf(config, cli.surroundings.cwd);
  const database = open(config);
  try {
    const { applied, pending } = await schemaStatus(database);
    if (applied.length === 0 || pending.length > 0) {
      throw new AppError('database_not_migrated', 'The database is not up to date. Run: claviger migrate.');
    }
    const found = await database.read(readInstallation);
    if (found === undefined) throw new AppError('not_found', 'The database belongs to no issuer yet.');
    assertInstallation(found, {
      issuer: found.issuer,
      environment: config.environment,
      rootKeyId: rootKey.id,
    });
    const json = { from: found.issuer, to: issuer, installation_id: found.installationId };
    if (found.issuer === issuer) {
      cli.output.result({ ...json, adopted: true }, () => `The database belongs to ${issuer} already.`);
      return;
    }
    const now = await database.now();
    const nodes = await database.read(on => liveNodeLeases(on, now));
    if (nodes.length > 0) {
      const ids = nodes.map(({ nodeId }) => nodeId).join(', ');
      cli.output.say(
        `${ids} still answer(s) as ${found.issuer}; stop them first, or restart them after this.`,
      );
    }
    if (options.dryRun === true) {
      const sentence = `The database would move from ${found.issuer} to ${issuer}.`;
      cli.output.result({ ...json, adopted: false }, () => sentence);
      return;
    }
    await cli.confirm(
      `Move this database from ${found.issuer} to ${issuer}? Every verifier that names the old issuer refuses new tokens.`,
      options,
    );
    const moved = await database.transaction(async trx => {
      await lockChanges(trx);
      const at = await database.now(trx);
      const current = await readInstallation(trx);
      // Somebody else may have moved it while the question stood there.
      if (current?.issuer !== found.issuer) return false;
      await moveInstallation(trx, issuer);
      await appendAuditEvents(
        database,
        trx,
        [
          {
            event: 'database.adopted',
            outcome: 'success',
            actor: cliActor(),
            subject: found.installationId,
            detail: { from: found.issuer, to: issuer },
          },
        ],
        cliNodeId(),
        at,
      );
      return true;
    });
    if (!moved) throw new AppError('conflict', 'The database has moved in the meantime. Look again.');
    cli.output.result({ ...json, adopted: true }, () => `The database belongs to ${issuer} now.`);
    cli.output.say(`Set issuer to ${issuer} in the configuration, then start the servers.`);
  } finally {
    await database.close();
  }
}

export function databaseCommands(program: Command, cli: Cli): void {
  const noun = program.command('database').description('whose database this is');
  noun
    .command('adopt')
    .description('give this database to another issuer')
    .requiredOption('--issuer <url>', 'the new issuer')
    .option('--dry-run', 'only say what would happen')
    .option('--yes', 'do not ask')
    .action((options: AdoptOptions) => adopt(cli, options));
}
