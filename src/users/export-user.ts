import { appendAuditEvents, listAuditEvents, type StoredAuditEvent } from '../audit/audit-log.js';
import { toRfc3339 } from '../clock.js';
import type { Queryable } from '../database/connect.js';
import { AppError } from '../errors.js';
import { userOf } from './change-user.js';
import type { Acting, PeopleContext } from './people-context.js';
import type { User } from './user.js';
import { userEvent } from './user-events.js';
import { UserExportStore } from './user-export-store.js';
import { UserStore } from './user-store.js';

const PAGE = 500;
/** Columns that hold an instant, and those that hold JSON. */
const INSTANT = /_(?:at|until)$/;
const JSON_COLUMNS: ReadonlySet<string> = new Set(['amr', 'granted']);

const users = new UserStore();
const related = new UserExportStore();

/** An account as `importUsers` takes it, by its wire names. */
export function portableUser(user: User, passwordHash?: string) {
  return {
    email: user.email,
    email_verified: user.emailVerifiedAt !== undefined,
    ...user.profile,
    groups: user.groups,
    custom_claims: user.customClaims,
    ...(user.disabledAt === undefined ? {} : { disabled: true }),
    ...(passwordHash === undefined ? {} : { password_hash: passwordHash }),
  };
}

/**
 * Everything that is stored about a person, by its wire names. What opens a door is left out; only an operator who
 * moves an account elsewhere gets its password hash.
 *
 * @throws AppError `not_found`, `invalid_request`
 */
export async function exportUser(
  context: PeopleContext,
  input: { readonly userId: string; readonly withPasswordHash?: boolean | undefined },
  acting: Acting,
): Promise<Record<string, unknown>> {
  const withPasswordHash = input.withPasswordHash === true;
  refuseHashesTo(acting, withPasswordHash);
  const { database, nodeId } = context;
  const user = await database.read(on => userOf(on, input.userId));
  const now = await database.transaction(async trx => {
    const at = await database.now(trx);
    const event = userEvent('user.exported', user.id, acting, { with_password_hash: withPasswordHash });
    await appendAuditEvents(database, trx, [event], nodeId, at);
    return at;
  });
  return database.read(async on => {
    const hash = withPasswordHash ? await users.passwordHashOf(on, user.id) : undefined;
    const { recoveryCodesLeft, ...tables } = await related.related(on, user.id);
    return {
      exported_at: toRfc3339(now),
      account: {
        id: user.id,
        ...portableUser(user, hash),
        email_verified_at: instant(user.emailVerifiedAt),
        has_password: user.hasPassword,
        password_changed_at: instant(user.passwordChangedAt),
        has_totp: user.hasTotp,
        recovery_codes_left: recoveryCodesLeft,
        disabled_at: instant(user.disabledAt),
        locked_at: instant(user.lockedAt),
        last_sign_in_at: instant(user.lastSignInAt),
        created_at: instant(user.createdAt),
        updated_at: instant(user.updatedAt),
      },
      ...Object.fromEntries(
        Object.entries(tables).map(([name, rows]) => [name, rows.map(row => readable(row))]),
      ),
      activity: (await activityOf(on, user.id)).map(activity => activityOfPerson(activity, user.id)),
    };
  });
}

/**
 * All accounts, in the form that `importUsers` takes, a page at a time.
 *
 * @throws AppError `invalid_request`
 */
export async function* exportUsers(
  context: PeopleContext,
  input: { readonly withPasswordHashes?: boolean | undefined },
  acting: Acting,
): AsyncGenerator<ReturnType<typeof portableUser>> {
  const withHashes = input.withPasswordHashes === true;
  refuseHashesTo(acting, withHashes);
  const { database, nodeId } = context;
  for (let after: string | undefined, isLast = false; !isLast; ) {
    const page = await database.read(on => users.list(on, { limit: PAGE, after }));
    isLast = page.length < PAGE;
    after = page.at(-1)?.emailKey;
    // Before it leaves the server: an account that was given out is in the log, whatever happens on the way.
    await database.transaction(async trx => {
      const at = await database.now(trx);
      const detail = { with_password_hash: withHashes };
      const events = page.map(user => userEvent('user.exported', user.id, acting, detail));
      await appendAuditEvents(database, trx, events, nodeId, at);
    });
    const ids = page.map(({ id }) => id);
    const hashes = withHashes ? await database.read(on => users.passwordHashesOf(on, ids)) : undefined;
    for (const user of page) yield portableUser(user, hashes?.get(user.id));
  }
}

/** An account's owner knows the password; its hash is of use only to who wants to guess it. */
function refuseHashesTo({ actor }: Acting, withHashes: boolean): void {
  if (!withHashes || actor.startsWith('os:')) return;
  throw new AppError('invalid_request', 'Password hashes are given out by the command line only.');
}

async function activityOf(on: Queryable, userId: string): Promise<StoredAuditEvent[]> {
  const all: StoredAuditEvent[] = [];
  for (let isLast = false; !isLast; ) {
    const oldest = all.at(-1)?.id;
    const filter = { limit: PAGE, userId, ...(oldest === undefined ? {} : { before: oldest }) };
    const page = await listAuditEvents(on, filter);
    all.push(...page);
    isLast = page.length < PAGE;
  }
  return all;
}

/**
 * What somebody else did is told without who and from where: an operator's name and address are their data. The one
 * who tried a password is nobody yet, and from where is what the owner needs to know.
 */
function activityOfPerson(event: StoredAuditEvent, userId: string) {
  const { event: name, occurred_at, outcome, actor, client_id, resource, ip, user_agent } = event;
  const isOwn = actor === `user:${userId}`;
  const isSeen = isOwn || actor === 'anonymous' || actor.startsWith('client:');
  const by = isOwn ? 'you' : actor.slice(0, actor.includes(':') ? actor.indexOf(':') : undefined);
  const from = isSeen ? { ip, user_agent } : {};
  return { event: name, occurred_at, outcome, by, client_id, resource, ...from };
}

function readable(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => {
      if (value === null) return [column, null];
      if (INSTANT.test(column)) return [column, toRfc3339(Number(value))];
      return [column, JSON_COLUMNS.has(column) ? JSON.parse(String(value)) : value];
    }),
  );
}

function instant(milliseconds: number | undefined): string | null {
  return milliseconds === undefined ? null : toRfc3339(milliseconds);
}
