import { existsSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import { Alerts } from '../alerts/alerts.js';
import type { Actor } from '../audit/events.js';
import { systemClock } from '../clock.js';
import type { Config, Secret } from '../config/config.js';
import { isMemoryDatabase } from '../config/database-url.js';
import { rootKeySecret } from '../config/development-root-key.js';
import { generateRootKey, type RootKey } from '../crypto/root-key.js';
import { type Database, openDatabase } from '../database/connect.js';
import { assertInstallation, type Installation, readInstallation } from '../database/identity.js';
import { type DataKeys, openInstallation } from '../database/installation.js';
import { schemaStatus } from '../database/schema.js';
import { Outbox } from '../delivery/outbox.js';
import { AppError } from '../errors.js';
import { deriveKeyPolicy, type KeyPolicy } from '../keys/key-policy.js';
import { promotionHold } from '../keys/promotion-hold.js';
import type { RotationContext } from '../keys/rotate.js';
import { openSigningBackends } from '../keys/signing-backends/open-signing-backends.js';
import type { SigningBackends } from '../keys/signing-backends/signing-backends.js';
import { algorithmsInUse } from '../oidc/algorithm-users.js';
import { ringCompanions } from '../oidc/ring-companions.js';
import { configuredRootKey } from '../root-keys/configured-root-key.js';
import type { Cli } from './cli.js';

const SQLITE = /^sqlite:(?:\/\/)?(.+)$/s;

/** Path of the SQLite file, or undefined for every other kind of database. */
export function sqliteFile(config: Config): string | undefined {
  return isMemoryDatabase(config.database.url) ? undefined : SQLITE.exec(config.database.url)?.[1];
}

/** A relative path counts from the folder the command was called in. */
export function settled(config: Config, cwd: string): Config {
  const file = sqliteFile(config);
  if (file === undefined || isAbsolute(file)) return config;
  return { ...config, database: { ...config.database, url: `sqlite:${resolve(cwd, file)}` } };
}

/** The warnings go to the person, the configuration to the command. */
export async function loadSettled(cli: Cli, flags: Readonly<Record<string, string>> = {}): Promise<Config> {
  const { config, warnings } = await cli.loadConfig(flags);
  for (const { at, problem } of warnings) cli.output.say(`warning: ${at} ${problem}`);
  return settled(config, cli.surroundings.cwd);
}

export function open(config: Config): Database {
  return openDatabase({ ...config.database, clockOffset: () => config.database.clockOffsetFor * 1000 });
}

/** Who stands in the audit log. */
export function cliActor(): Actor {
  let user: string;
  try {
    user = userInfo().username;
  } catch {
    // In a container the number may have no name.
    user = `uid-${process.getuid?.() ?? 'unknown'}`;
  }
  return `os:${user}@${hostname()}`;
}

export function cliNodeId(): string {
  return `cli-${hostname().slice(0, 40)}-${process.pid}`;
}

/** In development the first start makes a root key; for a database that exists a new one would only be wrong. */
export async function firstRootKey(config: Config, cwd: string): Promise<Secret> {
  if (config.rootKey !== undefined) return config.rootKey;
  const file = sqliteFile(config);
  if (file !== undefined && !existsSync(file)) return rootKeySecret(config, cwd, generateRootKey);
  const database = open(config);
  try {
    const found = await database.read(readInstallation);
    return rootKeySecret(config, cwd, found === undefined ? generateRootKey : undefined);
  } finally {
    await database.close();
  }
}

/** What a command works with. */
export interface Opened {
  readonly config: Config;
  readonly database: Database;
  readonly keys: DataKeys;
  readonly installation: Installation;
  readonly rootKey: RootKey;
  readonly policy: KeyPolicy;
  /** Where the next keys are made, if not in the database. */
  readonly backends: SigningBackends;
  readonly nodeId: string;
  readonly actor: Actor;
  readonly hasher: DataKeys['hasher'];
  readonly longestTokenFor: number;
}

export function rotationContext(opened: Opened): RotationContext {
  const { config, database, keys, policy, backends, nodeId, actor } = opened;
  // Mails wait in the outbox for a node to send them.
  const alerts = new Alerts({ database, nodeId, outbox: new Outbox(keys.accountEnvelope), config });
  const companions = ringCompanions({ database, nodeId, config, alerts });
  return {
    database,
    policy,
    backends,
    envelope: keys.signingKeyEnvelope,
    nodeId,
    actor,
    companions,
    algorithmsInUse,
    hold: promotionHold(config.keys),
  };
}

/** Opens configuration, root key, database and data keys, and closes the database whatever happens. */
export async function withInstallation<T>(cli: Cli, work: (opened: Opened) => Promise<T>): Promise<T> {
  const config = await loadSettled(cli);
  assertExists(config);
  const rootKey = rootKeyOf(config, cli.surroundings.cwd);
  const database = open(config);
  const backends = openSigningBackends(config, systemClock.monotonic);
  try {
    const installation = await settledInstallation(database, config, rootKey);
    const { keys } = await openInstallation(database, rootKey, {
      // A demo moved by PORT is not moved back by whoever looks at it.
      issuer: installation.issuer,
      environment: config.environment,
    });
    return await work({
      config,
      database,
      keys,
      installation,
      rootKey,
      policy: deriveKeyPolicy(config),
      backends,
      nodeId: cliNodeId(),
      actor: cliActor(),
      hasher: keys.hasher,
      longestTokenFor: config.tokens.longestTokenFor,
    });
  } finally {
    rootKey.close();
    backends.close();
    await database.close();
  }
}

/** The configured root key, or the one of this development folder. Reaches nobody yet. */
export function rootKeyOf(config: Config, cwd: string): RootKey {
  return configuredRootKey(config, rootKeySecret(config, cwd));
}

/** Opening a missing file would make an empty one, and a typing error would look like an empty server. */
export function assertExists(config: Config): void {
  const file = sqliteFile(config);
  if (file === undefined || existsSync(file)) return;
  throw new AppError(
    'database_not_migrated',
    `There is no database at ${file}. Correct database.url, or create it: claviger migrate (claviger init for a new installation).`,
  );
}

/** A command that changes a client is no occasion to migrate the database under the running servers. */
async function settledInstallation(
  database: Database,
  config: Config,
  rootKey: RootKey,
): Promise<Installation> {
  const found = await database.read(readInstallation);
  if (found === undefined) {
    throw new AppError(
      'database_not_migrated',
      'The database is empty. Create its tables: claviger migrate.',
    );
  }
  assertInstallation(found, {
    issuer: config.issuer,
    environment: config.environment,
    rootKeyId: rootKey.id,
  });
  const { pending } = await schemaStatus(database);
  if (pending.length > 0) {
    throw new AppError(
      'database_not_migrated',
      `The database lacks ${pending.length} migration(s): ${pending.join(', ')}. Apply them: claviger migrate.`,
    );
  }
  return found;
}
