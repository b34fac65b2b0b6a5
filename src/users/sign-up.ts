import { appendAuditEvents } from '../audit/audit-log.js';
import { userId as newUserId } from '../crypto/random-id.js';
import { lockChanges } from '../database/changes.js';
import type { Transaction } from '../database/connect.js';
import { AppError } from '../errors.js';
import { emailKey, validateAccount } from './account-input.js';
import { insertUser, newAccount } from './change-user.js';
import { deadLink, linkUrl, makeLink, peekLink, useLink } from './email-links.js';
import { normalizedPassword, passwordFaults } from './password-policy.js';
import type { Acting, PeopleContext } from './people-context.js';
import { refuseFields } from './refused-fields.js';
import { minutesOf } from './set-password.js';
import type { User } from './user.js';
import { mailToUser, tellOfUser, userEvent } from './user-events.js';
import { UserStore } from './user-store.js';

export interface SignUpInput {
  readonly email: string;
  readonly password: string;
  readonly name?: string | undefined;
  /** Language of the page it was filled in on. */
  readonly locale?: string | undefined;
}

export interface InvitationInput {
  readonly email: string;
  readonly groups?: unknown;
  readonly name?: string | undefined;
}

export interface AcceptedInvitation {
  readonly token: string;
  readonly password: string;
  readonly name?: string | undefined;
  readonly locale?: string | undefined;
}

const users = new UserStore();

/**
 * An account whose address is to be verified by mail. The answer is the same when the address is taken: only its owner
 * is told, by mail, and sees it in their activity.
 *
 * @throws FieldsRefused; AppError `invalid_request` when people cannot sign up by themselves
 */
export async function signUp(context: PeopleContext, input: SignUpInput, acting: Acting): Promise<void> {
  const { config, database } = context;
  if (!config.users.signUp) {
    throw new AppError('invalid_request', 'Accounts are made by invitation here. Ask for one.');
  }
  const profile = { name: input.name, locale: input.locale };
  const { account, hash } = await accepted(context, { email: input.email, profile }, input.password);
  const id = newUserId();
  const { issuer, users: settings } = config;
  await database.transaction(async trx => {
    await lockChanges(trx);
    const now = await database.now(trx);
    const holder = await users.findByEmailKey(trx, emailKey(account.email));
    const made = { id, ...account, emailVerifiedAt: undefined, hash, now };
    if (holder === undefined) {
      const user = await insertUser(context, trx, made, acting, 'sign_up');
      const expiresIn = settings.emailLinkFor;
      const url = linkUrl(issuer, await makeVerification(context, trx, user, expiresIn, now));
      await mailToUser(context, trx, user, 'verify-email', { url, minutes: minutesOf(expiresIn) }, now);
      return;
    }
    // The statements of the other way, so that the time tells as little as the words: an account that nobody can see
    // before it is gone again.
    const unseen = newAccount({ ...made, email: `${id}@invalid` });
    await users.insert(trx, unseen, hash);
    await makeVerification(context, trx, unseen, 0, now);
    await users.delete(trx, id);
    const detail = { via: 'sign_up', reason: 'address taken' };
    const refused = userEvent('user.created', holder.id, acting, detail, 'refused');
    await tellOfUser(context, trx, now, holder.id, [refused]);
    await mailToUser(context, trx, holder, 'already-registered', { url: `${issuer}/account` }, now);
  });
}

function makeVerification(
  context: PeopleContext,
  trx: Transaction,
  { id: userId, email }: User,
  expiresIn: number,
  now: number,
): Promise<string> {
  return makeLink(trx, context, { kind: 'verify_email', userId, payload: { email }, expiresIn, now });
}

/**
 * Mails a link with which an account can be made for this address, also where people cannot sign up by themselves.
 *
 * @throws FieldsRefused, AppError `already_exists`
 */
export async function inviteUser(
  context: PeopleContext,
  input: InvitationInput,
  acting: Acting,
): Promise<{ readonly email: string; readonly expiresAt: number }> {
  const { config, database, nodeId, outbox } = context;
  const { email, groups, profile } = validateAccount({
    email: input.email,
    groups: input.groups,
    profile: { name: input.name },
  });
  return database.transaction(async trx => {
    const now = await database.now(trx);
    if ((await users.findByEmailKey(trx, emailKey(email))) !== undefined) {
      throw new AppError('already_exists', 'There is an account with this address already.');
    }
    const expiresIn = config.users.invitationFor;
    const payload = { email, groups, name: profile.name };
    const token = await makeLink(trx, context, { kind: 'invitation', payload, expiresIn, now });
    const values = { url: linkUrl(config.issuer, token), days: Math.max(1, Math.round(expiresIn / 86_400)) };
    const mail = {
      kind: 'mail',
      to: email,
      locale: config.branding.locale,
      mail: 'invitation',
      values,
    } as const;
    await outbox.enqueue(trx, mail, now);
    const event = userEvent('user.invited', undefined, acting, { groups });
    await appendAuditEvents(database, trx, [event], nodeId, now);
    return { email, expiresAt: now + expiresIn * 1000 };
  });
}

/**
 * The address is the invitation's and verified by it.
 *
 * @throws FieldsRefused: name or password, or `link.expired`, also when the address has got an account meanwhile
 */
export async function acceptInvitation(
  context: PeopleContext,
  input: AcceptedInvitation,
  acting: Acting,
): Promise<User> {
  const { database } = context;
  const link = await peekLink(context, input.token, 'invitation');
  if (link === undefined) throw deadLink();
  const { email, groups, name } = link.payload;
  const profile = { name: input.name ?? name, locale: input.locale };
  const { account, hash } = await accepted(context, { email, groups, profile }, input.password);
  const id = newUserId();
  return database.transaction(async trx => {
    await lockChanges(trx);
    const now = await database.now(trx);
    const used = await useLink(trx, context, input.token, 'invitation', now);
    if (used === undefined) throw deadLink();
    if ((await users.findByEmailKey(trx, emailKey(account.email))) !== undefined) throw deadLink();
    const made = { id, ...account, emailVerifiedAt: now, hash, now };
    return insertUser(context, trx, made, acting, 'invitation');
  });
}

/** Hashes before anybody looks whether the address is taken: the slow part takes its time for all. */
async function accepted(
  context: PeopleContext,
  input: { readonly email: string; readonly groups?: unknown; readonly profile: unknown },
  password: string,
) {
  const account = validateAccount(input);
  const owner = { ...account, hasSecondFactor: false, serviceName: context.config.branding.name };
  refuseFields('password', await passwordFaults(password, owner));
  return { account, hash: await context.passwords.hash(normalizedPassword(password)) };
}
