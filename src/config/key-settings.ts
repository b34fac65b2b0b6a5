import { SIGNING_ALGORITHMS } from '../protocol.js';
import type { Secret } from './config.js';
import { DAY, HOUR, MINUTE } from './duration.js';
import { setting } from './setting.js';
import { choice, duration, list, secret } from './value-kinds.js';

/** The root key, signing keys, and how long tokens live. */
export const KEY_SETTINGS = {
  rootKey: setting<Secret | undefined>({
    kind: secret,
    fallback: undefined,
    fallbackSays: 'made under .claviger/ in development, else required',
    says: '32 random bytes in base64url that wrap every other key; without it the database cannot be opened.',
    isSecret: () => true,
  }),
  'keys.announceFor': setting<number>({
    kind: duration(1, 30 * DAY),
    fallback: 24 * HOUR,
    says: 'How long a signing key is published before it signs; at least 25m outside development.',
  }),
  'keys.rotateEvery': setting<number>({
    kind: duration(1, 3_650 * DAY),
    fallback: 30 * DAY,
    says: 'Age at which the active signing key hands over to its announced successor; at most 365d.',
  }),
  'keys.algorithms': setting<readonly (typeof SIGNING_ALGORITHMS)[number][]>({
    kind: list(choice(SIGNING_ALGORITHMS)),
    fallback: SIGNING_ALGORITHMS,
    says: 'Algorithms that have signing keys; RS256 must be one (the default of ID tokens).',
  }),
  'keys.jwksMaxAgeFor': setting<number>({
    kind: duration(1, HOUR),
    fallback: 5 * MINUTE,
    says: 'How long verifiers may keep the published JWKS without asking again (max-age).',
  }),
  'keys.clockSkewFor': setting<number>({
    kind: duration(0, 5 * MINUTE),
    fallback: MINUTE,
    says: 'How far the clocks of verifiers may be off before a retained key is withdrawn too early.',
  }),
  'tokens.accessTokenFor': setting<number>({
    kind: duration(MINUTE, HOUR),
    fallback: 10 * MINUTE,
    says: 'Life of an access token unless its resource server says otherwise.',
  }),
  'tokens.longestTokenFor': setting<number>({
    kind: duration(MINUTE, HOUR),
    fallback: HOUR,
    says: 'Longest life that a resource server may ask for; retained signing keys stay published accordingly.',
  }),
} as const;
