import { timingSafeEqual } from 'node:crypto';
import { randomBase62, secretKindOf } from '../crypto/random-id.js';
import type { SecretHasher } from '../crypto/secret-hash.js';

export type ClientSecretId = `cs_${string}`;

/** As stored: nothing here opens anything. */
export interface ClientSecretRecord {
  /** Random and public; no part of the secret. */
  readonly id: ClientSecretId;
  readonly clientId: string;
  readonly name: string;
  /** HMAC-SHA-256 of the secret, base64url. */
  readonly hash: string;
  readonly pepperId: string;
  /** The actor that made it. */
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt?: number | undefined;
  readonly revokedAt?: number | undefined;
  readonly lastUsedAt?: number | undefined;
}

/** `expiring` is live too, and says that a successor is due. */
export type ClientSecretState = 'live' | 'expiring' | 'expired' | 'revoked';

export const MOST_LIVE_SECRETS = 20;
/** Seconds before its end from which a secret is shown as expiring. */
export const EXPIRING_FOR = 14 * 24 * 3600;

export function clientSecretId(): ClientSecretId {
  return `cs_${randomBase62(22)}`;
}

export function isLive(secret: Pick<ClientSecretRecord, 'expiresAt' | 'revokedAt'>, now: number): boolean {
  return secret.revokedAt === undefined && (secret.expiresAt === undefined || now < secret.expiresAt);
}

export function secretState(
  secret: Pick<ClientSecretRecord, 'expiresAt' | 'revokedAt'>,
  now: number,
): ClientSecretState {
  if (secret.revokedAt !== undefined) return 'revoked';
  if (secret.expiresAt === undefined) return 'live';
  if (now >= secret.expiresAt) return 'expired';
  return secret.expiresAt - now <= EXPIRING_FOR * 1000 ? 'expiring' : 'live';
}

function isEqual(actual: Buffer, storedHash: string): boolean {
  const stored = Buffer.from(storedHash, 'base64url');
  const isWhole = stored.length === actual.length;
  // A damaged row costs as much time as a whole one.
  return timingSafeEqual(actual, isWhole ? stored : Buffer.alloc(actual.length)) && isWhole;
}

/**
 * The live secret that was presented. Every secret is compared, also after a match, so that the time tells neither
 * which one matched nor how close a guess came; only a text that this server cannot have issued is refused before.
 *
 * @param now epoch milliseconds
 */
export function matchClientSecret(
  hasher: SecretHasher,
  secrets: readonly ClientSecretRecord[],
  presented: string,
  now: number,
): ClientSecretRecord | undefined {
  if (secretKindOf(presented) !== 'client_secret') return undefined;
  const actual = Buffer.from(hasher.hash(presented), 'base64url');
  let match: ClientSecretRecord | undefined;
  for (const secret of secrets) {
    const isSame = isEqual(actual, secret.hash);
    if (isSame && secret.pepperId === hasher.pepperId && isLive(secret, now)) match = secret;
  }
  return match;
}
