import type { Command } from 'commander';
import { listAuditEvents } from '../audit/audit-log.js';
import { AUDIT_EVENTS } from '../audit/events.js';
import type { Cli } from './cli.js';
import { withInstallation } from './context.js';
import { choiceOption, readCount } from './options.js';

interface ListOptions {
  readonly limit: number;
  readonly client?: string;
  readonly event?: string;
  readonly request?: string;
}

async function list(cli: Cli, { limit, client, event, request }: ListOptions): Promise<void> {
  await withInstallation(cli, async ({ database }) => {
    const filter = {
      limit,
      ...(client === undefined ? {} : { clientId: client }),
      ...(event === undefined ? {} : { event }),
      ...(request === undefined ? {} : { requestId: request }),
    };
    const events = await database.read(on => listAuditEvents(on, filter));
    cli.output.result(events, () =>
      cli.output.table(
        ['ID', 'AT', 'EVENT', 'OUTCOME', 'ACTOR', 'CLIENT', 'SUBJECT', 'RESOURCE'],
        events.map(each => [
          String(each.id),
          each.occurred_at,
          each.event,
          each.outcome === 'success' ? each.outcome : { text: each.outcome, style: 'yellow' },
          each.actor,
          each.client_id ?? '',
          each.subject ?? '',
          each.resource ?? '',
        ]),
      ),
    );
  });
}

export function auditCommands(program: Command, cli: Cli): void {
  const noun = program.command('audit').description('who did what, and when');
  noun
    .command('list')
    .description('the newest events first')
    .option('--limit <count>', 'how many', readCount, 50)
    .option('--client <client-id>', 'only of this client')
    .option('--request <id>', 'only of this request: its number is on the error page, and in X-Request-Id')
    .addOption(choiceOption('--event <event>', 'only of this kind', AUDIT_EVENTS))
    .action((options: ListOptions) => list(cli, options));
}
