import type { Command } from 'commander';
import { emailKey } from '../users/account-input.js';
import {
  createUser,
  deleteUser,
  disableUser,
  enableUser,
  lockUser,
  unlockUser,
  updateUser,
  userOf,
} from '../users/change-user.js';
import type { Acting, PeopleContext } from '../users/people-context.js';
import { requestPasswordReset, setPassword } from '../users/set-password.js';
import { inviteUser } from '../users/sign-up.js';
import type { User } from '../users/user.js';
import { UserStore } from '../users/user-store.js';
import type { Cli, Consent } from './cli.js';
import { UsageError } from './command.js';
import { withInstallation } from './context.js';
import { destructive, readCount } from './options.js';
import { actingFrom, peopleContext } from './people.js';
import { claimsFrom, groupsFrom, type ProfileOptions, profileFrom, readPassword } from './user-input.js';
import { userMoveCommands } from './user-move.js';
import { instant, userJson } from './wire.js';

interface CreateOptions extends ProfileOptions {
  readonly email: string;
  readonly emailVerified?: boolean;
  readonly passwordFile?: string;
  readonly invite?: boolean;
}

interface ListOptions {
  readonly search?: string;
  readonly limit?: number;
}

interface ResetOptions extends Consent {
  readonly passwordFile?: string;
  readonly sendLink?: boolean;
}

const PAGE = 1000;
const store = new UserStore();

function stateOf({ disabledAt, lockedAt }: User): string {
  if (disabledAt !== undefined) return 'disabled';
  return lockedAt === undefined ? 'enabled' : 'locked';
}

function show(cli: Cli, user: User): void {
  cli.output.result(userJson(user), () =>
    cli.output.facts([
      ['id', user.id],
      ['email', `${user.email}${user.emailVerifiedAt === undefined ? ' (not verified)' : ''}`],
      ['state', stateOf(user)],
      ['name', user.profile.name ?? ''],
      ['groups', user.groups.join(', ')],
      ['password', user.hasPassword ? 'set' : 'none'],
      ['second factor', user.hasTotp ? 'authenticator app' : ''],
      ['last sign-in', instant(user.lastSignInAt) ?? ''],
      ['created', instant(user.createdAt) ?? ''],
      ['updated', instant(user.updatedAt) ?? ''],
    ]),
  );
}

/** Opens everything, finds the account, and goes on with it. */
function withUser(
  cli: Cli,
  reference: string,
  work: (context: PeopleContext, user: User, acting: Acting) => Promise<void>,
): Promise<void> {
  return withInstallation(cli, async opened => {
    const context = peopleContext(opened);
    const user = await opened.database.read(on => userOf(on, reference));
    await work(context, user, actingFrom(opened));
  });
}

async function invite(cli: Cli, options: Omit<CreateOptions, 'passwordFile' | 'invite'>): Promise<void> {
  await withInstallation(cli, async opened => {
    const input = { email: options.email, groups: groupsFrom(options), name: options.name };
    const invited = await inviteUser(peopleContext(opened), input, actingFrom(opened));
    const json = { email: invited.email, invited: true, expires_at: instant(invited.expiresAt) };
    cli.output.result(json, () => `Invited ${invited.email}; the link is good until ${json.expires_at}.`);
    cli.output.say('The mail is sent by the running server.');
  });
}

async function create(cli: Cli, options: CreateOptions): Promise<void> {
  if (options.invite === true) {
    if (
      options.passwordFile !== undefined ||
      options.emailVerified === true ||
      options.claims !== undefined
    ) {
      throw new UsageError(
        'With --invite the person chooses the password and the mail verifies the address: leave --password-file, --email-verified and --claims out.',
      );
    }
    await invite(cli, options);
    return;
  }
  const password = await readPassword(cli.surroundings, options.passwordFile);
  await withInstallation(cli, async opened => {
    const input = {
      email: options.email,
      isEmailVerified: options.emailVerified,
      profile: profileFrom(options),
      groups: groupsFrom(options),
      customClaims: claimsFrom(options),
      password,
    };
    const user = await createUser(peopleContext(opened), input, actingFrom(opened));
    show(cli, user);
    if (!user.hasPassword) {
      cli.output.say(
        `The account has no password yet: claviger user reset-password ${user.id} --send-link lets its owner choose one.`,
      );
    }
  });
}

async function list(cli: Cli, { search, limit = Number.POSITIVE_INFINITY }: ListOptions): Promise<void> {
  await withInstallation(cli, async ({ database }) => {
    const users: User[] = [];
    const prefix = search === undefined ? undefined : emailKey(search);
    for (let isLast = false; !isLast && users.length < limit; ) {
      const page = { limit: Math.min(PAGE, limit - users.length), after: users.at(-1)?.emailKey, prefix };
      const found = await database.read(on => store.list(on, page));
      users.push(...found);
      isLast = found.length < page.limit;
    }
    cli.output.result(users.map(userJson), () =>
      cli.output.table(
        ['ID', 'EMAIL', 'NAME', 'STATE', 'GROUPS', 'LAST SIGN-IN'],
        users.map(user => [
          user.id,
          user.email,
          user.profile.name ?? '',
          stateOf(user) === 'enabled' ? 'enabled' : { text: stateOf(user), style: 'yellow' },
          user.groups.join(', '),
          instant(user.lastSignInAt) ?? '',
        ]),
      ),
    );
  });
}

async function update(cli: Cli, reference: string, options: ProfileOptions & Consent): Promise<void> {
  await withUser(cli, reference, async (context, before, acting) => {
    const given = profileFrom(options);
    const input = {
      userId: before.id,
      // A claim that is not named stays; an empty one goes.
      profile: given === undefined ? undefined : { ...before.profile, ...given },
      groups: groupsFrom(options),
      customClaims: claimsFrom(options),
    };
    if (options.dryRun === true) {
      cli.output.say('Nothing was changed (--dry-run); this is the account as it is:');
      show(cli, before);
      return;
    }
    show(cli, await updateUser(context, input, acting));
  });
}

/** A change of state that can be undone: nobody is asked, because in an emergency it must not wait. */
function stateChange(
  cli: Cli,
  act: (context: PeopleContext, input: { userId: string }, acting: Acting) => Promise<User>,
  says: { readonly would: string; readonly done: string },
): (reference: string, options: Consent) => Promise<void> {
  return (reference, options) =>
    withUser(cli, reference, async (context, user, acting) => {
      if (options.dryRun === true) {
        cli.output.say(`${user.email} ${says.would}`);
        show(cli, user);
        return;
      }
      show(cli, await act(context, { userId: user.id }, acting));
      cli.output.say(says.done);
    });
}

async function remove(cli: Cli, reference: string, options: Consent): Promise<void> {
  await withUser(cli, reference, async (context, user, acting) => {
    if (options.dryRun === true) {
      const sentence = `${user.id} (${user.email}) would be deleted with everything about this person.`;
      cli.output.result({ ...userJson(user), deleted: false }, () => sentence);
      return;
    }
    await cli.confirm(
      `Delete ${user.id} (${user.email}) with everything about this person? It cannot be undone; to keep the account, disable it instead.`,
      options,
    );
    const deleted = await deleteUser(context, { userId: user.id }, acting);
    cli.output.result({ ...userJson(deleted), deleted: true }, () => `Deleted ${deleted.id}.`);
  });
}

async function resetPassword(cli: Cli, reference: string, options: ResetOptions): Promise<void> {
  const isByMail = options.sendLink === true;
  if (isByMail && options.passwordFile !== undefined) {
    throw new UsageError('Give --password-file or --send-link, not both.');
  }
  const password =
    isByMail || options.dryRun === true
      ? undefined
      : await readPassword(cli.surroundings, options.passwordFile);
  if (password === undefined && !isByMail && options.dryRun !== true) {
    throw new UsageError(
      'Give the password by --password-file FILE or on standard input, or let its owner choose one: --send-link.',
    );
  }
  await withUser(cli, reference, async (context, user, acting) => {
    if (options.dryRun === true) {
      const would = isByMail
        ? 'would be sent a link'
        : 'would get the new password, and every session would end';
      cli.output.say(`${user.email} ${would}.`);
      show(cli, user);
    } else if (password === undefined) {
      await requestPasswordReset(context, { email: user.email }, acting);
      show(cli, user);
      cli.output.say(
        user.disabledAt === undefined
          ? `A link is on its way to ${user.email}; until it is used the password stays.`
          : 'The account is disabled: no link was sent. Enable it first.',
      );
    } else {
      show(cli, await setPassword(context, { userId: user.id, password }, acting));
      cli.output.say('The password is changed and every session has ended.');
    }
  });
}

function profileOptions(command: Command): Command {
  return command
    .option('--name <name>', 'full name')
    .option('--given-name <name>', 'given name')
    .option('--family-name <name>', 'family name')
    .option('--locale <tag>', 'language of pages and mails: de, en')
    .option('--group <group...>', 'groups')
    .option('--claims <json>', 'custom claims, as a JSON object');
}

export function userCommands(program: Command, cli: Cli): void {
  const noun = program.command('user').description('people: who may sign in');
  const reference = '<user>';

  profileOptions(noun.command('create'))
    .description('add an account; the password is read from --password-file or standard input')
    .requiredOption('--email <address>', 'mail address')
    .option('--email-verified', 'the address is known to be theirs')
    .option('--password-file <file>', 'file that holds the password')
    .option('--invite', 'mail an invitation instead: the person chooses the password')
    .action((options: CreateOptions) => create(cli, options));

  noun
    .command('invite')
    .description('mail an invitation')
    .requiredOption('--email <address>', 'mail address')
    .option('--name <name>', 'full name')
    .option('--group <group...>', 'groups the account will be in')
    .action((options: CreateOptions) => invite(cli, options));

  noun
    .command('list')
    .description('all accounts, by address')
    .option('--search <prefix>', 'only addresses that begin so')
    .option('--limit <count>', 'how many', readCount)
    .action((options: ListOptions) => list(cli, options));

  noun
    .command(`show ${reference}`)
    .description('one account, by id or address')
    .action((given: string) => withUser(cli, given, async (_context, user) => show(cli, user)));

  profileOptions(noun.command(`update ${reference}`))
    .description('change it; a list that is given replaces the old one')
    .option('--dry-run', 'only check')
    .action((given: string, options: ProfileOptions & Consent) => update(cli, given, options));

  destructive(noun.command(`disable ${reference}`))
    .description('out of service until it is enabled; sessions and tokens end')
    .action(
      stateChange(cli, disableUser, {
        would: 'could not sign in any more, and every session and token would end.',
        done: 'Every session has ended; tokens are inactive. Resource servers that do not introspect accept them until they expire.',
      }),
    );

  noun
    .command(`enable ${reference}`)
    .description('back in service; what ended stays ended')
    .action(stateChange(cli, enableUser, { would: 'could sign in again.', done: 'It can sign in again.' }));

  destructive(noun.command(`lock ${reference}`))
    .description('perhaps in foreign hands: as disabled, but a password reset by mail unlocks it')
    .action(
      stateChange(cli, lockUser, {
        would: 'would be locked until a password reset by mail, and every session and token would end.',
        done: 'Every session has ended. Its owner unlocks it by a password reset, or you: claviger user unlock.',
      }),
    );

  noun
    .command(`unlock ${reference}`)
    .description('no longer suspect; pauses after too many failures end, too')
    .action(
      stateChange(cli, unlockUser, {
        would: 'would be unlocked, and pauses would end.',
        done: 'It can sign in again.',
      }),
    );

  destructive(noun.command(`delete ${reference}`))
    .description('remove the account with everything about the person')
    .action((given: string, options: Consent) => remove(cli, given, options));

  destructive(noun.command(`reset-password ${reference}`))
    .description('a new password, from --password-file or standard input; every session ends')
    .option('--password-file <file>', 'file that holds the new password')
    .option('--send-link', 'mail a link instead: the owner chooses it')
    .action((given: string, options: ResetOptions) => resetPassword(cli, given, options));

  userMoveCommands(noun, cli);
}
