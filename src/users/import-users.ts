import { appendAuditEvents } from '../audit/audit-log.js';
import { userId as newUserId } from '../crypto/random-id.js';
import { lockChanges, recordChanges } from '../database/changes.js';
import { AppError, type Fault } from '../errors.js';
import { type CheckedAccount, emailKey, readAccount } from './account-input.js';
import { storedHashProblem } from './imported-hash.js';
import type { Acting, PeopleContext } from './people-context.js';
import { PROFILE_CLAIMS } from './profile-input.js';
import type { User } from './user.js';
import { userEvent } from './user-events.js';
import { UserStore } from './user-store.js';

export interface ImportedUser {
  readonly line: number;
  readonly email: string;
  readonly outcome: 'imported' | 'exists';
  readonly userId?: string | undefined;
}

export interface ImportOptions {
  /** JSON lines, one account each. */
  readonly text: string;
  /** Only checks and looks. */
  readonly isDryRun?: boolean | undefined;
}

interface ImportRow extends CheckedAccount {
  readonly line: number;
  readonly key: string;
  readonly isEmailVerified: boolean;
  readonly isDisabled: boolean;
  readonly passwordHash: string | undefined;
}

const ROWS_PER_TRANSACTION = 200;
/** Enough to see what is wrong; the next run tells the rest. */
const MOST_FAULTS = 100;
const LONGEST_LINE = 32_768;

const OWN_FIELDS: ReadonlySet<string> = new Set([
  ...['email', 'email_verified', 'groups', 'custom_claims', 'password_hash', 'disabled'],
]);
const CLAIMS: ReadonlySet<string> = new Set(PROFILE_CLAIMS);

const users = new UserStore();

/**
 * Takes over accounts with the password hashes of another system. Every line is checked before the first is stored;
 * an address that has an account already keeps it as it is, so that a run that was cut off can be run again.
 *
 * @throws AppError `invalid_request` with the faults of all lines, nothing stored
 */
export async function importUsers(
  context: PeopleContext,
  options: ImportOptions,
  acting: Acting,
): Promise<ImportedUser[]> {
  const { rows, faults } = readLines(options.text);
  if (faults.length > 0) {
    const shown = faults.slice(0, MOST_FAULTS);
    const first = shown.map(({ at, problem }) => `${at}: ${problem}`).join('\n');
    const rest = faults.length > shown.length ? `\nand ${faults.length - shown.length} more.` : '';
    throw new AppError('invalid_request', `Nothing was imported.\n${first}${rest}`, { faults: shown });
  }
  const imported: ImportedUser[] = [];
  for (let start = 0; start < rows.length; start += ROWS_PER_TRANSACTION) {
    const batch = rows.slice(start, start + ROWS_PER_TRANSACTION);
    imported.push(...(await importBatch(context, batch, options.isDryRun === true, acting)));
  }
  return imported;
}

async function importBatch(
  { database, nodeId }: PeopleContext,
  rows: readonly ImportRow[],
  isDryRun: boolean,
  acting: Acting,
): Promise<ImportedUser[]> {
  const keys = rows.map(({ key }) => key);
  return database.transaction(async trx => {
    if (!isDryRun) await lockChanges(trx);
    const now = await database.now(trx);
    const taken = await users.takenEmailKeys(trx, keys);
    const made = rows
      .filter(({ key }) => !taken.has(key))
      .map(row => ({ row, user: userOfLine(row, now), passwordHash: row.passwordHash }));
    const ids = new Map(made.map(({ row, user }) => [row.key, user.id]));
    if (!isDryRun) {
      await users.insertMany(trx, made);
      const events = made.map(({ user }) => {
        const detail = { has_password: user.hasPassword, email_verified: user.emailVerifiedAt !== undefined };
        return userEvent('user.imported', user.id, acting, detail);
      });
      await appendAuditEvents(database, trx, events, nodeId, now);
      await recordChanges(trx, 'user', [...ids.values()], now);
    }
    return rows.map(({ line, email, key }) => {
      if (taken.has(key)) return { line, email, outcome: 'exists' };
      return { line, email, outcome: 'imported', userId: isDryRun ? undefined : ids.get(key) };
    });
  });
}

function readLines(text: string): { rows: ImportRow[]; faults: Fault[] } {
  const rows: ImportRow[] = [];
  const faults: Fault[] = [];
  const seen = new Map<string, number>();
  for (const [index, json] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    if (json.trim() === '') continue;
    const read = readLine(json, line);
    faults.push(...read.faults);
    if (read.row === undefined) continue;
    const before = seen.get(read.row.key);
    if (before !== undefined) {
      faults.push({ at: `line ${line}, email`, problem: `Line ${before} has the same address. Keep one.` });
    } else seen.set(read.row.key, line);
    rows.push(read.row);
  }
  return { rows, faults };
}

function readLine(json: string, line: number): { row?: ImportRow; faults: Fault[] } {
  const at = (field: string) => (field === '' ? `line ${line}` : `line ${line}, ${field}`);
  const given = json.length > LONGEST_LINE ? undefined : parsed(json);
  if (given === undefined) {
    return {
      faults: [{ at: at(''), problem: `It is not a JSON object of at most ${LONGEST_LINE} characters.` }],
    };
  }
  const { email, groups, custom_claims: customClaims, password_hash: passwordHash } = given;
  const profile = Object.fromEntries(Object.entries(given).filter(([field]) => CLAIMS.has(field)));
  const { account, faults } = readAccount({ email, groups, customClaims, profile });
  const found: Fault[] = faults.map(({ field, problem }) => ({ at: at(field), problem }));
  for (const field of Object.keys(given)) {
    if (CLAIMS.has(field) || OWN_FIELDS.has(field)) continue;
    const problem = 'There is no such field. Put claims of your own under custom_claims.';
    found.push({ at: at(field.slice(0, 64)), problem });
  }
  for (const field of ['email_verified', 'disabled']) {
    if (given[field] === undefined || typeof given[field] === 'boolean') continue;
    found.push({ at: at(field), problem: 'Give true or false.' });
  }
  const hash = passwordHash ?? undefined;
  const problem = hash === undefined ? undefined : storedHashProblem(hash);
  if (problem !== undefined) found.push({ at: at('password_hash'), problem });
  if (found.length > 0) return { faults: found };
  const row: ImportRow = {
    ...account,
    line,
    key: emailKey(account.email),
    isEmailVerified: given.email_verified === true,
    isDisabled: given.disabled === true,
    passwordHash: typeof hash === 'string' ? hash : undefined,
  };
  return { row, faults: [] };
}

function parsed(json: string): Record<string, unknown> | undefined {
  try {
    const given: unknown = JSON.parse(json);
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return undefined;
    return given as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function userOfLine(row: ImportRow, now: number): User {
  const { email, key, profile, groups, customClaims, passwordHash } = row;
  return {
    id: newUserId(),
    email,
    emailKey: key,
    emailVerifiedAt: row.isEmailVerified ? now : undefined,
    profile,
    groups,
    customClaims,
    hasPassword: passwordHash !== undefined,
    // When it was chosen is the other system's knowledge.
    passwordChangedAt: undefined,
    hasTotp: false,
    disabledAt: row.isDisabled ? now : undefined,
    lockedAt: undefined,
    lastSignInAt: undefined,
    createdAt: now,
    updatedAt: now,
  };
}
