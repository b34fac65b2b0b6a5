import { randomBytes } from 'node:crypto';
import type { Envelope } from '../crypto/envelope.js';
import { openExpiring, sealExpiring } from './expiring-value.js';

/** Milliseconds: a sign-in page may stand open for a while before a passkey is chosen in its address field. */
const CHALLENGE_FOR = 30 * 60_000;

/** WebAuthn §13.4.3: random, made here, at least 16 bytes. base64url. */
export function newChallenge(): string {
  return randomBytes(32).toString('base64url');
}

/**
 * For a page that has nowhere to keep a challenge yet: it travels through the browser and opens only in the
 * interaction it was made for. That it counts once is for the limit `passkey_challenge` to see to.
 */
export function sealChallenge(envelope: Envelope, challenge: string, uid: string, now: number): string {
  return sealExpiring(envelope, challenge, contextOf(uid), now + CHALLENGE_FOR);
}

/** Undefined for one that is expired, changed, or of another interaction. */
export function openChallenge(
  envelope: Envelope,
  sealed: string,
  uid: string,
  now: number,
): string | undefined {
  return openExpiring(envelope, sealed, contextOf(uid), now);
}

function contextOf(uid: string): string {
  return `passkey_challenge:${uid}`;
}
