import type { Command } from 'commander';
import { clientOf } from '../clients/change-client.js';
import { addClientSecret, revokeClientSecret } from '../clients/change-client-secret.js';
import { type ClientSecretRecord, isLive, secretState } from '../clients/client-secret.js';
import { SecretStore } from '../clients/secret-store.js';
import { AppError } from '../errors.js';
import type { Cli, Consent } from './cli.js';
import { withInstallation } from './context.js';
import { destructive, readSeconds } from './options.js';
import { instant, secretJson } from './wire.js';

interface AddOptions extends Consent {
  readonly name: string;
  readonly expiresIn?: number;
  readonly retireOthersIn?: number;
}

const store = new SecretStore();

/** Retired sooner than this, a client may not have taken up its new secret. */
const LEAST_OVERLAP_FOR = 60;

async function add(cli: Cli, clientId: string, options: AddOptions): Promise<void> {
  await withInstallation(cli, async opened => {
    const { database, actor } = opened;
    await database.read(on => clientOf(on, clientId));
    const now = await database.now();
    const { retireOthersIn } = options;
    const live = (await database.read(on => store.list(on, clientId))).filter(secret => isLive(secret, now));
    if (options.dryRun === true) {
      const ending = retireOthersIn === undefined ? [] : live;
      cli.output.result({ retired: ending.map(secret => secretJson(secret, now)) }, () =>
        retireOthersIn === undefined
          ? 'A secret would be added; the others stay as they are.'
          : `A secret would be added, and at ${instant(now + retireOthersIn * 1000)} at the latest end: ${ending.map(({ id }) => id).join(', ') || 'none'}.`,
      );
      return;
    }
    if (retireOthersIn !== undefined && retireOthersIn < LEAST_OVERLAP_FOR && live.length > 0) {
      await cli.confirm(
        `${live.length} live secret(s) end within a minute, before the client has the new one. Go on?`,
        options,
      );
    }
    const { name, expiresIn } = options;
    const input = { clientId, name, expiresIn, retireOthersIn };
    const { secret, retired } = await addClientSecret(opened, input, actor);
    const json = {
      client_id: clientId,
      id: secret.id,
      client_secret: secret.clientSecret,
      name,
      expires_at: instant(secret.expiresAt),
      retired: retired.map(each => secretJson(each, now)),
    };
    cli.output.result(json, () =>
      cli.output.facts([
        ['client_id', clientId],
        ['id', secret.id],
        ['expires', json.expires_at ?? 'never'],
        ...retired.map(each => ['ends sooner', `${each.id}: ${instant(each.expiresAt)}`] as const),
        ['client_secret', secret.clientSecret],
      ]),
    );
    cli.output.say('The secret is shown this once: it is not stored in a form that anybody can read.');
  });
}

async function list(cli: Cli, clientId: string): Promise<void> {
  await withInstallation(cli, async ({ database }) => {
    await database.read(on => clientOf(on, clientId));
    const secrets = await database.read(on => store.list(on, clientId));
    const now = await database.now();
    cli.output.result(
      secrets.map(secret => secretJson(secret, now)),
      () =>
        cli.output.table(
          ['ID', 'NAME', 'STATE', 'CREATED', 'EXPIRES', 'LAST USED'],
          secrets.map(secret => [
            secret.id,
            secret.name,
            stateCell(secret, now),
            instant(secret.createdAt) ?? '',
            instant(secret.revokedAt) ?? instant(secret.expiresAt) ?? 'never',
            instant(secret.lastUsedAt) ?? 'never',
          ]),
        ),
    );
  });
}

function stateCell(secret: ClientSecretRecord, now: number) {
  const text = secretState(secret, now);
  if (text === 'live') return { text, style: 'green' } as const;
  return { text, style: text === 'expiring' ? 'yellow' : 'dim' } as const;
}

async function revoke(cli: Cli, clientId: string, id: string, options: Consent): Promise<void> {
  await withInstallation(cli, async opened => {
    const { database, actor } = opened;
    await database.read(on => clientOf(on, clientId));
    const now = await database.now();
    const secrets = await database.read(on => store.list(on, clientId));
    const secret = secrets.find(each => each.id === id);
    if (secret === undefined) {
      throw new AppError(
        'not_found',
        `The client has no such secret. Its ids: claviger client secret list ${clientId}`,
      );
    }
    const others = secrets.filter(each => each.id !== id && isLive(each, now)).length;
    const warning = others === 0 ? ' It is the last one: the client gets no more tokens.' : '';
    if (options.dryRun === true) {
      cli.output.result(secretJson(secret, now), () => `${id} would open nothing from now on.${warning}`);
      return;
    }
    await cli.confirm(`Revoke ${id} (${secret.name}) at once?${warning}`, options);
    const revoked = await revokeClientSecret(opened, { clientId, id }, actor);
    cli.output.result(secretJson(revoked, now), () => `Revoked ${id}.`);
    cli.output.say(
      'Tokens that were issued with it stay valid until they expire; to end those too, disable the client.',
    );
  });
}

export function secretCommands(client: Command, cli: Cli): void {
  const noun = client.command('secret').description('the secrets of a client; several may be live at once');

  destructive(noun.command('add <client-id>'))
    .description('one more secret, shown once')
    .option('--name <name>', 'who holds it, or where', 'added')
    .option('--expires-in <duration>', 'its life: 24h, 90d', readSeconds)
    .option('--retire-others-in <duration>', 'the others end this long from now: 24h', readSeconds)
    .action((clientId: string, options: AddOptions) => add(cli, clientId, options));

  noun
    .command('list <client-id>')
    .description('its secrets, without what opens anything')
    .action((clientId: string) => list(cli, clientId));

  destructive(noun.command('revoke <client-id> <id>'))
    .description('it opens nothing from now on')
    .action((clientId: string, id: string, options: Consent) => revoke(cli, clientId, id, options));
}
