import type { Command } from 'commander';
import { showDuration } from '../config/duration.js';
import {
  ACCESS_TOKEN_FORMATS,
  type AccessTokenFormat,
  REVOCATION_WAYS,
  type RevocationWay,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
} from '../protocol.js';
import {
  createResourceServer,
  deleteResourceServer,
  resourceServerOf,
  updateResourceServer,
} from '../resources/change-resource-server.js';
import type { ResourceServer, ScopeDescriptions } from '../resources/resource-server.js';
import { ResourceStore } from '../resources/resource-store.js';
import type { Cli, Consent } from './cli.js';
import { withInstallation } from './context.js';
import { choiceOption, collectScopeText, destructive, readSeconds, words } from './options.js';
import { instant, resourceJson } from './wire.js';

interface ResourceOptions extends Consent {
  readonly identifier?: string;
  readonly name?: string;
  readonly scope?: readonly string[];
  readonly scopeText?: ScopeDescriptions;
  readonly alg?: SigningAlgorithm;
  readonly ttl?: number;
  readonly format?: AccessTokenFormat;
  readonly revocation?: RevocationWay;
  readonly introspector?: readonly string[];
  readonly force?: boolean;
}

const store = new ResourceStore();

function described(cli: Cli, server: ResourceServer): string {
  return cli.output.facts([
    ['id', server.id],
    ['identifier', server.identifier],
    ['name', server.name],
    ['scopes', server.scopes.join(' ')],
    ...Object.entries(server.scopeDescriptions).flatMap(([scope, texts]) =>
      Object.entries(texts).map(([locale, text]) => [scope, `${locale}: ${text}`] as const),
    ),
    [
      'access tokens',
      `${server.accessTokenFormat}, ${server.alg}, for ${showDuration(server.accessTokenFor)}`,
    ],
    ['revocation', server.revocation],
    ['introspectors', server.introspectors.join(' ')],
    ['created', instant(server.createdAt) ?? ''],
    ['updated', instant(server.updatedAt) ?? ''],
  ]);
}

function show(cli: Cli, server: ResourceServer): void {
  cli.output.result(resourceJson(server), () => described(cli, server));
}

function policyOptions(command: Command): Command {
  return command
    .option('--name <name>', 'for people')
    .option('--scope <scope...>', 'the scopes it knows')
    .option('--scope-text <text>', 'a scope in words: "orders.read=en:Read your orders"', collectScopeText)
    .addOption(choiceOption('--alg <alg>', 'signature of its access tokens', SIGNING_ALGORITHMS))
    .option('--ttl <duration>', 'life of its access tokens: 90s, 10m', readSeconds)
    .addOption(choiceOption('--format <format>', 'form of its access tokens', ACCESS_TOKEN_FORMATS))
    .addOption(choiceOption('--revocation <way>', 'how its JWTs can be revoked', REVOCATION_WAYS))
    .option('--introspector <client-id...>', 'clients that may introspect its tokens');
}

async function create(cli: Cli, options: ResourceOptions & { readonly identifier: string }): Promise<void> {
  await withInstallation(cli, async opened => {
    const server = await createResourceServer(
      opened,
      {
        identifier: options.identifier,
        name: options.name,
        scopes: words(options.scope) ?? [],
        scopeDescriptions: options.scopeText,
        alg: options.alg,
        accessTokenFor: options.ttl ?? opened.config.tokens.accessTokenFor,
        accessTokenFormat: options.format,
        revocation: options.revocation,
        introspectors: words(options.introspector),
      },
      opened.actor,
    );
    show(cli, server);
  });
}

async function update(cli: Cli, resource: string, options: ResourceOptions): Promise<void> {
  await withInstallation(cli, async opened => {
    const { database } = opened;
    const before = await database.read(on => resourceServerOf(on, resource));
    const scopes = words(options.scope);
    const removed = scopes === undefined ? [] : before.scopes.filter(scope => !scopes.includes(scope));
    const clientIds = await database.read(on => store.clientsOf(on, before.id));
    const affected = removed.length > 0 && clientIds.length > 0;
    const warning = `This takes ${removed.join(', ')} away from ${before.identifier} and from each of its ${clientIds.length} client(s) that holds it.`;
    if (options.dryRun === true) {
      if (affected) cli.output.say(warning);
      cli.output.say('Nothing was changed (--dry-run).');
      show(cli, before);
      return;
    }
    if (affected) await cli.confirm(`${warning} Go on?`, options);
    const input = {
      resource,
      name: options.name,
      scopes,
      scopeDescriptions: options.scopeText,
      alg: options.alg,
      accessTokenFor: options.ttl,
      accessTokenFormat: options.format,
      revocation: options.revocation,
      introspectors: words(options.introspector),
    };
    show(cli, await updateResourceServer(opened, input, opened.actor));
  });
}

async function remove(cli: Cli, resource: string, options: ResourceOptions): Promise<void> {
  await withInstallation(cli, async opened => {
    const { database } = opened;
    const server = await database.read(on => resourceServerOf(on, resource));
    const clientIds = await database.read(on => store.clientsOf(on, server.id));
    if (options.dryRun === true) {
      const json = { ...resourceJson(server), deleted: false, client_ids: clientIds };
      const needs = clientIds.length > 0 ? ' It needs --force: they lose it.' : '';
      cli.output.result(
        json,
        () => `${server.identifier} would be deleted. ${clientIds.length} client(s) use it.${needs}`,
      );
      return;
    }
    const losers =
      options.force === true && clientIds.length > 0 ? ` ${clientIds.length} client(s) lose it.` : '';
    await cli.confirm(`Delete the resource server ${server.identifier}?${losers}`, options);
    const input = { resource, force: options.force };
    const deleted = await deleteResourceServer(opened, input, opened.actor);
    cli.output.result({ ...resourceJson(deleted), deleted: true }, () => `Deleted ${deleted.identifier}.`);
  });
}

export function resourceCommands(program: Command, cli: Cli): void {
  const noun = program.command('resource').description('resource servers: what access tokens are for');

  policyOptions(noun.command('create'))
    .description('add a resource server')
    .requiredOption('--identifier <uri>', 'absolute URI; the audience of its tokens')
    .action((options: ResourceOptions & { identifier: string }) => create(cli, options));

  noun
    .command('list')
    .description('all resource servers')
    .action(() =>
      withInstallation(cli, async ({ database }) => {
        const servers = await database.read(on => store.list(on));
        cli.output.result(servers.map(resourceJson), () =>
          cli.output.table(
            ['IDENTIFIER', 'ID', 'SCOPES', 'ALG', 'FORMAT', 'TTL'],
            servers.map(({ identifier, id, scopes, alg, accessTokenFormat, accessTokenFor }) => [
              ...[identifier, id, scopes.join(' '), alg, accessTokenFormat],
              showDuration(accessTokenFor),
            ]),
          ),
        );
      }),
    );

  noun
    .command('show <resource>')
    .description('one resource server, by id or identifier')
    .action((resource: string) =>
      withInstallation(cli, async ({ database }) =>
        show(cli, await database.read(on => resourceServerOf(on, resource))),
      ),
    );

  destructive(policyOptions(noun.command('update <resource>')))
    .description('change it; a list that is given replaces the old one')
    .action((resource: string, options: ResourceOptions) => update(cli, resource, options));

  destructive(noun.command('delete <resource>'))
    .description('remove it')
    .option('--force', 'although clients use it; they lose it')
    .action((resource: string, options: ResourceOptions) => remove(cli, resource, options));
}
