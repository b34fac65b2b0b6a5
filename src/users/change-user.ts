import { userId as newUserId } from '../crypto/random-id.js';
import { lockChanges } from '../database/changes.js';
import type { Queryable, Transaction } from '../database/connect.js';
import { AppError } from '../errors.js';
import { emailKey, validateAccount } from './account-input.js';
import { assertActingSession } from './acting-session.js';
import { EmailLinkStore } from './email-link-store.js';
import { KnownDeviceStore } from './known-device-store.js';
import { normalizedPassword, passwordFaults } from './password-policy.js';
import type { Acting, PeopleContext } from './people-context.js';
import { refuseFields } from './refused-fields.js';
import { endPauses } from './sign-in-limits.js';
import type { User } from './user.js';
import { mailToUser, tellOfUser, userEvent } from './user-events.js';
import { UserStore } from './user-store.js';

export interface NewUserInput {
  readonly email: string;
  readonly isEmailVerified?: boolean | undefined;
  readonly profile?: unknown;
  readonly groups?: unknown;
  readonly customClaims?: unknown;
  /** Without one the person sets it by a mail, or signs in another way. */
  readonly password?: string | undefined;
}

/** What is undefined stays as it is; what is given replaces the old value whole. */
export interface UserUpdate {
  readonly userId: string;
  readonly profile?: unknown;
  readonly groups?: unknown;
  readonly customClaims?: unknown;
}

export interface UserReference {
  readonly userId: string;
}

const users = new UserStore();
const links = new EmailLinkStore();
const devices = new KnownDeviceStore();

/**
 * By id or by address.
 *
 * @throws AppError `not_found`
 */
export async function userOf(on: Queryable, reference: string): Promise<User> {
  const found = reference.includes('@')
    ? await users.findByEmailKey(on, emailKey(reference))
    : await users.find(on, reference);
  if (found !== undefined) return found;
  throw new AppError('not_found', "There is no such user. List the users and give one's id or address.");
}

/** @throws FieldsRefused, AppError `already_exists` */
export async function createUser(context: PeopleContext, input: NewUserInput, acting: Acting): Promise<User> {
  const checked = validateAccount(input);
  const { password } = input;
  let hash: string | undefined;
  if (password !== undefined) {
    const owner = { ...checked, hasSecondFactor: false, serviceName: context.config.branding.name };
    refuseFields('password', await passwordFaults(password, owner));
    hash = await context.passwords.hash(normalizedPassword(password));
  }
  const id = newUserId();
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    const key = emailKey(checked.email);
    if ((await users.findByEmailKey(trx, key)) !== undefined) {
      throw new AppError('already_exists', 'There is an account with this address already.');
    }
    const verifiedAt = input.isEmailVerified === true ? now : undefined;
    return insertUser(context, trx, { id, ...checked, emailVerifiedAt: verifiedAt, hash, now }, acting);
  });
}

export type MadeAccount = Pick<
  User,
  'id' | 'email' | 'profile' | 'groups' | 'customClaims' | 'emailVerifiedAt'
> & { readonly hash: string | undefined; readonly now: number };

/** A new account as it will be read. */
export function newAccount({ hash, now, ...account }: MadeAccount): User {
  return {
    ...account,
    emailKey: emailKey(account.email),
    hasPassword: hash !== undefined,
    passwordChangedAt: hash === undefined ? undefined : now,
    hasTotp: false,
    disabledAt: undefined,
    lockedAt: undefined,
    lastSignInAt: undefined,
    createdAt: now,
    updatedAt: now,
  };
}

/** Inside a transaction that holds the changes and has looked for the address. */
export async function insertUser(
  context: Pick<PeopleContext, 'database' | 'nodeId'>,
  trx: Transaction,
  made: MadeAccount,
  acting: Acting,
  via: 'operator' | 'sign_up' | 'invitation' | 'federation' = 'operator',
): Promise<User> {
  const user = newAccount(made);
  await users.insert(trx, user, made.hash);
  const detail = { via, has_password: user.hasPassword, email_verified: user.emailVerifiedAt !== undefined };
  await tellOfUser(context, trx, made.now, user.id, [userEvent('user.created', user.id, acting, detail)]);
  return user;
}

/** @throws FieldsRefused, AppError `not_found` */
export async function updateUser(context: PeopleContext, input: UserUpdate, acting: Acting): Promise<User> {
  return change(context, input.userId, async (trx, before, now) => {
    const checked = validateAccount({
      email: before.email,
      profile: input.profile ?? before.profile,
      groups: input.groups ?? before.groups,
      customClaims: input.customClaims ?? before.customClaims,
    });
    const changed = changedFields(before, checked);
    if (changed.length === 0) return before;
    const { profile, groups, customClaims } = checked;
    const user: User = { ...before, profile, groups, customClaims, updatedAt: now };
    await users.update(trx, user);
    // A group may be what lets this person use a client: what was granted under the old ones ends.
    const left = before.groups.filter(group => !groups.includes(group));
    if (left.length > 0) await endAccess(context, trx, user.id, now, acting);
    const detail = { changed, ...(left.length > 0 ? { groups_left: left } : {}) };
    await tellOfUser(context, trx, now, user.id, [userEvent('user.updated', user.id, acting, detail)]);
    return user;
  });
}

/**
 * From the commit on nothing is issued for this person, and what was issued is inactive. Again is the same as once.
 *
 * @throws AppError `not_found`
 */
export async function disableUser(
  context: PeopleContext,
  input: UserReference,
  acting: Acting,
): Promise<User> {
  return change(context, input.userId, async (trx, before, now) => {
    if (before.disabledAt !== undefined) return before;
    await links.end(trx, before.id, ['verify_email', 'reset_password', 'change_email', 'link_identity'], now);
    await endAccess(context, trx, before.id, now, acting);
    return save(context, trx, { ...before, disabledAt: now }, 'user.disabled', now, acting);
  });
}

/**
 * It can sign in again; what was issued before stays inactive.
 *
 * @throws AppError `not_found`
 */
export async function enableUser(
  context: PeopleContext,
  input: UserReference,
  acting: Acting,
): Promise<User> {
  return change(context, input.userId, async (trx, before, now) => {
    if (before.disabledAt === undefined) return before;
    return save(context, trx, { ...before, disabledAt: undefined }, 'user.enabled', now, acting);
  });
}

/**
 * For an account that may be in foreign hands: as disabled, but its owner gets it back with a new password by mail.
 *
 * @throws AppError `not_found`
 */
export async function lockUser(context: PeopleContext, input: UserReference, acting: Acting): Promise<User> {
  return change(context, input.userId, async (trx, before, now) => {
    if (before.lockedAt !== undefined) return before;
    // Whoever holds the account may have asked for these; a reset can be asked for anew.
    await links.end(trx, before.id, ['reset_password', 'change_email', 'link_identity'], now);
    await endAccess(context, trx, before.id, now, acting);
    // Nor may the browser in which somebody else had themselves trusted be spared the second factor afterwards.
    await devices.distrustAll(trx, before.id);
    return save(context, trx, { ...before, lockedAt: now }, 'user.locked', now, acting);
  });
}

/**
 * No longer suspect. Pauses after too many failures end, too: whoever is waiting may try again at once.
 *
 * @throws AppError `not_found`
 */
export async function unlockUser(
  context: PeopleContext,
  input: UserReference,
  acting: Acting,
): Promise<User> {
  return change(context, input.userId, async (trx, before, now) => {
    const hasEndedPauses = await endPauses(context, trx, before.id);
    if (before.lockedAt === undefined && !hasEndedPauses) return before;
    return save(context, trx, { ...before, lockedAt: undefined }, 'user.unlocked', now, acting);
  });
}

/**
 * Everything about the person goes, but for the audit log, which names only the id.
 *
 * @throws AppError `not_found`
 */
export async function deleteUser(
  context: PeopleContext,
  input: UserReference,
  acting: Acting,
): Promise<User> {
  return change(context, input.userId, async (trx, user, now) => {
    await assertActingSession(trx, acting);
    await endAccess(context, trx, user.id, now, acting);
    await mailToUser(context, trx, user, 'account-deleted', {}, now);
    await users.delete(trx, user.id);
    await tellOfUser(context, trx, now, user.id, [userEvent('user.deleted', user.id, acting)]);
    return user;
  });
}

/** One transaction around an account that exists: lock, read, change. */
export async function change(
  context: PeopleContext,
  userId: string,
  work: (trx: Transaction, before: User, now: number) => Promise<User>,
): Promise<User> {
  return context.database.transaction(async trx => {
    await lockChanges(trx);
    const now = await context.database.now(trx);
    return work(trx, await userOf(trx, userId), now);
  });
}

export async function endAccess(
  context: PeopleContext,
  trx: Transaction,
  userId: string,
  now: number,
  acting: Acting,
  exceptSessionId?: string,
): Promise<void> {
  const { actor, facts } = acting;
  await context.endAccess(trx, { userId, now, exceptSessionId, actor, facts });
}

async function save(
  context: PeopleContext,
  trx: Transaction,
  changed: User,
  event: 'user.disabled' | 'user.enabled' | 'user.locked' | 'user.unlocked',
  now: number,
  acting: Acting,
): Promise<User> {
  const user: User = { ...changed, updatedAt: now };
  await users.update(trx, user);
  await tellOfUser(context, trx, now, user.id, [userEvent(event, user.id, acting)]);
  return user;
}

/** By their wire names. */
function changedFields(before: User, after: Pick<User, 'profile' | 'groups' | 'customClaims'>): string[] {
  const claims = new Set([...Object.keys(before.profile), ...Object.keys(after.profile)]);
  const [old, next] = [Object.entries(before.profile), Object.entries(after.profile)].map(
    entries => new Map<string, unknown>(entries),
  );
  const profile = [...claims].filter(
    claim => JSON.stringify(old?.get(claim)) !== JSON.stringify(next?.get(claim)),
  );
  const isSame = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);
  return [
    ...profile,
    ...(isSame(before.groups, after.groups) ? [] : ['groups']),
    ...(isSame(before.customClaims, after.customClaims) ? [] : ['custom_claims']),
  ];
}
