import type { Command } from 'commander';
import {
  clientOf,
  createClient,
  deleteClient,
  disableClient,
  enableClient,
  updateClient,
} from '../clients/change-client.js';
import type { ClientRecord } from '../clients/client.js';
import { secretState } from '../clients/client-secret.js';
import { ClientStore } from '../clients/client-store.js';
import { metadataDetail } from '../clients/metadata-json.js';
import { CLIENT_AUTH_METHODS, type ClientAuthMethod, GRANT_TYPES, type GrantType } from '../protocol.js';
import type { Cli, Consent } from './cli.js';
import { type AccessOptions, resourcesFrom } from './client-input.js';
import { authMethodFrom, type MetadataOptions, metadataFrom, metadataOptions } from './client-options.js';
import { UsageError } from './command.js';
import { type Opened, withInstallation } from './context.js';
import { choiceOption, destructive, readSeconds } from './options.js';
import { clientJson, instant } from './wire.js';

interface ClientOptions extends AccessOptions, MetadataOptions, Consent {
  readonly name?: string;
  readonly grant?: readonly GrantType[];
  readonly auth?: ClientAuthMethod;
  readonly secretExpiresIn?: number;
}

const PAGE = 1000;
const store = new ClientStore();

function stateOf({ disabledAt }: ClientRecord): string {
  return disabledAt === undefined ? 'enabled' : 'disabled';
}

function described(cli: Cli, client: ClientRecord, now: number): string {
  return cli.output.facts([
    ['client_id', client.clientId],
    ['name', client.name],
    ['state', stateOf(client)],
    ['grants', client.grantTypes.join(' ')],
    ['authentication', client.authMethod],
    ...Object.entries(metadataDetail(client)).map(
      ([name, value]) => [name, Array.isArray(value) ? value.join(' ') : String(value)] as const,
    ),
    ...client.resources.map(
      ({ identifier, scopes, isDefault }) =>
        ['resource', `${identifier}${isDefault ? ' (default)' : ''}: ${scopes.join(' ')}`] as const,
    ),
    ...client.secrets.map(secret => {
      const end = secret.expiresAt === undefined ? '' : `, until ${instant(secret.expiresAt)}`;
      return ['secret', `${secret.id} ${secret.name}: ${secretState(secret, now)}${end}`] as const;
    }),
    ['created', instant(client.createdAt) ?? ''],
    ['updated', instant(client.updatedAt) ?? ''],
  ]);
}

async function show(cli: Cli, { database }: Opened, client: ClientRecord): Promise<void> {
  const now = await database.now();
  cli.output.result(clientJson(client, now), () => described(cli, client, now));
}

async function create(cli: Cli, options: ClientOptions & { readonly name: string }): Promise<void> {
  const metadata = metadataFrom(cli.surroundings, options);
  const authMethod = authMethodFrom(options, options.auth);
  if (authMethod === 'none' && options.secretExpiresIn !== undefined) {
    throw new UsageError('A public client has no secret: leave out --secret-expires-in.');
  }
  await withInstallation(cli, async opened => {
    const resources = (await opened.database.read(on => resourcesFrom(on, options))) ?? [];
    const { client, secret } = await createClient(
      opened,
      {
        ...metadata,
        name: options.name,
        grantTypes: options.grant,
        authMethod,
        resources,
        secret: { expiresIn: options.secretExpiresIn },
      },
      opened.actor,
    );
    const now = await opened.database.now();
    const { client_id, ...rest } = clientJson(client, now);
    if (secret === undefined) {
      cli.output.result({ client_id, ...rest }, () => described(cli, client, now));
      cli.output.say('It is a public client: it has no secret, and its codes need PKCE.');
      return;
    }
    const shown = {
      client_secret: secret.clientSecret,
      client_secret_id: secret.id,
      client_secret_expires_at: instant(secret.expiresAt),
    };
    cli.output.result({ client_id, ...shown, ...rest }, () => {
      const made = cli.output.facts([['client_secret', shown.client_secret]]);
      return `${described(cli, client, now)}\n\n${made}`;
    });
    cli.output.say('The secret is shown this once: it is not stored in a form that anybody can read.');
    if (client.oidcScopes.length === 0 && client.resources.every(({ scopes }) => scopes.length === 0)) {
      cli.output.say(
        `The client has no scopes yet: claviger client update ${client_id} --resource … --scope …`,
      );
    }
  });
}

async function list(cli: Cli): Promise<void> {
  await withInstallation(cli, async ({ database }) => {
    const clients: ClientRecord[] = [];
    for (let isLast = false; !isLast; ) {
      const page = { limit: PAGE, after: clients.at(-1)?.clientId };
      const found = await database.read(on => store.list(on, page));
      clients.push(...found);
      isLast = found.length < PAGE;
    }
    const now = await database.now();
    cli.output.result(
      clients.map(client => clientJson(client, now)),
      () =>
        cli.output.table(
          ['CLIENT_ID', 'NAME', 'STATE', 'GRANTS', 'RESOURCES', 'SECRETS'],
          clients.map(client => [
            client.clientId,
            client.name,
            client.disabledAt === undefined ? 'enabled' : { text: 'disabled', style: 'yellow' },
            client.grantTypes.join(' '),
            client.resources.map(({ identifier }) => identifier).join(' '),
            String(client.secrets.filter(secret => secretState(secret, now) !== 'expired').length),
          ]),
        ),
    );
  });
}

async function update(cli: Cli, clientId: string, options: ClientOptions): Promise<void> {
  await withInstallation(cli, async opened => {
    const before = await opened.database.read(on => clientOf(on, clientId));
    const resources = await opened.database.read(on => resourcesFrom(on, options, before.resources));
    if (options.dryRun === true) {
      cli.output.say('Nothing was changed (--dry-run); this is the client as it is:');
      await show(cli, opened, before);
      return;
    }
    const { name, grant: grantTypes } = options;
    const metadata = metadataFrom(cli.surroundings, options, before.allowedUsers);
    const authMethod = authMethodFrom(options, options.auth);
    const input = { clientId, ...metadata, name, grantTypes, authMethod, resources };
    await show(cli, opened, await updateClient(opened, input, opened.actor));
  });
}

async function disable(cli: Cli, clientId: string, options: Consent): Promise<void> {
  await withInstallation(cli, async opened => {
    if (options.dryRun === true) {
      const client = await opened.database.read(on => clientOf(on, clientId));
      cli.output.say(`${client.name} would get no more tokens, and those it holds would become inactive.`);
      await show(cli, opened, client);
      return;
    }
    // It can be undone, and in an emergency it must not wait for an answer: nobody is asked.
    await show(cli, opened, await disableClient(opened, { clientId }, opened.actor));
    cli.output.say(
      'It gets no more tokens; those it holds are inactive. Resource servers that do not introspect accept them until they expire.',
    );
  });
}

async function remove(cli: Cli, clientId: string, options: Consent): Promise<void> {
  await withInstallation(cli, async opened => {
    const client = await opened.database.read(on => clientOf(on, clientId));
    const now = await opened.database.now();
    if (options.dryRun === true) {
      cli.output.result(
        { ...clientJson(client, now), deleted: false },
        () => `${client.clientId} (${client.name}) would be deleted with ${client.secrets.length} secret(s).`,
      );
      return;
    }
    await cli.confirm(
      `Delete the client ${client.clientId} (${client.name}) with its secrets? To keep it, disable it instead.`,
      options,
    );
    const deleted = await deleteClient(opened, { clientId }, opened.actor);
    cli.output.result({ ...clientJson(deleted, now), deleted: true }, () => `Deleted ${deleted.clientId}.`);
  });
}

function accessOptions(command: Command): Command {
  return metadataOptions(command)
    .addOption(choiceOption('--grant <grant...>', 'grant types', GRANT_TYPES))
    .addOption(choiceOption('--auth <method>', 'client authentication method', CLIENT_AUTH_METHODS))
    .option('--resource <resource...>', 'resource servers it may ask tokens for (identifier or id)')
    .option('--scope <scope...>', 'scopes of these resource servers')
    .option('--default-scope <scope...>', 'of --scope: granted when a request names none (default: all)')
    .option('--default-resource <resource>', 'meant when a request names none');
}

/** @returns the noun, for the secrets below it. */
export function clientCommands(program: Command, cli: Cli): Command {
  const noun = program.command('client').description('clients: who may ask for access tokens');

  accessOptions(noun.command('create'))
    .description('add a client and show its first secret, once')
    .requiredOption('--name <name>', 'for people')
    .option('--secret-expires-in <duration>', 'life of its first secret: 24h, 90d', readSeconds)
    .action((options: ClientOptions & { name: string }) => create(cli, options));

  noun
    .command('list')
    .description('all clients')
    .action(() => list(cli));

  noun
    .command('show <client-id>')
    .description('one client')
    .action((clientId: string) =>
      withInstallation(cli, async opened =>
        show(cli, opened, await opened.database.read(on => clientOf(on, clientId))),
      ),
    );

  accessOptions(noun.command('update <client-id>'))
    .description('change it; a list that is given replaces the old one')
    .option('--name <name>', 'for people')
    .option('--dry-run', 'only check')
    .action((clientId: string, options: ClientOptions) => update(cli, clientId, options));

  destructive(noun.command('disable <client-id>'))
    .description('no more tokens, until it is enabled; those it holds become inactive')
    .action((clientId: string, options: Consent) => disable(cli, clientId, options));

  noun
    .command('enable <client-id>')
    .description('tokens again; those from before stay inactive')
    .action((clientId: string) =>
      withInstallation(cli, async opened =>
        show(cli, opened, await enableClient(opened, { clientId }, opened.actor)),
      ),
    );

  destructive(noun.command('delete <client-id>'))
    .description('remove it with its secrets')
    .action((clientId: string, options: Consent) => remove(cli, clientId, options));

  return noun;
}
