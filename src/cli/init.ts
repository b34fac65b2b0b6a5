import { existsSync, unlinkSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { type Config, DEVELOPMENT } from '../config/config.js';
import { carriesPassword } from '../config/database-url.js';
import { DEVELOPMENT_ROOT_KEY_FILE, rootKeySecret } from '../config/development-root-key.js';
import { generateRootKey, localRootKey } from '../crypto/root-key.js';
import { openInstallation } from '../database/installation.js';
import { AppError } from '../errors.js';
import { deriveKeyPolicy } from '../keys/key-policy.js';
import { advanceRing } from '../keys/rotate.js';
import type { Cli } from './cli.js';
import { UsageError } from './command.js';
import { cliActor, cliNodeId, loadSettled, open } from './context.js';
import { createFile } from './private-file.js';

interface InitOptions {
  readonly yes?: boolean;
  readonly environment: string;
  readonly issuer?: string;
  readonly database?: string;
}

const DEFAULT_FILE = 'claviger.yaml';
const DEFAULT_DATABASE = 'sqlite:.claviger/claviger.sqlite';

function contentOf(options: InitOptions, rootKeyFile: string): string {
  const { environment, issuer, database = DEFAULT_DATABASE } = options;
  const settings = {
    environment,
    ...(issuer === undefined ? {} : { issuer }),
    database: { url: database },
    rootKey: `file:${rootKeyFile}`,
  };
  return `# Settings of this Claviger; all of them, with their meaning: claviger config print\n${stringify(settings)}`;
}

async function init(cli: Cli, options: InitOptions): Promise<void> {
  const { cwd, isTty, env } = cli.surroundings;
  if (options.environment !== DEVELOPMENT && options.issuer === undefined) {
    throw new UsageError('Outside development an issuer is needed: --issuer https://id.example.com');
  }
  if (options.database !== undefined && carriesPassword(options.database)) {
    // Everybody on the machine can read arguments, and many can read the file.
    throw new UsageError(
      'The database address holds a password: put it into a file of its own and write database.url: file:/path/to/it',
    );
  }
  const file = resolve(cwd, cli.configFile ?? (env.CLAVIGER_CONFIG || DEFAULT_FILE));
  const keyFile = resolve(dirname(file), DEVELOPMENT_ROOT_KEY_FILE);
  if (existsSync(file)) {
    throw new AppError(
      'already_exists',
      `${file} exists and is not overwritten. Edit it, or name another file by --config.`,
    );
  }
  if (isTty) {
    await cli.confirm(
      `Write ${file}, the root key ${keyFile} and the database ${options.database ?? DEFAULT_DATABASE}?`,
      options,
    );
  }
  const isNewKey = createFile(keyFile, `${generateRootKey()}\n`, 0o600);
  createFile(file, contentOf(options, relative(dirname(file), keyFile)), 0o600);
  let config: Config;
  try {
    config = await loadSettled(cli);
  } catch (error) {
    // Nothing was sealed with this key yet, and what is left would only be in the way of the next attempt.
    for (const path of isNewKey ? [keyFile, file] : [file]) unlinkSync(path);
    throw error;
  }
  await createInstallation(cli, config);
  const json = { config: file, root_key: keyFile, root_key_created: isNewKey };
  cli.output.result(json, () =>
    [
      `Wrote ${file}`,
      isNewKey ? `Wrote ${keyFile} (only its owner can read it)` : `Kept ${keyFile}, which was there`,
      'Created the database and its first signing keys',
    ].join('\n'),
  );
  cli.output.say(
    [
      '',
      'Keep a copy of the root key away from the backups of the database: without it nobody, you neither, can open what the database protects.',
      '',
      'Next:',
      '  claviger serve',
      '  claviger resource create --identifier https://api.example.com/orders --scope orders.read orders.write',
      '  claviger client create --name "Order sync" --resource https://api.example.com/orders --scope orders.read',
      '  claviger doctor',
    ].join('\n'),
  );
}

async function createInstallation(cli: Cli, config: Config): Promise<void> {
  const rootKey = localRootKey(rootKeySecret(config, cli.surroundings.cwd));
  const database = open(config);
  try {
    const { keys } = await openInstallation(database, rootKey, config);
    await advanceRing({
      database,
      policy: deriveKeyPolicy(config),
      envelope: keys.signingKeyEnvelope,
      nodeId: cliNodeId(),
      actor: cliActor(),
    });
  } finally {
    await database.close();
  }
}

export function initCommand(program: Command, cli: Cli): void {
  program
    .command('init')
    .description('write a configuration and a root key, create the database')
    .option('--environment <name>', 'development, production, or another name', DEVELOPMENT)
    .option('--issuer <url>', 'the https URL that names this server (default in development: localhost)')
    .option('--database <url>', `sqlite:PATH or postgres://… (default: ${DEFAULT_DATABASE})`)
    .option('--yes', 'do not ask')
    .action((options: InitOptions) => init(cli, options));
}
