import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { DataKey } from '../crypto/data-key.js';
import { Envelope, sealedWith } from '../crypto/envelope.js';
import { generateRecoveryKey, recoveryOpener, recoveryRecipient } from '../crypto/recovery-key.js';
import type { RootKey } from '../crypto/root-key.js';
import type { Database } from '../database/connect.js';
import { readDataKeys, type StoredDataKey } from '../database/data-key-store.js';
import { assertInstallation, readInstallation } from '../database/identity.js';
import {
  openDataKeys,
  readRecoveryKeys,
  signingKeyEnvelopeIn,
  sortRecoveryKeys,
} from '../database/installation.js';
import { schemaStatus } from '../database/schema.js';
import { AppError, isAppError } from '../errors.js';
import { readRing } from '../keys/key-store.js';
import { sealContext } from '../keys/rotate.js';
import { addRecoveryKey } from '../root-keys/change-root-keys.js';
import { assertWorks } from '../root-keys/probe.js';
import { rewrap } from '../root-keys/rewrap.js';
import type { Cli, Consent } from './cli.js';
import { UsageError } from './command.js';
import {
  assertExists,
  cliActor,
  cliNodeId,
  loadSettled,
  open,
  rootKeyOf,
  withInstallation,
} from './context.js';
import { destructive } from './options.js';
import { createFile } from './private-file.js';
import { readStdin, readTextFile } from './read-secret.js';

/** Touches no configuration and no database: meant for a machine that is neither. */
async function make(cli: Cli, { out }: { readonly out: string }): Promise<void> {
  const { cwd } = cli.surroundings;
  const { id, publicKey, privateKey } = await generateRecoveryKey();
  const [file, publicFile] = [resolve(cwd, out), resolve(cwd, `${out}.pub`)];
  // Looked at first: a private half without its public one would be left behind.
  for (const path of [file, publicFile]) if (existsSync(path)) throw taken(path);
  for (const [path, content, mode] of [
    [file, privateKey, 0o600],
    [publicFile, publicKey, 0o644],
  ] as const) {
    if (!createFile(path, `${content}\n`, mode)) throw taken(path);
  }
  const json = { recovery_key_id: id, private_key_file: file, public_key_file: publicFile };
  cli.output.result(json, () => cli.output.facts(Object.entries(json)));
  cli.output.say(
    `Keep ${file} offline, in two places; the server never needs it before the day of the recovery.\nNext, beside the server: claviger root-key add-recovery --public-key-file ${out}.pub`,
  );
}

function taken(path: string): AppError {
  return new AppError('already_exists', `${path} exists and is not overwritten. Name another file.`);
}

async function add(
  cli: Cli,
  { publicKeyFile }: { readonly publicKeyFile?: string | undefined },
): Promise<void> {
  const { surroundings } = cli;
  if (publicKeyFile === undefined && surroundings.isTty) {
    throw new UsageError('Give the public half by --public-key-file FILE or on standard input.');
  }
  const text =
    publicKeyFile === undefined ? await readStdin(surroundings) : readTextFile(surroundings, publicKeyFile);
  const recipient = await recoveryRecipient(text);
  await withInstallation(cli, async ({ database, nodeId, actor, rootKey }) => {
    const isNew = await addRecoveryKey({ database, nodeId, actor }, rootKey, recipient);
    cli.output.result({ recovery_key_id: recipient.id, added: isNew }, () =>
      isNew
        ? `The recovery key ${recipient.id} opens every data key from now on, with its private half.`
        : `The recovery key ${recipient.id} was added before; nothing was changed.`,
    );
  });
}

interface RecoverOptions extends Consent {
  readonly recoveryKeyFile?: string;
}

/** The configured root key is the new one; the one the database knows is lost. */
async function recover(cli: Cli, options: RecoverOptions): Promise<void> {
  const { surroundings } = cli;
  if (options.recoveryKeyFile === undefined && surroundings.isTty) {
    throw new UsageError('Give the private half by --recovery-key-file FILE or on standard input.');
  }
  const config = await loadSettled(cli);
  assertExists(config);
  const text =
    options.recoveryKeyFile === undefined
      ? await readStdin(surroundings)
      : readTextFile(surroundings, options.recoveryKeyFile);
  const opener = await recoveryOpener(text);
  const target = rootKeyOf(config, surroundings.cwd);
  const database = open(config);
  try {
    const { applied, pending } = await schemaStatus(database);
    if (applied.length === 0 || pending.length > 0) {
      throw new AppError(
        'database_not_migrated',
        'The database is not up to date; it was restored from another version. Use the program of that version.',
      );
    }
    const found = await database.read(readInstallation);
    if (found === undefined) throw new AppError('not_found', 'The database belongs to no installation yet.');
    const { issuer, environment } = config;
    assertInstallation(found, { issuer, environment, rootKeyId: found.rootKeyId });
    const stored = await database.read(readDataKeys);
    const json = { root_key_id: target.id, replaces: found.rootKeyId, recovery_key_id: opener.id };
    if (target.id === found.rootKeyId) {
      await assertOpens(target, stored);
      cli.output.result(
        { ...json, recovered: true, wrapped: 0 },
        () => `${target.id} is the current root key already.`,
      );
      return;
    }
    const opened = await openDataKeys(opener, stored);
    await assertOpensSigningKeys(database, opened);
    await assertAddedHere(database, opener.id, signingKeyEnvelopeIn(opened, stored));
    await assertWorks(target);
    if (options.dryRun === true) {
      cli.output.result(
        { ...json, recovered: false, wrapped: 0 },
        () =>
          `Would wrap ${stored.length} data keys by ${target.id}, the configured root key; the recovery key opens all of them.`,
      );
      return;
    }
    await cli.confirm(
      `Make the configured root key ${target.id} the current one, in place of ${found.rootKeyId}?`,
      options,
    );
    const context = { database, nodeId: cliNodeId(), actor: cliActor() };
    const { wrapped } = await rewrap(context, opener, target, 'root_key.recovered');
    cli.output.result({ ...json, recovered: true, wrapped }, () => `${target.id} is the current root key.`);
    cli.output.say(
      `Next: start the servers with it; then remove the lost one: claviger root-key retire ${found.rootKeyId}`,
    );
  } finally {
    target.close();
    await database.close();
  }
}

/** A key elsewhere is known by its name only, and the one that is lost may have been made anew under it. */
async function assertOpens(target: RootKey, stored: readonly StoredDataKey[]): Promise<void> {
  try {
    await openDataKeys(target, stored);
  } catch (cause) {
    if (!isAppError(cause) || cause.code === 'root_key_unavailable' || target.reference === '') throw cause;
    throw new AppError(
      'root_key_wrong',
      `${target.reference} has the name of the lost root key and does not open the data keys. Make one under another name, set rootKey to it, then recover again; nothing was changed.`,
      { cause },
    );
  }
}

/**
 * The public half is no secret: who could write the database could have wrapped data keys of their own for it. Those
 * would not open what the true ones sealed.
 */
async function assertOpensSigningKeys(database: Database, dataKeys: readonly DataKey[]): Promise<void> {
  const { keys } = await database.read(readRing);
  for (const { kid, sealedPrivate } of keys) {
    if (typeof sealedPrivate !== 'string') continue;
    const dataKey = dataKeys.find(({ id }) => id === sealedWith(sealedPrivate));
    try {
      if (dataKey === undefined) throw new TypeError('sealed with a data key that is not there');
      new Envelope(dataKey).open(sealedPrivate, sealContext(kid));
    } catch (cause) {
      throw new AppError(
        'sealed_value_damaged',
        `What the recovery key brings out does not open the signing key ${kid}: somebody changed the database. Restore a backup from before, then recover again.`,
        { cause },
      );
    }
  }
}

/** Of the same worry, and it also says something where every signing key lies in an HSM. */
async function assertAddedHere(
  database: Database,
  recoveryKeyId: string,
  envelope: Envelope | undefined,
): Promise<void> {
  const { strangers } = await sortRecoveryKeys(await database.read(readRecoveryKeys), envelope);
  if (!strangers.includes(recoveryKeyId)) return;
  throw new AppError(
    'sealed_value_damaged',
    `What the recovery key brings out is not what it was added with: somebody changed the database. Restore a backup from before, then recover again.`,
  );
}

export function recoveryCommands(noun: Command, cli: Cli): void {
  noun
    .command('make-recovery')
    .description('make a recovery key pair; on a machine that is not the server')
    .requiredOption('--out <file>', 'where the private half goes; the public half goes to FILE.pub')
    .action((options: { out: string }) => make(cli, options));
  noun
    .command('add-recovery')
    .description('wrap every data key for a recovery key too')
    .option('--public-key-file <file>', 'its public half; else standard input')
    .action((options: { publicKeyFile?: string }) => add(cli, options));
  destructive(noun.command('recover'))
    .description('bring in the configured root key when the old one is lost')
    .option('--recovery-key-file <file>', 'the private half; else standard input')
    .action((options: RecoverOptions) => recover(cli, options));
}
