import { randomBytes } from 'node:crypto';
import { isAppError } from '../errors.js';
import { verifyPassword } from './imported-hash.js';
import { normalizedPassword } from './password-policy.js';
import type { PeopleContext } from './people-context.js';
import { UserStore } from './user-store.js';

const store = new UserStore();
/** Of no account: read in place of one, so that an unknown address costs the same statements. */
const NOBODY = '';

/** Whether a password is the one of an account, with one timing path for all who fail. */
export class PasswordChecker {
  readonly #context: Pick<PeopleContext, 'database' | 'passwords'>;
  #unmatched: Promise<string> | undefined;

  constructor(context: Pick<PeopleContext, 'database' | 'passwords'>) {
    this.#context = context;
    // Made now, so that the first unknown address does not wait for it. A failure is met again by whoever needs it.
    this.#unmatchedHash().catch(() => undefined);
  }

  /**
   * Costs one verification whether the account is known, has a password, or neither. Judges nothing else: whether the
   * account is active is asked afterwards, in the same time.
   *
   * @param userId undefined: nobody has that address.
   * @throws AppError `not_ready` when too many wait.
   */
  async check(userId: string | undefined, password: string): Promise<boolean> {
    const { database, passwords } = this.#context;
    const typed = normalizedPassword(password);
    const stored = await database.read(on => store.passwordHashOf(on, userId ?? NOBODY));
    const against = stored ?? (await this.#unmatchedHash());
    const { matches, needsRehash } = await verifyPassword(passwords, against, typed);
    if (userId === undefined || stored === undefined || !matches) return false;
    if (needsRehash) await this.#rehash(userId, stored, typed);
    return true;
  }

  /** Only if nobody has set another password meanwhile: an old one must not come back. */
  async #rehash(userId: string, from: string, password: string): Promise<void> {
    const { database, passwords } = this.#context;
    try {
      const to = await passwords.hash(password);
      await database.write(on => store.replacePasswordHash(on, userId, from, to));
    } catch (error) {
      // A full queue is no reason to turn away somebody who has proved the password: the next sign-in rehashes.
      if (!isAppError(error, 'not_ready')) throw error;
    }
  }

  #unmatchedHash(): Promise<string> {
    this.#unmatched ??= this.#context.passwords
      .hash(randomBytes(32).toString('base64url'))
      .catch((error: unknown) => {
        this.#unmatched = undefined;
        throw error;
      });
    return this.#unmatched;
  }
}
