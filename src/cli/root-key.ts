import type { Command } from 'commander';
import { toRfc3339 } from '../clock.js';
import type { RootKey } from '../crypto/root-key.js';
import { opensAll, type RootKeyRecord, readDataKeys, readRootKeys } from '../database/data-key-store.js';
import { readInstallation } from '../database/identity.js';
import { schemaStatus } from '../database/schema.js';
import { AppError } from '../errors.js';
import { retireRootKey } from '../root-keys/change-root-keys.js';
import { configuredRootKey } from '../root-keys/configured-root-key.js';
import { assertWorks } from '../root-keys/probe.js';
import { type RootKeyContext, rewrap } from '../root-keys/rewrap.js';
import type { Cli, Consent } from './cli.js';
import { UsageError } from './command.js';
import { assertExists, loadSettled, type Opened, open, withInstallation } from './context.js';
import { destructive } from './options.js';
import type { Cell, Output, Style } from './output.js';
import { recoveryCommands } from './recovery-key.js';

type RootKeyState = 'current' | 'opens' | 'incomplete' | 'recovery' | 'recovery_incomplete';

const STATE_STYLES: Readonly<Record<RootKeyState, Style>> = {
  current: 'green',
  opens: 'yellow',
  incomplete: 'red',
  recovery: 'green',
  recovery_incomplete: 'red',
};

const STATE_SAYS: Readonly<Record<RootKeyState, string>> = {
  current: 'current',
  opens: 'opens the database too, until it is retired',
  incomplete: 'does not wrap every data key: run root-key rotate again, or retire it',
  recovery: 'recovery',
  recovery_incomplete: 'recovery, but not of every data key: retire it and add it again',
};

/** The name of none. A setting that leads to a lost file would otherwise keep the settings from being read at all. */
const UNUSED_ROOT_KEY = 'aws-kms:arn:aws:kms:nowhere:000000000000:key/00000000';

/** Reads only, and without a root key: also for the day on which there is none. */
async function status(cli: Cli): Promise<void> {
  const config = await loadSettled(cli, { rootKey: UNUSED_ROOT_KEY });
  assertExists(config);
  const database = open(config);
  try {
    const { applied, pending } = await schemaStatus(database);
    if (applied.length === 0 || pending.length > 0) {
      throw new AppError('database_not_migrated', 'The database is not up to date. Run: claviger migrate.');
    }
    const [found, dataKeys, rootKeys] = await database.read(async on => [
      await readInstallation(on),
      await readDataKeys(on),
      await readRootKeys(on),
    ]);
    const stateOf = ({ id, role }: RootKeyRecord): RootKeyState => {
      const opens = opensAll(id, dataKeys);
      if (role === 'recovery') return opens ? 'recovery' : 'recovery_incomplete';
      if (id === found?.rootKeyId) return 'current';
      return opens ? 'opens' : 'incomplete';
    };
    const json = {
      current: found?.rootKeyId ?? null,
      root_keys: rootKeys.map(key => ({
        root_key_id: key.id,
        role: key.role,
        backend: key.backend,
        reference: key.reference,
        state: stateOf(key),
        wraps: dataKeys.filter(({ wraps }) => wraps.has(key.id)).length,
        created_at: toRfc3339(key.createdAt),
      })),
      data_keys: dataKeys.map(({ id, purpose, wraps }) => ({
        data_key_id: id,
        purpose,
        wrapped_by: [...wraps.keys()].sort(),
      })),
    };
    cli.output.result(json, () => {
      const rows = json.root_keys.map((key): Cell[] => [
        key.root_key_id,
        key.reference === '' ? key.backend : key.reference,
        `${key.wraps} of ${dataKeys.length}`,
        key.created_at,
        { text: STATE_SAYS[key.state], style: STATE_STYLES[key.state] },
      ]);
      return cli.output.table(['ROOT KEY', 'WHERE', 'WRAPS', 'SINCE', 'STATE'], rows);
    });
  } finally {
    await database.close();
  }
}

export function rootKeyContext({ database, nodeId, actor }: Opened, output: Output): RootKeyContext {
  return {
    database,
    nodeId,
    actor,
    onStep(step, done, total) {
      if (step === 'wrapped') output.say(`${done} of ${total} data keys are wrapped by the new root key`);
      if (step === 'verified') output.say('All of them come out of it unchanged');
    },
  };
}

interface RotateOptions extends Consent {
  readonly to: string;
  readonly retireOld?: boolean;
}

/**
 * The value of `--to` is what `rootKey` would be: a name, or a reference to where the key stands, never the key. So the
 * settings are read as they would be with it, and everything that is checked there is checked here.
 */
async function targetOf(cli: Cli, to: string): Promise<RootKey> {
  const config = await loadSettled(cli, { rootKey: to });
  if (config.rootKey === undefined) throw new UsageError('--to names no root key.');
  return configuredRootKey(config, config.rootKey);
}

async function rotate(cli: Cli, options: RotateOptions): Promise<void> {
  const target = await targetOf(cli, options.to);
  try {
    await withInstallation(cli, opened => rotateTo(cli, opened, target, options));
  } finally {
    target.close();
  }
}

async function rotateTo(cli: Cli, opened: Opened, target: RootKey, options: RotateOptions): Promise<void> {
  const { rootKeyId: current } = opened.installation;
  const dataKeys = await opened.database.read(readDataKeys);
  const left = dataKeys.filter(({ wraps }) => !wraps.has(target.id)).length;
  const json = { root_key_id: target.id, replaces: current, total: dataKeys.length };
  if (target.id === current) return finishRotation(cli, opened, json, options);
  await assertWorks(target);
  const plan = `Wrap ${left} of ${dataKeys.length} data keys by ${target.id} (${whereOf(target)}) and make it the current root key in place of ${current}`;
  if (options.dryRun === true) {
    cli.output.result({ ...json, rotated: false, wrapped: 0 }, () => `Would do: ${plan}.`);
    return;
  }
  await cli.confirm(`${plan}?`, options);
  const context = rootKeyContext(opened, cli.output);
  const { wrapped } = await rewrap(context, opened.rootKey, target, 'root_key.rotated');
  if (options.retireOld === true) await retireRootKey(context, current);
  cli.output.result({ ...json, rotated: true, wrapped, retired: options.retireOld === true }, () =>
    options.retireOld === true
      ? `${target.id} is the current root key. ${gone(current)}`
      : `${target.id} is the current root key. ${current} opens the database too, until it is retired.`,
  );
  cli.output.say(
    `Next: set rootKey to ${options.to} on every node and restart each${
      options.retireOld === true ? '' : `; then: claviger root-key retire ${current}`
    }`,
  );
}

/**
 * The same command again, after it was done or broken off behind the switch. An old root key that should have been
 * retired with it (it has leaked) must not stay because of that.
 */
async function finishRotation(
  cli: Cli,
  opened: Opened,
  json: { readonly root_key_id: string },
  options: RotateOptions,
): Promise<void> {
  const { root_key_id: current } = json;
  const already = `${current} is the current root key already.`;
  const { database, rootKey } = opened;
  const left = (await database.read(readRootKeys)).filter(
    ({ id, role }) => role === 'main' && id !== current,
  );
  // Only the one that the configuration still names is known to be the old one of this change.
  const old = options.retireOld === true ? left.find(({ id }) => id === rootKey.id)?.id : undefined;
  const done = { ...json, rotated: true, wrapped: 0 };
  if (old === undefined) {
    const others = left.map(({ id }) => ` ${id} is still there: claviger root-key retire ${id}`).join('');
    return cli.output.result({ ...done, retired: false }, () => `${already}${others}`);
  }
  if (options.dryRun === true) {
    return cli.output.result({ ...done, retired: false }, () => `${already} Would remove ${old}.`);
  }
  await cli.confirm(`Remove the main root key ${old}?`, options);
  await retireRootKey(rootKeyContext(opened, cli.output), old);
  cli.output.result({ ...done, retired: true }, () => `${already} ${gone(old)}`);
}

export function whereOf({ backend, reference }: Pick<RootKey, 'backend' | 'reference'>): string {
  return reference === '' ? backend : reference;
}

function gone(id: string): string {
  return `Nothing in the database is wrapped by ${id} any more; only older backups need it.`;
}

async function retire(cli: Cli, id: string, options: Consent): Promise<void> {
  await withInstallation(cli, async opened => {
    if (opened.rootKey.id === id && opened.installation.rootKeyId !== id) {
      throw new AppError(
        'conflict',
        `This configuration still uses ${id}. Set rootKey to ${opened.installation.rootKeyId}, here and on every node, and restart them first.`,
      );
    }
    const known = (await opened.database.read(readRootKeys)).find(key => key.id === id);
    const json = { root_key_id: id, role: known?.role ?? null };
    if (options.dryRun === true && known !== undefined && opened.installation.rootKeyId !== id) {
      cli.output.result({ ...json, retired: false }, () => `Would remove ${id} and all it wraps.`);
      return;
    }
    if (known !== undefined) {
      await cli.confirm(
        `Remove the ${known.role} root key ${id}? A node that still uses it does not start again.`,
        options,
      );
    }
    await retireRootKey(rootKeyContext(opened, cli.output), id);
    cli.output.result({ ...json, retired: true }, () => gone(id));
  });
}

export function rootKeyCommands(program: Command, cli: Cli): void {
  const noun = program
    .command('root-key')
    .description('the keys that wrap the data keys, and with them everything');

  noun
    .command('status')
    .description('which root keys and recovery keys wrap what; needs none of them')
    .action(() => status(cli));

  destructive(noun.command('rotate'))
    .description('let another root key take over while the servers run; run it again if it was broken off')
    .requiredOption('--to <where>', 'file:/path, env:NAME, credential:NAME, transit:…, pkcs11:…, aws-kms:…')
    .option('--retire-old', 'remove the old one at once: when it has leaked')
    .action((options: RotateOptions) => rotate(cli, options));

  destructive(noun.command('retire <root-key-id>'))
    .description('remove a root key or recovery key that is not the current one')
    .action((id: string, options: Consent) => retire(cli, id, options));

  recoveryCommands(noun, cli);
}
