import type { Secret } from './config.js';
import { setting } from './setting.js';
import { EXTERNAL_ALGORITHMS, SIGNING_PLACES } from './signing-places.js';
import { integer, list, secret, text } from './value-kinds.js';

const PLACE = new RegExp(`^(?:${EXTERNAL_ALGORITHMS.join('|')}):(?:${SIGNING_PLACES.join('|')})$`);

/** Where private signing keys live, and how the token that may hold them (or the root key) is reached. */
export const SIGNING_SETTINGS = {
  'keys.signing': setting<readonly string[]>({
    kind: list(
      text(
        PLACE,
        `ALG:PLACE, ALG one of ${EXTERNAL_ALGORITHMS.join(', ')}, PLACE one of ${SIGNING_PLACES.join(', ')}`,
      ),
    ),
    fallback: [],
    fallbackSays: 'all local',
    says: 'Where the next keys of an algorithm are made and sign, like ES256:pkcs11,RS256:transit (docs/signing-backends.md).',
  }),
  'keys.transitMount': setting<string>({
    kind: text(/^[A-Za-z0-9_-]{1,64}(?:\/[A-Za-z0-9_-]{1,64}){0,3}$/, 'a path like transit or kms/transit'),
    fallback: 'transit',
    says: 'Where the Transit engine that holds signing keys is mounted in Vault.',
  }),
  'pkcs11.module': setting<string>({
    kind: text(/^\/[^\0\r\n]{1,4096}$|^[A-Za-z]:\\[^\0\r\n]{1,4096}$/, 'an absolute path'),
    fallback: '',
    fallbackSays: 'none',
    says: 'Shared library of the PKCS#11 token (HSM) that holds signing keys or the root key.',
  }),
  'pkcs11.token': setting<string>({
    kind: text(/^[\x20-\x7E]{1,32}$/, 'the label of a token, 1 to 32 characters'),
    fallback: '',
    fallbackSays: 'none',
    says: 'Label of the token.',
  }),
  'pkcs11.pin': setting<Secret | undefined>({
    kind: secret,
    fallback: undefined,
    fallbackSays: 'none',
    says: 'User PIN of the token.',
    isSecret: () => true,
  }),
  'pkcs11.sessions': setting<number>({
    kind: integer(1, 16),
    fallback: 2,
    says: 'How many operations the token may do at once; each session is a process of about 60 MB.',
  }),
} as const;
