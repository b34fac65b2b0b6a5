import { appendAuditEvents } from '../audit/audit-log.js';
import type { AuditDetail, AuditEvent, RequestFacts } from '../audit/events.js';
import { ACR_TWO_FACTORS } from '../protocol.js';
import type { Limiter, Reservation, Want } from '../rate-limits/limiter.js';
import { network } from '../rate-limits/network.js';
import { emailKey } from './account-input.js';
import { browserTitle } from './browser-name.js';
import type { PasswordChecker } from './check-password.js';
import { FactorStore } from './factor-store.js';
import { KnownDevices } from './known-devices.js';
import { type Passkey, PasskeyStore } from './passkey-store.js';
import { provePasskey } from './passkeys.js';
import { type PasswordReach, reachOf } from './password-policy.js';
import type { PeopleContext } from './people-context.js';
import { useRecoveryCode } from './recovery-codes.js';
import { endSecondFactorPause, isPause, passwordLimits, totpLimits } from './sign-in-limits.js';
import { verifyTotp } from './totp.js';
import { isActive, type User } from './user.js';
import { mailToUser } from './user-events.js';
import { UserStore } from './user-store.js';

export interface Factors {
  readonly hasTotp: boolean;
  readonly passkeys: readonly Passkey[];
  readonly recoveryCodesLeft: number;
}

/** What is missing before there may be a session. */
export type Need = 'nothing' | 'second_factor' | 'enrolment';

export interface Accepted {
  readonly status: 'accepted';
  readonly user: User;
  /** RFC 8176. */
  readonly amr: readonly string[];
  readonly needs: Need;
  readonly factors: Factors;
  /** Of the password that was typed, if one was: when it was set, there may have been a second factor beside it. */
  readonly passwordReach?: PasswordReach | undefined;
}

/** Whatever the reason: the page says the same, with the same status. */
export interface Refused {
  readonly status: 'refused';
}

export interface Throttled {
  readonly status: 'throttled';
  /** Seconds. */
  readonly retryAfter: number;
  /** Waiting is no way: too many failures in a row. Another factor, a known device or a reset by mail is. */
  readonly isPaused: boolean;
}

export type SignInAnswer = Accepted | Refused | Throttled;

export interface PasswordAttempt {
  readonly email: string;
  readonly password: string;
  readonly facts: RequestFacts;
  readonly deviceToken?: string | undefined;
  /** A client asks for two factors (acr_values): a trusted device is then no excuse. */
  readonly demandsSecondFactor?: boolean | undefined;
}

export interface CodeAttempt {
  readonly userId: string;
  readonly code: string;
  readonly facts: RequestFacts;
}

export interface PasskeyAttempt {
  /** JSON as the browser's script posted it. */
  readonly response: string;
  readonly challenge: string;
  readonly facts: RequestFacts;
  /** As a second factor of this person; otherwise the passkey says who it is. */
  readonly userId?: string | undefined;
  /** A passkey was the first factor, too. */
  readonly mustVerifyUser?: boolean | undefined;
  readonly demandsSecondFactor?: boolean | undefined;
}

export interface CompletedSignIn {
  readonly userId: string;
  readonly amr: readonly string[];
  readonly acr: string;
  readonly clientId?: string | undefined;
  readonly facts: RequestFacts;
  /** The token of the device's cookie, which the caller sets when it is new. */
  readonly deviceToken: string;
  /** The person asks that this device be spared the second factor; heard only if one was given just now. */
  readonly trustDevice?: boolean | undefined;
}

type Refusal = readonly [reason: string, userId?: string | undefined];

const REFUSED: Refused = { status: 'refused' };

/**
 * Who somebody is. Attempts are reserved, then evaluated, then forgiven: in this order no number of simultaneous
 * guesses gets more evaluated than the limits say (NIST SP 800-63B-4 §3.2.2). A session is for the caller to make,
 * and only when nothing is needed any more.
 */
export class SignIn {
  readonly #context: PeopleContext;
  readonly #limiter: Limiter;
  readonly #passwords: Pick<PasswordChecker, 'check'>;
  readonly #devices: KnownDevices;
  readonly #users = new UserStore();
  readonly #factors = new FactorStore();
  readonly #passkeys = new PasskeyStore();

  constructor(parts: {
    readonly context: PeopleContext;
    readonly limiter: Limiter;
    readonly passwords: Pick<PasswordChecker, 'check'>;
  }) {
    this.#context = parts.context;
    this.#limiter = parts.limiter;
    this.#passwords = parts.passwords;
    this.#devices = new KnownDevices(parts.context.database, parts.context.hasher);
  }

  /**
   * An unknown account, a wrong password, an account that is disabled, locked or without a password: one answer, by
   * the same reads, one password verification and one write. What the account is counts only after that.
   */
  async password(attempt: PasswordAttempt): Promise<SignInAnswer> {
    const { password, facts } = attempt;
    const key = emailKey(attempt.email);
    const user = await this.#context.database.read(on => this.#users.findByEmailKey(on, key));
    const device = await this.#devices.recognise(user?.id, attempt.deviceToken);
    // Never what was typed: upper case, spaces or another form of a letter would each bring a budget of their own.
    const account = user?.id ?? key;
    const reservation = await this.#limiter.reserveAll(passwordLimits(account, device?.deviceId, facts));
    if (!reservation.allowed) return this.#throttled(reservation, user?.id, facts);
    const isRight = await this.#passwords.check(user?.id, password);
    if (user === undefined) return this.#refused(['unknown_account'], facts);
    if (!isRight) return this.#refused(['wrong_password', user.id], facts);
    if (!isActive(user)) return this.#refused([inactiveReason(user), user.id], facts);
    // Where anybody may sign up, an address that nobody confirmed may be somebody else's.
    if (this.#context.config.users.signUp && user.emailVerifiedAt === undefined) {
      return this.#refused(['unverified', user.id], facts);
    }
    await this.#limiter.forgive(reservation);
    const excused = device?.isTrusted === true && attempt.demandsSecondFactor !== true;
    const accepted = await this.#accepted(user, ['pwd'], factors =>
      excused ? 'nothing' : this.#need(factors, attempt.demandsSecondFactor),
    );
    return { ...accepted, passwordReach: reachOf(password) };
  }

  async totp({ userId, code, facts }: CodeAttempt): Promise<SignInAnswer> {
    const verify = () => verifyTotp(this.#context, userId, code);
    return this.#code(totpLimits(userId), userId, facts, 'wrong_totp', verify);
  }

  async recoveryCode({ userId, code, facts }: CodeAttempt): Promise<SignInAnswer> {
    const use = () => useRecoveryCode(this.#context, userId, code);
    const answer = await this.#code([['recovery_code', userId]], userId, facts, 'wrong_recovery_code', use);
    if (answer.status === 'accepted') await this.#endSecondFactorPause(userId);
    return answer;
  }

  /**
   * Not limited by account: nobody guesses a signature, and this way in must stay open while passwords are paused. By
   * network, because each refusal is written down.
   */
  async passkey(attempt: PasskeyAttempt): Promise<SignInAnswer> {
    const { facts, response, challenge, userId, demandsSecondFactor } = attempt;
    const reservation = await this.#limiter.reserve('passkey_network', network(facts.ip));
    if (!reservation.allowed) return this.#throttled(reservation, userId, facts);
    const context = { ...this.#context, limiter: this.#limiter };
    const proof = await provePasskey(context, { response, challenge, userId });
    if ('refused' in proof) return this.#refused([proof.refused, proof.userId], facts);
    const user = await this.#find(proof.userId);
    if (user === undefined || !isActive(user)) {
      return this.#refused([user === undefined ? 'unknown_account' : inactiveReason(user), user?.id], facts);
    }
    // NIST SP 800-63B-4 §2.2: two factors are of two kinds. A found key, held twice, is one.
    if (attempt.mustVerifyUser === true && !proof.isUserVerified) {
      return this.#refused(['user_not_verified', user.id], facts);
    }
    await this.#limiter.forgive(reservation);
    // RFC 8176: proof of possession; `user` when the authenticator asked for a finger, a face or a PIN.
    const amr = proof.isUserVerified ? ['pop', 'user'] : ['pop'];
    const isEnough = proof.isUserVerified || userId !== undefined;
    if (userId !== undefined) await this.#endSecondFactorPause(userId);
    return this.#accepted(user, amr, factors =>
      isEnough ? 'nothing' : this.#need(factors, demandsSecondFactor),
    );
  }

  /**
   * Writes what a finished sign-in leaves behind. A device that is new to the account is told to its owner, except at
   * the very first sign-in.
   *
   * @returns undefined when the account was disabled, locked or deleted meanwhile: there must be no session.
   */
  async completed(completed: CompletedSignIn): Promise<User | undefined> {
    const { userId, amr, acr, clientId, facts, deviceToken, trustDevice } = completed;
    const { database, config, nodeId } = this.#context;
    return database.transaction(async trx => {
      const now = await database.now(trx);
      const user = await this.#users.find(trx, userId);
      if (user === undefined || !isActive(user)) return undefined;
      const isKnown = await this.#devices.isKnownIn(trx, userId, deviceToken, now);
      const trustedFor = trustDevice === true && acr === ACR_TWO_FACTORS ? config.users.trustDeviceFor : 0;
      await this.#devices.remember(trx, { userId, token: deviceToken, trustedFor }, now);
      await this.#users.noteSignIn(trx, userId, now);
      const detail = { amr: [...amr], acr, is_new_device: !isKnown, trusts_device: trustedFor > 0 };
      const told: AuditEvent = {
        ...eventOf('sign_in.succeeded', userId, facts, detail),
        actor: `user:${userId}`,
        clientId,
      };
      await appendAuditEvents(database, trx, [told], nodeId, now);
      if (!isKnown && user.lastSignInAt !== undefined) {
        const values = { browser: browserTitle(facts.userAgent), ip: facts.ip ?? '?' };
        await mailToUser(this.#context, trx, user, 'new-sign-in', values, now);
      }
      return { ...user, lastSignInAt: now };
    });
  }

  /** For those who proved who they are in another way: by another provider, by an invitation. */
  async needsOf(
    user: Pick<User, 'id' | 'hasTotp'>,
    by: { readonly demandsSecondFactor?: boolean; readonly deviceToken?: string | undefined } = {},
  ): Promise<{ readonly needs: Need; readonly factors: Factors }> {
    const factors = await this.factorsOf(user);
    const isExcused =
      by.demandsSecondFactor !== true && (await this.#devices.isTrusted(user.id, by.deviceToken));
    return { needs: isExcused ? 'nothing' : this.#need(factors, by.demandsSecondFactor), factors };
  }

  /** What a person can prove themselves with, for a page that asks. */
  async factorsOf(user: Pick<User, 'id' | 'hasTotp'>): Promise<Factors> {
    return this.#context.database.read(async on => ({
      hasTotp: user.hasTotp,
      passkeys: await this.#passkeys.list(on, user.id),
      recoveryCodesLeft: await this.#factors.recoveryCodesLeft(on, user.id),
    }));
  }

  async #code(
    wants: readonly Want[],
    userId: string,
    facts: RequestFacts,
    wrong: string,
    verify: () => Promise<boolean>,
  ): Promise<SignInAnswer> {
    const reservation = await this.#limiter.reserveAll(wants);
    if (!reservation.allowed) return this.#throttled(reservation, userId, facts);
    const isRight = await verify();
    const user = await this.#find(userId);
    if (user === undefined) return this.#refused(['unknown_account'], facts);
    if (!isRight) return this.#refused([wrong, userId], facts);
    if (!isActive(user)) return this.#refused([inactiveReason(user), userId], facts);
    await this.#limiter.forgive(reservation);
    return this.#accepted(user, ['otp'], () => 'nothing');
  }

  async #accepted(user: User, amr: readonly string[], need: (factors: Factors) => Need): Promise<Accepted> {
    const factors = await this.factorsOf(user);
    return { status: 'accepted', user, amr, needs: need(factors), factors };
  }

  /**
   * Whoever set up TOTP wants to be asked for it. A passkey alone is a way in, and asked for as a second factor only
   * where one is required: otherwise adding it would lock its owner out of every machine that does not have it.
   */
  #need(factors: Factors, demandsSecondFactor = false): Need {
    if (factors.hasTotp) return 'second_factor';
    if (!demandsSecondFactor && !this.#context.config.users.requireSecondFactor) return 'nothing';
    return factors.passkeys.length > 0 ? 'second_factor' : 'enrolment';
  }

  async #endSecondFactorPause(userId: string): Promise<void> {
    await this.#context.database.transaction(trx => endSecondFactorPause(this.#context, trx, userId));
  }

  async #find(userId: string): Promise<User | undefined> {
    return this.#context.database.read(on => this.#users.find(on, userId));
  }

  async #refused([reason, userId]: Refusal, facts: RequestFacts): Promise<Refused> {
    await this.#tell(eventOf('sign_in.refused', userId, facts, { reason }));
    return REFUSED;
  }

  async #throttled(
    reservation: Extract<Reservation, { allowed: false }>,
    userId: string | undefined,
    facts: RequestFacts,
  ): Promise<Throttled> {
    const { limit, retryAfter } = reservation;
    const key = [limit, userId ?? '', network(facts.ip)];
    if ((await this.#limiter.reserve('throttled_event', key)).allowed) {
      await this.#tell(eventOf('sign_in.throttled', userId, facts, { limit, retry_after: retryAfter }));
    }
    return { status: 'throttled', retryAfter, isPaused: isPause(limit) };
  }

  async #tell(event: AuditEvent): Promise<void> {
    const { database, nodeId } = this.#context;
    await database.transaction(async trx => {
      await appendAuditEvents(database, trx, [event], nodeId, await database.now(trx));
    });
  }
}

function inactiveReason(user: User): string {
  return user.disabledAt === undefined ? 'locked' : 'disabled';
}

/** Never the password, and of the address only whose it is: people type passwords into that field, too. */
function eventOf(
  event: 'sign_in.succeeded' | 'sign_in.refused' | 'sign_in.throttled',
  userId: string | undefined,
  facts: RequestFacts,
  detail: AuditDetail,
): AuditEvent {
  const { ip, userAgent, requestId } = facts;
  const outcome = event === 'sign_in.succeeded' ? 'success' : 'refused';
  return { event, outcome, actor: 'anonymous', subject: userId, userId, ip, userAgent, requestId, detail };
}
