import type { Envelope } from '../crypto/envelope.js';
import { isAppError } from '../errors.js';

/** For what travels through a browser, or waits beside an interaction: readable to nobody, for a while. */
export function sealExpiring(envelope: Envelope, value: string, context: string, expiresAt: number): string {
  return envelope.seal(JSON.stringify({ value, expiresAt }), context);
}

/** Undefined for one that is expired, changed, or was sealed for something else. */
export function openExpiring(
  envelope: Envelope,
  sealed: string,
  context: string,
  now: number,
): string | undefined {
  try {
    const opened = JSON.parse(envelope.open(sealed, context).toString('utf8'));
    return opened.expiresAt > now ? opened.value : undefined;
  } catch (error) {
    // It may come from a form: a damaged one is then a wrong answer, and no damage to the database.
    if (isAppError(error, 'sealed_value_damaged')) return undefined;
    throw error;
  }
}
