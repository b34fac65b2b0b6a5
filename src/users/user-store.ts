import { isUserId } from '../crypto/random-id.js';
import type { Queryable, Transaction } from '../database/connect.js';
import type { Profile, User } from './user.js';

/** Columns as PostgreSQL's driver gives them: big integers may be text. */
interface Row {
  readonly id: string;
  readonly email: string;
  readonly email_key: string;
  readonly email_verified_at: number | null;
  readonly profile: string;
  readonly custom_claims: string;
  readonly groups: string;
  readonly disabled_at: number | null;
  readonly locked_at: number | null;
  readonly last_sign_in_at: number | null;
  readonly created_at: number;
  readonly updated_at: number;
}

type ReadRow = Row & {
  readonly has_password: boolean | number;
  readonly password_changed_at: number | null;
  readonly totp_confirmed_at: number | null;
};

export interface UserPage {
  /** At most 1000. */
  readonly limit: number;
  /** The last `emailKey` of the page before. */
  readonly after?: string | undefined;
  /** Only addresses that begin so, as they are compared. */
  readonly prefix?: string | undefined;
}

const LARGEST_PAGE = 1000;
/** 254 characters; lower case can be longer. */
const LONGEST_KEY = 762;
const ROWS_PER_STATEMENT = 100;

const COLUMNS = [
  ...['id', 'email', 'email_key', 'email_verified_at', 'profile', 'custom_claims', 'groups', 'disabled_at'],
  ...['locked_at', 'last_sign_in_at', 'created_at', 'updated_at', 'password_changed_at', 'totp_confirmed_at'],
];

/** Accounts. What opens a door (password hash, TOTP secret) is read alone, by those who compare it. */
export class UserStore {
  async find(on: Queryable, id: string): Promise<User | undefined> {
    // What this server cannot have made is refused without a read.
    if (!isUserId(id)) return undefined;
    const [user] = await this.#load(on, on('users').where({ id }));
    return user;
  }

  /** @param key from `emailKey`. */
  async findByEmailKey(on: Queryable, key: string): Promise<User | undefined> {
    // Typed by anybody: PostgreSQL breaks on a NUL, and no address is that long.
    if (key.length > LONGEST_KEY || key.includes('\0')) return undefined;
    const [user] = await this.#load(on, on('users').where({ email_key: key }));
    return user;
  }

  /** Those of the addresses that are taken. */
  async takenEmailKeys(on: Queryable, keys: readonly string[]): Promise<Set<string>> {
    const rows: Pick<Row, 'email_key'>[] = await on('users').whereIn('email_key', keys).select('email_key');
    return new Set(rows.map(row => row.email_key));
  }

  /** By address, a page at a time. */
  async list(on: Queryable, page: UserPage): Promise<User[]> {
    const users = on('users').orderBy('email_key').limit(Math.min(page.limit, LARGEST_PAGE));
    if (page.after !== undefined) users.where('email_key', '>', page.after);
    if (page.prefix !== undefined && page.prefix !== '') {
      const literal = page.prefix.replace(/[\\%_]/g, '\\$&');
      users.whereRaw("email_key like ? escape '\\'", [`${literal}%`]);
    }
    return this.#load(on, users);
  }

  async insert(trx: Transaction, user: User, passwordHash: string | undefined): Promise<void> {
    await this.insertMany(trx, [{ user, passwordHash }]);
  }

  async insertMany(
    trx: Transaction,
    users: readonly { readonly user: User; readonly passwordHash: string | undefined }[],
  ): Promise<void> {
    const rows = users.map(({ user, passwordHash }) => ({
      ...rowOf(user),
      password_hash: passwordHash ?? null,
      password_changed_at: user.passwordChangedAt ?? null,
    }));
    await trx.batchInsert('users', rows, ROWS_PER_STATEMENT);
  }

  /** Everything but its credentials and its last sign-in, which have writers of their own. */
  async update(trx: Transaction, user: User): Promise<void> {
    const { id, created_at: _createdAt, last_sign_in_at: _lastSignInAt, ...changed } = rowOf(user);
    await trx('users').where({ id }).update(changed);
  }

  /** Its factors, links, identities, devices, sessions and consents go with it. */
  async delete(trx: Transaction, id: string): Promise<void> {
    await trx('users').where({ id }).delete();
  }

  async passwordHashOf(on: Queryable, id: string): Promise<string | undefined> {
    const row = await on('users').where({ id }).select('password_hash').first();
    return row?.password_hash ?? undefined;
  }

  async passwordHashesOf(on: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const rows = await on('users')
      .whereIn('id', ids)
      .whereNotNull('password_hash')
      .select('id', 'password_hash');
    return new Map(rows.map(row => [String(row.id), String(row.password_hash)]));
  }

  async setPasswordHash(trx: Transaction, id: string, hash: string, now: number): Promise<void> {
    await trx('users')
      .where({ id })
      .update({ password_hash: hash, password_changed_at: now, updated_at: now });
  }

  /** The same password under another hash. @returns false when the password has been changed meanwhile. */
  async replacePasswordHash(on: Queryable, id: string, from: string, to: string): Promise<boolean> {
    return (await on('users').where({ id, password_hash: from }).update({ password_hash: to })) === 1;
  }

  /** Whether something besides the password is asked for. */
  async hasSecondFactor(on: Queryable, id: string): Promise<boolean> {
    const totp = await on('users').where({ id }).whereNotNull('totp_confirmed_at').select('id').first();
    if (totp !== undefined) return true;
    return (await on('passkeys').where({ user_id: id }).select('user_id').first()) !== undefined;
  }

  async noteSignIn(trx: Transaction, id: string, now: number): Promise<void> {
    await trx('users').where({ id }).update({ last_sign_in_at: now });
  }

  async #load(on: Queryable, selection: ReturnType<Queryable>): Promise<User[]> {
    const rows: ReadRow[] = await selection.select(
      ...COLUMNS,
      on.raw('(case when password_hash is null then 0 else 1 end) as has_password'),
    );
    return rows.map(userOfRow);
  }
}

function instantOf(value: number | null): number | undefined {
  return value === null ? undefined : Number(value);
}

function userOfRow(row: ReadRow): User {
  return {
    id: row.id,
    email: row.email,
    emailKey: row.email_key,
    emailVerifiedAt: instantOf(row.email_verified_at),
    profile: JSON.parse(row.profile) as Profile,
    customClaims: JSON.parse(row.custom_claims) as Record<string, unknown>,
    groups: JSON.parse(row.groups) as string[],
    hasPassword: Number(row.has_password) === 1,
    passwordChangedAt: instantOf(row.password_changed_at),
    hasTotp: row.totp_confirmed_at !== null,
    disabledAt: instantOf(row.disabled_at),
    lockedAt: instantOf(row.locked_at),
    lastSignInAt: instantOf(row.last_sign_in_at),
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}

function rowOf(user: User): Row {
  return {
    id: user.id,
    email: user.email,
    email_key: user.emailKey,
    email_verified_at: user.emailVerifiedAt ?? null,
    profile: JSON.stringify(user.profile),
    custom_claims: JSON.stringify(user.customClaims),
    groups: JSON.stringify(user.groups),
    disabled_at: user.disabledAt ?? null,
    locked_at: user.lockedAt ?? null,
    last_sign_in_at: user.lastSignInAt ?? null,
    created_at: user.createdAt,
    updated_at: user.updatedAt,
  };
}
