import { randomBytes } from 'node:crypto';
import { randomBase62 } from '../crypto/random-id.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import { inFactorChange, tellFactorChange } from './factor-change.js';
import { FactorStore } from './factor-store.js';
import type { Acting, PeopleContext } from './people-context.js';

const CODES = 10;
/** Crockford's base32: no I, L, O, U, so that a code survives being written down. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** 80 bits, beyond guessing even without the limit (NIST SP 800-63B-4 §3.1.2.2 wants 64 where none applies). */
const LENGTH = 16;

const factors = new FactorStore();

/**
 * New codes in place of all earlier ones.
 *
 * @returns in groups of four, shown this once.
 * @throws AppError `not_found`
 */
export async function makeRecoveryCodes(
  context: PeopleContext,
  userId: string,
  acting: Acting,
): Promise<readonly string[]> {
  const codes = Array.from({ length: CODES }, newCode);
  const rows = codes.map(code => ({
    id: `rc_${randomBase62(22)}`,
    hash: hashOf(context.hasher, userId, code),
  }));
  return inFactorChange(context, userId, acting, async (trx, user, now) => {
    await factors.replaceRecoveryCodes(trx, userId, rows, now);
    await tellFactorChange(context, trx, {
      user,
      event: 'user.recovery_codes_made',
      detail: { codes: CODES },
      mail: ['factor-added', 'recovery_codes'],
      acting,
      now,
    });
    return codes;
  });
}

/** Whether it was an unused code, which is used now. Whoever calls it has reserved the attempt. */
export async function useRecoveryCode(
  context: PeopleContext,
  userId: string,
  typed: string,
): Promise<boolean> {
  const code = canonical(typed);
  if (code === undefined) return false;
  const hash = hashOf(context.hasher, userId, code);
  return context.database.transaction(async trx =>
    factors.useRecoveryCode(trx, userId, hash, await context.database.now(trx)),
  );
}

export async function recoveryCodesLeft(context: PeopleContext, userId: string): Promise<number> {
  return context.database.read(on => factors.recoveryCodesLeft(on, userId));
}

function newCode(): string {
  // 256 is a multiple of 32: each letter is as likely as any other.
  const letters = [...randomBytes(LENGTH)].map(byte => ALPHABET.charAt(byte % ALPHABET.length)).join('');
  return letters.replace(/.{4}(?=.)/g, '$&-');
}

/** As people read it aloud and type it; undefined for what cannot be a code. */
function canonical(typed: string): string | undefined {
  if (typed.length > 4 * LENGTH) return undefined;
  const code = typed.replace(/[\s-]/g, '').toUpperCase().replaceAll('O', '0').replace(/[IL]/g, '1');
  return code.length === LENGTH ? code : undefined;
}

function hashOf(hasher: SecretHasher, userId: string, code: string): string {
  return hasher.hashOf('recovery_code', `${userId}\0${code.replaceAll('-', '')}`);
}
