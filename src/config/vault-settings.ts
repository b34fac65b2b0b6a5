import type { Secret } from './config.js';
import { setting } from './setting.js';
import { secret, text } from './value-kinds.js';

const path = () => text(/^[^\0\r\n]{1,4096}$/, 'a path');
const isSecret = () => true;

/** How Vault or OpenBao is reached, and how this server shows it who it is: in one of four ways. */
export const VAULT_SETTINGS = {
  'vault.address': setting<string>({
    kind: text(/^https?:\/\/[^\s?#@]{1,500}$/, 'an https URL without credentials, query and fragment'),
    fallback: '',
    fallbackSays: 'none',
    says: 'URL of Vault or OpenBao, for vault: references and for keys that stay there.',
  }),
  'vault.namespace': setting<string>({
    kind: text(/^[\x21-\x7E]{1,256}$/, 'the path of a namespace'),
    fallback: '',
    fallbackSays: 'none',
    says: 'Namespace in Vault.',
  }),
  'vault.caFile': setting<string>({
    kind: path(),
    fallback: '',
    fallbackSays: 'those that Node.js trusts',
    says: 'PEM file of the certificate authorities that may sign the certificate of Vault.',
  }),
  'vault.token': setting<Secret | undefined>({
    kind: secret,
    fallback: undefined,
    fallbackSays: 'none',
    says: 'Token for Vault, read at the start and never renewed.',
    isSecret,
  }),
  'vault.agentTokenFile': setting<string>({
    kind: path(),
    fallback: '',
    fallbackSays: 'none',
    says: 'File that Vault Agent keeps a token in; read again whenever it changes.',
  }),
  'vault.role': setting<string>({
    kind: text(/^[\x21-\x7E]{1,256}$/, 'a role'),
    fallback: '',
    fallbackSays: 'none',
    says: 'Role to log in to Vault with: the role id of AppRole, or the role of the Kubernetes or JWT method.',
  }),
  'vault.secretId': setting<Secret | undefined>({
    kind: secret,
    fallback: undefined,
    fallbackSays: 'none',
    says: 'Secret id of AppRole, given together with vault.role.',
    isSecret,
  }),
  'vault.jwtFile': setting<string>({
    kind: path(),
    fallback: '',
    fallbackSays: 'none',
    says: 'File with the JWT to log in to Vault with, given together with vault.role; read again at each login.',
  }),
  'vault.loginPath': setting<string>({
    kind: text(/^[A-Za-z0-9_-]{1,64}(?:\/[A-Za-z0-9_-]{1,64}){0,3}$/, 'a path like approle or clusters/eu'),
    fallback: '',
    fallbackSays: 'approle with vault.secretId, kubernetes with vault.jwtFile',
    says: 'Where the login method is mounted in Vault, below auth/.',
  }),
} as const;
