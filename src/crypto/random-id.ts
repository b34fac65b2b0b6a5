import { randomBytes } from 'node:crypto';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** The largest multiple of 62 that fits a byte. Bytes above it are thrown away: a plain modulo would favour 0-7. */
const FAIR_BYTES = 248;

/** 62^43 > 2^256 */
const SECRET_LENGTH = 43;
/** 62^6 > 2^32 */
const CHECKSUM_LENGTH = 6;
/** 131 bits: never guessed, never colliding, still readable in a log line. */
const CLIENT_ID_LENGTH = 22;

/** What a secret opens can be told from its first characters, by us and by a scanner that finds it in public. */
export const SECRET_PREFIXES = {
  client_secret: 'cvg_cs_',
  api_key: 'cvg_ak_',
  registration_token: 'cvg_rt_',
} as const;
export type SecretKind = keyof typeof SECRET_PREFIXES;

const CLIENT_ID = new RegExp(`^cl_[0-9A-Za-z]{${CLIENT_ID_LENGTH}}$`);
/** The longest form is an API key: its prefix, a public id and `_` come before the random part. */
const SECRET = new RegExp(
  `^(cvg_(?:cs|ak|rt)_)(?:[0-9A-Za-z]{1,32}_)?[0-9A-Za-z]{${SECRET_LENGTH + CHECKSUM_LENGTH}}$`,
);

export function randomBase62(length: number): string {
  if (!Number.isSafeInteger(length) || length < 1) throw new TypeError(`no id of ${length} characters`);
  let id = '';
  while (id.length < length) {
    for (const byte of randomBytes(length - id.length + 8)) {
      if (byte >= FAIR_BYTES) continue;
      id += BASE62.charAt(byte % 62);
      if (id.length === length) break;
    }
  }
  return id;
}

export function userId(): string {
  return `us_${randomBase62(CLIENT_ID_LENGTH)}`;
}

const USER_ID = new RegExp(`^us_[0-9A-Za-z]{${CLIENT_ID_LENGTH}}$`);

export function isUserId(value: string): boolean {
  return USER_ID.test(value);
}

export function clientId(): string {
  return `cl_${randomBase62(CLIENT_ID_LENGTH)}`;
}

export function isClientId(value: string): boolean {
  return CLIENT_ID.test(value);
}

export function clientSecret(): string {
  return withChecksum(SECRET_PREFIXES.client_secret + randomBase62(SECRET_LENGTH));
}

function withChecksum(body: string): string {
  return body + checksum(body);
}

/** CRC-32 in base62. Not a protection: it tells a mistyped or made-up secret from a real one without a read. */
export function checksum(body: string): string {
  let rest = crc32(body);
  let text = '';
  for (let i = 0; i < CHECKSUM_LENGTH; i += 1) {
    text = BASE62.charAt(rest % 62) + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

export function hasValidChecksum(secret: string): boolean {
  if (secret.length <= CHECKSUM_LENGTH) return false;
  return checksum(secret.slice(0, -CHECKSUM_LENGTH)) === secret.slice(-CHECKSUM_LENGTH);
}

/** Undefined for everything that this program cannot have issued. */
export function secretKindOf(secret: string): SecretKind | undefined {
  const prefix = SECRET.exec(secret)?.[1];
  if (prefix === undefined || !hasValidChecksum(secret)) return undefined;
  return (Object.keys(SECRET_PREFIXES) as SecretKind[]).find(kind => SECRET_PREFIXES[kind] === prefix);
}

const CRC_TABLE: readonly number[] = Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

/** The reflected CRC-32 of ISO 3309, as in zip; node:zlib has it only from Node 20.15 and 22.2 on. */
function crc32(text: string): number {
  let crc = 0xffffffff;
  for (const byte of Buffer.from(text, 'utf8')) {
    crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
