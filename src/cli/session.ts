import type { Command } from 'commander';
import { AppError } from '../errors.js';
import { openAccess } from '../oidc/people.js';
import { SessionStore } from '../oidc/session-store.js';
import type { ListedSession } from '../oidc/sessions.js';
import { browserTitle } from '../users/browser-name.js';
import { userOf } from '../users/change-user.js';
import type { Cli, Consent } from './cli.js';
import { UsageError } from './command.js';
import { type Opened, withInstallation } from './context.js';
import { destructive } from './options.js';
import { instant, sessionJson } from './wire.js';

interface EndOptions extends Consent {
  readonly user?: string;
  readonly all?: boolean;
}

const store = new SessionStore();
/** HMAC-SHA-256 in base64url. */
const SESSION_ID = /^[\w-]{43}$/;

function table(cli: Cli, sessions: readonly ListedSession[]): string {
  return cli.output.table(
    ['SESSION_ID', 'SIGNED_IN', 'LAST_USED', 'BY', 'IP', 'BROWSER', 'CLIENTS'],
    sessions.map(session => [
      session.sessionId,
      instant(session.createdAt) ?? '',
      instant(session.lastUsedAt) ?? '',
      session.amr.join(' '),
      session.ip ?? '',
      browserTitle(session.userAgent),
      session.clientIds.join(' '),
    ]),
  );
}

async function list(cli: Cli, { user }: { readonly user: string }): Promise<void> {
  await withInstallation(cli, async opened => {
    const { id } = await opened.database.read(on => userOf(on, user));
    const sessions = await openAccess(opened).sessions.list(id);
    cli.output.result(sessions.map(sessionJson), () => table(cli, sessions));
  });
}

/** Which sessions a command means. */
async function meant(
  opened: Opened,
  sessionId: string | undefined,
  { user, all = false }: EndOptions,
): Promise<readonly ListedSession[]> {
  const { database } = opened;
  const { sessions } = openAccess(opened);
  if (sessionId !== undefined) {
    if (sessionId.startsWith('-') && !SESSION_ID.test(sessionId)) {
      throw new UsageError(`There is no option ${sessionId} (--help says what there is).`);
    }
    if (user !== undefined || all) throw new UsageError('Give a session id, or --user with --all.');
    const found = await database.read(on => store.find(on, sessionId));
    const live = found === undefined ? [] : await sessions.list(found.userId);
    const session = live.find(each => each.sessionId === sessionId);
    if (session === undefined) {
      throw new AppError('not_found', 'There is no such session, or it has ended. List the sessions.');
    }
    return [session];
  }
  if (user === undefined || !all) {
    throw new UsageError('Give a session id, or --user with --all for every session of a person.');
  }
  const { id } = await database.read(on => userOf(on, user));
  return sessions.list(id);
}

async function end(cli: Cli, sessionId: string | undefined, options: EndOptions): Promise<void> {
  await withInstallation(cli, async opened => {
    const sessions = await meant(opened, sessionId, options);
    const clients = new Set(sessions.flatMap(session => session.clientIds));
    const userId = sessions[0]?.userId;
    const reach = `${sessions.length} session(s)${userId === undefined ? '' : ` of ${userId}`}, signed in to ${clients.size} client(s)`;
    const json = (ended: number) => ({ ended, user_id: userId ?? null, sessions: sessions.map(sessionJson) });
    if (options.dryRun === true || userId === undefined) {
      cli.output.result(json(0), () => `${reach}, would end.`);
      return;
    }
    await cli.confirm(
      `End ${reach}? Tokens from them stop working, except those of clients that may work offline.`,
      options,
    );
    const { actor } = opened;
    const access = openAccess(opened).sessions;
    const ended =
      sessionId === undefined
        ? await access.endAll(userId, { actor })
        : await access.end(sessionId, { actor }, userId).then(() => 1);
    cli.output.result(json(ended), () => `Ended ${ended} session(s) of ${userId}.`);
  });
}

export function sessionCommands(program: Command, cli: Cli): void {
  const noun = program.command('session').description('sessions: browsers that people are signed in with');
  noun
    .command('list')
    .description('the sessions of a person, the last used first')
    .requiredOption('--user <user>', 'user id or e-mail address')
    .action((options: { readonly user: string }) => list(cli, options));
  destructive(noun.command('end [session-id]'))
    .description('sign a browser out; its clients are told, and its tokens stop working')
    .option('--user <user>', 'user id or e-mail address')
    .option('--all', 'every session of the user')
    // One id in 64 begins with a dash.
    .allowUnknownOption()
    .action((sessionId: string | undefined, options: EndOptions) => end(cli, sessionId, options));
}
