import { readFileSync } from 'node:fs';
import { type Clock, systemClock } from '../clock.js';
import { createGuardedFetch, type Resolve } from './guarded-fetch.js';
import { recordIn, type VaultAnswer, VaultConnection, type VaultRequest } from './vault-connection.js';
import { isVaultError, VaultError } from './vault-error.js';
import { createTokenSource, type TokenSource, type VaultAuthentication } from './vault-login.js';

export interface VaultOptions {
  /** `https://vault.example.com:8200`; plain http only reaches `allowedNetworks`. */
  readonly address: string;
  readonly namespace?: string;
  readonly authentication: VaultAuthentication;
  /** PEM of the certificate authorities that may have signed its certificate; default: those that Node trusts. */
  readonly caFile?: string;
  /** Private networks where it may be; default `VAULT_NETWORKS`. */
  readonly allowedNetworks?: readonly string[];
  /** Seconds for one call with all its attempts; default and most 5. */
  readonly timeoutAfter?: number;
  readonly clock?: Clock;
  /** Tests only. */
  readonly wait?: (milliseconds: number) => Promise<void>;
  readonly resolve?: Resolve;
}

/**
 * The operator names the address, so private networks are allowed; link-local ones, where clouds hand out the
 * credentials of their machines, are not.
 */
export const VAULT_NETWORKS: readonly string[] = Object.freeze([
  '127.0.0.0/8',
  '::1',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  'fc00::/7',
]);

export const TRANSIT_KEY_TYPES = [
  'aes256-gcm96',
  'ecdsa-p256',
  'ecdsa-p384',
  'ed25519',
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
] as const;
export type TransitKeyType = (typeof TRANSIT_KEY_TYPES)[number];

export interface TransitKey {
  readonly name: string;
  /** As Vault names it: one of `TRANSIT_KEY_TYPES`, or another. */
  readonly type: string;
  readonly latestVersion: number;
  /** The private half can be read by whoever has the policy for it. */
  readonly isExportable: boolean;
  /** Ascending. `publicKey` as Vault gives it: PEM (SPKI), and for ed25519 the 32 bytes in base64; absent when symmetric. */
  readonly versions: readonly { readonly version: number; readonly publicKey?: string }[];
}

export interface TransitSignOptions {
  /** Default: the latest. */
  readonly keyVersion?: number;
  /** Of what is signed, by Vault; not for ed25519. */
  readonly hash?: 'sha2-256' | 'sha2-384' | 'sha2-512';
  /** `input` is the hash already. */
  readonly isPrehashed?: boolean;
  /** RSA only. PSS salts are as long as the hash, as RFC 7518 §3.5 wants them. */
  readonly padding?: 'pss' | 'pkcs1v15';
}

const LONGEST = 5;

/** `a/b` as path segments. A segment of dots would climb to another endpoint. */
function segments(path: string, what: string): string {
  const parts = path.split('/');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be in a path
  if (parts.some(part => part === '' || part === '.' || part === '..' || /[\x00-\x1F\x7F]/.test(part)))
    throw new VaultError(
      'refused',
      `${what} is no path in Vault; write it as a/b without empty or dotted parts.`,
    );
  return parts.map(encodeURIComponent).join('/');
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function versionsOf(keys: Readonly<Record<string, unknown>>): TransitKey['versions'] {
  return Object.entries(keys)
    .map(([version, key]) => {
      const { public_key: publicKey } = recordIn({ key }, 'key');
      return { version: Number(version), ...(typeof publicKey === 'string' ? { publicKey } : {}) };
    })
    .sort((a, b) => a.version - b.version);
}

/**
 * Vault or OpenBao over its plain HTTP API: KV secrets and Transit. Each call has a limit in time and size, is tried
 * again when the failure looks passing, and fails with a `VaultError` whose message says what to do.
 */
export class VaultClient {
  readonly #connection: VaultConnection;
  readonly #tokens: TokenSource;

  constructor(options: VaultOptions) {
    const { clock = systemClock, caFile, timeoutAfter = LONGEST, resolve, namespace = '' } = options;
    this.#connection = new VaultConnection({
      address: options.address,
      namespace,
      clock,
      wait: options.wait ?? (milliseconds => new Promise(done => setTimeout(done, milliseconds))),
      timeoutAfter: Math.min(timeoutAfter, LONGEST),
      fetch: createGuardedFetch(options.allowedNetworks ?? VAULT_NETWORKS, {
        timeoutAfter,
        keepsConnections: true,
        ...(caFile === undefined || caFile === '' ? {} : { ca: readAuthorities(caFile) }),
        ...(resolve === undefined ? {} : { resolve }),
      }),
    });
    this.#tokens = createTokenSource(
      options.authentication,
      this.#connection,
      clock,
      mount => `auth/${segments(mount, 'The mount of the login method')}/login`,
    );
  }

  /**
   * The fields of one secret of the KV engine, version 1 or 2 (the latest version).
   *
   * @param path `MOUNT/PATH` as `vault kv get` takes it, without `data/`.
   */
  async readSecret(path: string): Promise<Readonly<Record<string, unknown>>> {
    const whole = segments(path, 'The secret');
    const { mount, isVersioned } = await this.#mountOf(whole);
    const rest = whole.slice(mount.length).replace(/^\//, '');
    if (rest === '') throw new VaultError('refused', `${path} is a mount and no secret; write MOUNT/PATH.`);
    const { body } = await this.#read(isVersioned ? `${mount}/data/${rest}` : whole);
    const found = isVersioned ? recordIn(recordIn(body, 'data'), 'data') : recordIn(body, 'data');
    return found;
  }

  /** @param associatedData must be the same at decryption: binds the ciphertext to where it belongs. */
  async encrypt(
    mount: string,
    key: string,
    plaintext: Uint8Array,
    associatedData?: Uint8Array,
  ): Promise<string> {
    const body = {
      plaintext: base64(plaintext),
      ...(associatedData === undefined ? {} : { associated_data: base64(associatedData) }),
    };
    return this.#transitText(mount, 'encrypt', key, body, 'ciphertext');
  }

  /** `refused` when the ciphertext is not of this key, was changed, or belongs elsewhere. */
  async decrypt(
    mount: string,
    key: string,
    ciphertext: string,
    associatedData?: Uint8Array,
  ): Promise<Buffer> {
    const body = {
      ciphertext,
      ...(associatedData === undefined ? {} : { associated_data: base64(associatedData) }),
    };
    return Buffer.from(await this.#transitText(mount, 'decrypt', key, body, 'plaintext'), 'base64');
  }

  /** The bytes of the signature as JWS has them: `r || s` for ECDSA. */
  async sign(
    mount: string,
    key: string,
    input: Uint8Array,
    options: TransitSignOptions = {},
  ): Promise<Buffer> {
    const { keyVersion, hash, isPrehashed = false, padding } = options;
    const body = {
      input: base64(input),
      prehashed: isPrehashed,
      marshaling_algorithm: 'jws',
      ...(keyVersion === undefined ? {} : { key_version: keyVersion }),
      ...(hash === undefined ? {} : { hash_algorithm: hash }),
      ...(padding === undefined ? {} : { signature_algorithm: padding }),
      // Its default is the longest that fits, which verifiers of JWS refuse.
      ...(padding === 'pss' ? { salt_length: 'hash' } : {}),
    };
    const signature = await this.#transitText(mount, 'sign', key, body, 'signature');
    const encoded = /^vault:v\d{1,9}:([\w+/=-]+)$/.exec(signature)?.[1];
    if (encoded === undefined)
      throw new VaultError('failed', `Vault answered the request to sign with ${key} oddly.`);
    return Buffer.from(encoded, 'base64');
  }

  /** Undefined when there is none of that name. */
  async readKey(mount: string, name: string): Promise<TransitKey | undefined> {
    try {
      const { body } = await this.#read(this.#transit(mount, 'keys', name));
      const { type, latest_version: latest, exportable, keys } = recordIn(body, 'data');
      if (typeof type !== 'string' || typeof latest !== 'number')
        throw new VaultError('failed', `Vault describes the key ${name} in a way that cannot be read.`);
      return {
        name,
        type,
        latestVersion: latest,
        isExportable: exportable === true,
        versions: versionsOf(recordIn({ keys }, 'keys')),
      };
    } catch (error) {
      if (isVaultError(error, 'not_found')) return undefined;
      throw error;
    }
  }

  /** Not exportable. One that exists is left as it is; `refused` when it is of another type. */
  async createKey(mount: string, name: string, type: TransitKeyType): Promise<TransitKey> {
    const path = this.#transit(mount, 'keys', name);
    await this.#write({ method: 'POST', path, body: { type, exportable: false } }, 'create');
    const key = await this.readKey(mount, name);
    if (key === undefined) throw new VaultError('failed', `Vault made the key ${name} and does not have it.`);
    if (key.type === type) return key;
    throw new VaultError(
      'refused',
      `Vault has a key ${name} already, of type ${key.type}; it should be ${type}.`,
    );
  }

  /** For good, with all its versions. One that does not exist is deleted already. */
  async deleteKey(mount: string, name: string): Promise<void> {
    if ((await this.readKey(mount, name)) === undefined) return;
    const path = this.#transit(mount, 'keys', name);
    try {
      await this.#write(
        { method: 'POST', path: `${path}/config`, body: { deletion_allowed: true } },
        'update',
      );
      await this.#write({ method: 'DELETE', path }, 'delete');
    } catch (error) {
      const mayBeGone = isVaultError(error, 'refused') || isVaultError(error, 'not_found');
      if (mayBeGone && (await this.readKey(mount, name)) === undefined) return;
      throw error;
    }
  }

  #transit(mount: string, verb: string, key: string): string {
    return `${segments(mount, 'The mount of Transit')}/${verb}/${segments(key, 'The name of the key')}`;
  }

  async #transitText(
    mount: string,
    verb: string,
    key: string,
    body: Readonly<Record<string, unknown>>,
    member: string,
  ): Promise<string> {
    const answer = await this.#write(
      { method: 'POST', path: this.#transit(mount, verb, key), body },
      'update',
    );
    const text = recordIn(answer.body, 'data')[member];
    if (typeof text !== 'string') throw new VaultError('failed', `Vault answered ${verb} without ${member}.`);
    return text;
  }

  /** Asked as `vault kv` asks: mounts may have slashes, and nothing in a path tells the engine's version. */
  async #mountOf(whole: string): Promise<{ mount: string; isVersioned: boolean }> {
    try {
      const { body } = await this.#read(`sys/internal/ui/mounts/${whole}`);
      const { path, options } = recordIn(body, 'data');
      if (typeof path === 'string') {
        const mount = segments(path.replace(/\/$/, ''), 'The mount');
        if (whole === mount || whole.startsWith(`${mount}/`))
          return { mount, isVersioned: recordIn({ options }, 'options').version === '2' };
      }
    } catch (error) {
      // A proxy in between may let only the secret itself pass.
      if (!isVaultError(error, 'denied') && !isVaultError(error, 'not_found')) throw error;
    }
    return { mount: whole.split('/')[0] ?? '', isVersioned: true };
  }

  async #read(path: string): Promise<VaultAnswer> {
    return this.#write({ method: 'GET', path }, 'read');
  }

  async #write(request: VaultRequest, needs: string): Promise<VaultAnswer> {
    let token = await this.#tokens.token();
    let answer = await this.#connection.call(request, token);
    if (answer.status === 403 && (await this.#tokens.replaces(token))) {
      token = await this.#tokens.token();
      answer = await this.#connection.call(request, token);
    }
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw this.#connection.refusal(request, token, answer, needs);
  }
}

function readAuthorities(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new VaultError(
      'unreachable',
      `The file of certificate authorities ${path} cannot be read (${code}).`,
      error,
    );
  }
}
