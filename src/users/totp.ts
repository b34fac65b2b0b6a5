import { randomBytes } from 'node:crypto';
import { Secret, TOTP } from 'otpauth';
import { openExpiring, sealExpiring } from './expiring-value.js';
import { inFactorChange, tellFactorChange } from './factor-change.js';
import { FactorStore } from './factor-store.js';
import { KnownDeviceStore } from './known-device-store.js';
import { PasskeyStore } from './passkey-store.js';
import type { Acting, PeopleContext } from './people-context.js';
import type { User } from './user.js';

/** RFC 4226 §4 R6: 160 bits. */
const SECRET_BYTES = 20;
/** What every authenticator app understands; RFC 6238 §1.2 and §4.1 defaults. */
const FORM = { algorithm: 'SHA1', digits: 6, period: 30 } as const;
/** RFC 6238 §5.2: at most one step for the way and a clock that is a little off. */
const WINDOW = 1;
/** Milliseconds that a person may take to scan and type. */
const ENROLMENT_FOR = 15 * 60_000;

/** Begun, not yet stored: a secret counts only after a code of it was typed. */
export interface TotpEnrolment {
  /** Kept by the caller until it is confirmed; opens only for this account, and for 15 minutes. */
  readonly enrolling: string;
  /** Base32, in groups of four. */
  readonly secret: string;
  readonly uri: string;
  /** Presentation attributes only, no `style`: the content security policy forbids those. */
  readonly qrSvg: string;
}

const factors = new FactorStore();
const passkeys = new PasskeyStore();
const devices = new KnownDeviceStore();

export async function enrolTotp(
  context: PeopleContext,
  user: Pick<User, 'id' | 'email'>,
): Promise<TotpEnrolment> {
  const secret = randomBytes(SECRET_BYTES);
  const expiresAt = (await context.database.now()) + ENROLMENT_FOR;
  const kept = secret.toString('base64url');
  const enrolling = sealExpiring(context.envelope, kept, enrolmentContext(user.id), expiresAt);
  return shownEnrolment(context, user, secret, enrolling);
}

/** The same enrolment once more: after a wrong code the person keeps what was scanned. Undefined: begin anew. */
export async function resumeTotpEnrolment(
  context: PeopleContext,
  user: Pick<User, 'id' | 'email'>,
  enrolling: string,
): Promise<TotpEnrolment | undefined> {
  const secret = openEnrolment(context, user.id, enrolling, await context.database.now());
  return secret === undefined ? undefined : shownEnrolment(context, user, secret, enrolling);
}

/**
 * Stores the secret if the code is one of it, in place of an earlier one.
 *
 * @returns false for a wrong code or an expired enrolment.
 * @throws AppError `not_found`
 */
export async function confirmTotp(
  context: PeopleContext,
  input: { readonly userId: string; readonly enrolling: string; readonly code: string },
  acting: Acting,
): Promise<boolean> {
  const { userId, enrolling, code } = input;
  const secret = openEnrolment(context, userId, enrolling, await context.database.now());
  if (secret === undefined) return false;
  const sealed = context.envelope.seal(secret, totpContext(userId));
  return inFactorChange(context, userId, acting, async (trx, user, now) => {
    const step = stepOf(secret, code, now);
    if (step === undefined) return false;
    await factors.setTotp(trx, userId, { sealed, step }, now);
    await tellFactorChange(context, trx, {
      user,
      event: 'user.factor_added',
      detail: { factor: 'totp', replaced: user.hasTotp },
      mail: ['factor-added', 'totp'],
      acting,
      now,
    });
    return true;
  });
}

/** Whether the code is right and was not used before. Whoever calls it has reserved the attempt. */
export async function verifyTotp(context: PeopleContext, userId: string, code: string): Promise<boolean> {
  const { database, envelope } = context;
  const sealed = await database.read(on => factors.totpSecretOf(on, userId));
  if (sealed === undefined) return false;
  const step = stepOf(envelope.open(sealed, totpContext(userId)), code, await database.now());
  if (step === undefined) return false;
  return database.transaction(trx => factors.acceptStep(trx, userId, sealed, step));
}

/** @returns false when there was none. */
export async function removeTotp(context: PeopleContext, userId: string, acting: Acting): Promise<boolean> {
  return inFactorChange(context, userId, acting, async (trx, user, now) => {
    if (!(await factors.removeTotp(trx, userId, now))) return false;
    // Codes that stand in for a factor that is gone would stand in for the next one, unknown to its owner.
    if ((await passkeys.count(trx, userId)) === 0) await factors.removeRecoveryCodes(trx, userId);
    await devices.distrustAll(trx, userId);
    await tellFactorChange(context, trx, {
      user,
      event: 'user.factor_removed',
      detail: { factor: 'totp' },
      mail: ['factor-removed', 'totp'],
      acting,
      now,
    });
    return true;
  });
}

async function shownEnrolment(
  context: PeopleContext,
  user: Pick<User, 'email'>,
  bytes: Buffer,
  enrolling: string,
): Promise<TotpEnrolment> {
  // A colon separates issuer and account in the label; apps would cut the name at its own.
  const issuer = context.config.branding.name.replaceAll(':', ' ');
  const secret = secretOf(bytes);
  const uri = new TOTP({ ...FORM, issuer, label: user.email, secret }).toString();
  const { toString: toQrCode } = await import('qrcode');
  const qrSvg = await toQrCode(uri, { type: 'svg', errorCorrectionLevel: 'M', margin: 4 });
  return { enrolling, secret: secret.base32.replace(/.{4}(?=.)/g, '$& '), uri, qrSvg: qrSvg.trim() };
}

function openEnrolment(
  context: PeopleContext,
  userId: string,
  enrolling: string,
  now: number,
): Buffer | undefined {
  const kept = openExpiring(context.envelope, enrolling, enrolmentContext(userId), now);
  return kept === undefined ? undefined : Buffer.from(kept, 'base64url');
}

/** The time step whose code it is. */
function stepOf(secret: Buffer, typed: string, now: number): number | undefined {
  const token = typed.replace(/[\s-]/g, '');
  if (!/^[0-9]{6}$/.test(token)) return undefined;
  const delta = TOTP.validate({ ...FORM, token, secret: secretOf(secret), timestamp: now, window: WINDOW });
  return delta === null ? undefined : TOTP.counter({ period: FORM.period, timestamp: now }) + delta;
}

function secretOf(bytes: Buffer): Secret {
  return new Secret({ buffer: Uint8Array.from(bytes).buffer });
}

function totpContext(userId: string): string {
  return `users.sealed_totp:${userId}`;
}

function enrolmentContext(userId: string): string {
  return `totp_enrolment:${userId}`;
}
