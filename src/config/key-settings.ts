import { SIGNING_ALGORITHMS, STANDARD_ALGORITHMS } from '../protocol.js';
import { PROMOTION_MODES, type PromotionMode, type Secret } from './config.js';
import { DAY, HOUR, MINUTE } from './duration.js';
import { namesRootKeyBackend } from './root-key-reference.js';
import { setting } from './setting.js';
import { choice, duration, type Kind, list, secret, text } from './value-kinds.js';

/** A name is shown, a key never. */
const rootKey: Kind<Secret | undefined> = {
  ...secret,
  show: value =>
    value !== undefined && namesRootKeyBackend(value.reveal()) ? value.reveal() : secret.show(value),
};

/** The root key, signing keys, and how long tokens live. */
export const KEY_SETTINGS = {
  rootKey: setting<Secret | undefined>({
    kind: rootKey,
    fallback: undefined,
    fallbackSays: 'made under .claviger/ in development, else required',
    says: '32 random bytes in base64url that wrap every other key, or the name of a key elsewhere (docs/root-key.md).',
    isSecret: value => !namesRootKeyBackend(value),
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
    fallback: STANDARD_ALGORITHMS,
    says: 'Algorithms that have signing keys, RS256 among them; one that is added is announced before it can be chosen.',
  }),
  'keys.accessTokenAlgorithm': setting<(typeof SIGNING_ALGORITHMS)[number]>({
    kind: choice(SIGNING_ALGORITHMS),
    fallback: 'ES256',
    says: 'Signature of access tokens, for resource servers created from now on that name none.',
  }),
  'keys.idTokenAlgorithm': setting<(typeof SIGNING_ALGORITHMS)[number]>({
    kind: choice(SIGNING_ALGORITHMS),
    fallback: 'RS256',
    says: 'Signature of ID tokens for clients created from now on that name none.',
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
  'keys.promotion': setting<PromotionMode>({
    kind: choice(PROMOTION_MODES),
    fallback: 'warn',
    says: 'Whether a key that known verifiers have not fetched signs with a warning, or waits for them up to half of keys.announceFor.',
  }),
  'keys.verifierNetworks': setting<readonly string[]>({
    kind: list(text(/^[0-9A-Fa-f.:/]{2,64}$/, 'an IP address or CIDR range')),
    fallback: [],
    fallbackSays: 'none',
    says: 'Addresses and CIDR ranges of verifiers that a promotion may wait for; at most 64.',
  }),
  'keys.verifierSeenWithin': setting<number>({
    kind: duration(HOUR, 30 * DAY),
    fallback: 7 * DAY,
    says: 'Whoever fetched the JWKS within this time counts as a verifier that must learn a new key.',
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
