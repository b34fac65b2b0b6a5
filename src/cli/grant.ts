import type { Command } from 'commander';
import { clientOf } from '../clients/change-client.js';
import type { Consent as Allowed } from '../oidc/consent-store.js';
import { openAccess } from '../oidc/people.js';
import { userOf } from '../users/change-user.js';
import type { Cli, Consent } from './cli.js';
import { UsageError } from './command.js';
import { type Opened, withInstallation } from './context.js';
import { destructive } from './options.js';
import { grantJson, instant } from './wire.js';

interface Of {
  readonly user?: string;
  readonly client?: string;
}

async function resolved({ database }: Opened, { user, client }: Of) {
  return database.read(async on => ({
    ...(user === undefined ? {} : { userId: (await userOf(on, user)).id }),
    ...(client === undefined ? {} : { clientId: (await clientOf(on, client)).clientId }),
  }));
}

function scopesOf({ granted }: Allowed): string {
  const ofResources = Object.entries(granted.resources).map(
    ([identifier, scopes]) => `${identifier}: ${scopes.join(' ')}`,
  );
  return [granted.oidcScopes.join(' '), ...ofResources].filter(text => text !== '').join('; ');
}

async function list(cli: Cli, options: Of): Promise<void> {
  if (options.user === undefined && options.client === undefined) {
    throw new UsageError('Say whose grants: --user, --client, or both.');
  }
  await withInstallation(cli, async opened => {
    const consents = await openAccess(opened).consents.list(await resolved(opened, options));
    cli.output.result(consents.map(grantJson), () =>
      cli.output.table(
        ['USER_ID', 'CLIENT_ID', 'ALLOWED', 'SINCE', 'LAST_USED'],
        consents.map(consent => [
          consent.userId,
          consent.clientId,
          scopesOf(consent),
          instant(consent.createdAt) ?? '',
          instant(consent.lastUsedAt) ?? '',
        ]),
      ),
    );
  });
}

async function revoke(cli: Cli, options: Required<Of> & Consent): Promise<void> {
  await withInstallation(cli, async opened => {
    const { userId = '', clientId = '' } = await resolved(opened, options);
    const { consents } = openAccess(opened);
    const grants = await consents.countGrants(userId, clientId);
    const reach = `what ${userId} allowed ${clientId}: ${grants} grant(s)`;
    const json = (revoked: number) => ({ user_id: userId, client_id: clientId, grants: revoked });
    if (options.dryRun === true) {
      cli.output.result({ ...json(grants), revoked: false }, () => `It would be withdrawn, ${reach}.`);
      return;
    }
    await cli.confirm(`Withdraw ${reach}? Every token of them stops working.`, options);
    const revoked = await consents.revoke(userId, clientId, { actor: opened.actor });
    cli.output.result({ ...json(revoked), revoked: true }, () => `Withdrawn, ${revoked} grant(s) ended.`);
  });
}

export function grantCommands(program: Command, cli: Cli): void {
  const noun = program.command('grant').description('grants: what people have allowed clients');
  noun
    .command('list')
    .description('what is allowed, by person or by client')
    .option('--user <user>', 'user id or e-mail address')
    .option('--client <client-id>', 'only of this client')
    .action((options: Of) => list(cli, options));
  destructive(noun.command('revoke'))
    .description('withdraw what a person allowed a client; its tokens stop working')
    .requiredOption('--user <user>', 'user id or e-mail address')
    .requiredOption('--client <client-id>', 'the client')
    .action((options: Required<Of> & Consent) => revoke(cli, options));
}
