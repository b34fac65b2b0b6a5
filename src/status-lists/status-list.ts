import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';

/** Tokens that one list can hold. 128 KiB before compression; most of the bits are 0. */
export const LIST_SIZE = 2 ** 20;

/** Seconds for which a list may be kept without asking again (`ttl`, `max-age`). */
export const LIST_FRESH_FOR = 10;

/** Seconds after which nobody may rely on it any more (`exp`), whatever stands between us and a verifier. */
export const LIST_VALID_FOR = 300;

/** The media type without `application/` (draft-ietf-oauth-status-list §5.1). */
export const LIST_TYPE = 'statuslist+jwt';

const HOUR = 3600;
/** Seconds that a list outlives its last token: verifiers' clocks differ. */
const KEPT_LONGER_FOR = 300;

/** Where a token's bit stands. */
export interface StatusPlace {
  readonly listId: number;
  readonly index: number;
}

/**
 * When the list of a token with this `exp` goes: all tokens of a list expire in the same hour, so that a list is gone
 * as a whole and never has to be tidied up.
 *
 * @param exp seconds
 * @returns milliseconds
 */
export function listExpiryOf(exp: number): number {
  return ((Math.floor(exp / HOUR) + 1) * HOUR + KEPT_LONGER_FOR) * 1000;
}

/** Seconds until tokens of the same life belong into the next list. @param exp seconds */
export function nextListIn(exp: number): number {
  return HOUR - (exp % HOUR);
}

export function emptyBits(): Uint8Array {
  return new Uint8Array(LIST_SIZE / 8);
}

/**
 * The first token is the lowest bit of the first byte (draft-ietf-oauth-status-list §4.1).
 *
 * @returns whether it was 0.
 */
export function setBit(bits: Uint8Array, index: number): boolean {
  const byte = bits[index >> 3];
  const mask = 1 << (index & 7);
  if (byte === undefined || (byte & mask) !== 0) return false;
  bits[index >> 3] = byte | mask;
  return true;
}

const compress = promisify(deflate);

/** `status_list` of the signed list: ZLIB (RFC 1950), off the event loop. */
export async function statusListClaim(bits: Uint8Array): Promise<{ bits: 1; lst: string }> {
  return { bits: 1, lst: (await compress(bits, { level: 6 })).toString('base64url') };
}

/**
 * `tokens_kid` is ours: whose tokens the list is about. Whoever has stolen a signing key could otherwise point to a bit
 * in the list of another.
 *
 * @param now milliseconds
 */
export async function listClaims(
  issuer: string,
  { listId, kid }: { readonly listId: number; readonly kid: string },
  bits: Uint8Array,
  now: number,
): Promise<Record<string, unknown>> {
  const iat = Math.floor(now / 1000);
  return {
    iss: issuer,
    sub: listUri(issuer, listId),
    iat,
    exp: iat + LIST_VALID_FOR,
    ttl: LIST_FRESH_FOR,
    tokens_kid: kid,
    status_list: await statusListClaim(bits),
  };
}

export function listUri(issuer: string, listId: number): string {
  return `${issuer.replace(/\/$/, '')}/status-lists/${listId}`;
}

/** The number in an address of ours, or undefined for what no list is called. */
export function readListId(text: string): number | undefined {
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}

/** What a token of ours says of its place; undefined: it has none. */
export function statusPlaceOf(issuer: string, status: unknown): StatusPlace | undefined {
  const { status_list: reference } = (status ?? {}) as { status_list?: { idx?: unknown; uri?: unknown } };
  if (reference === undefined || typeof reference.uri !== 'string') return undefined;
  const prefix = listUri(issuer, 0).slice(0, -1);
  const listId = reference.uri.startsWith(prefix)
    ? readListId(reference.uri.slice(prefix.length))
    : undefined;
  const { idx } = reference;
  if (listId === undefined || typeof idx !== 'number' || !Number.isInteger(idx)) return undefined;
  return idx >= 0 && idx < LIST_SIZE ? { listId, index: idx } : undefined;
}

/** Strong (RFC 9110 §8.8.3). */
export function etagOf(body: Buffer): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`;
}
