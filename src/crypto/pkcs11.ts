import { randomBytes } from 'node:crypto';
import type { ExternalAlgorithm } from '../config/signing-places.js';
import { AppError } from '../errors.js';
import { Pkcs11Connection, type Pkcs11Connector, startHost } from './pkcs11-connection.js';
import type { Pkcs11Answer, Pkcs11Request, PublicParameters, TokenObject } from './pkcs11-messages.js';

export interface Pkcs11Options {
  /** The vendor's shared library, for example `/usr/lib/softhsm/libsofthsm2.so`. */
  readonly modulePath: string;
  readonly tokenLabel: string;
  readonly pin: { reveal(): string };
  /** Processes, each with one session: how many operations run at once. Default 2. */
  readonly sessions?: number;
  /** Seconds until an answer is given up and its process is ended. Default 5. */
  readonly answerWithin?: number;
}

/**
 * A token (HSM, smart card, SoftHSM) behind PKCS#11. Each call is bounded in time and throws AppError
 * `backend_unavailable` (ask again later) or `backend_misconfigured` (somebody has to act). A session that the token
 * has closed is opened and logged in again by itself; a PIN that was refused once is not tried again, because a few
 * wrong ones lock the token.
 */
export class Pkcs11Token {
  readonly #connections: readonly Pkcs11Connection[];

  /** Starts nothing: the first call does. Call {@link close} at the end. */
  constructor(options: Pkcs11Options, connect: Pkcs11Connector = startHost) {
    const { sessions = 2, answerWithin = 5 } = options;
    const open = {
      modulePath: options.modulePath,
      tokenLabel: options.tokenLabel,
    };
    this.#connections = Array.from(
      { length: sessions },
      () =>
        new Pkcs11Connection({
          connect,
          answerWithin,
          token: () => ({ ...open, pin: options.pin.reveal() }),
        }),
    );
  }

  /** Reaches the token and logs in. */
  async open(): Promise<void> {
    await this.#ask({ ask: 'ping' });
  }

  /** @returns CKA_ID of the new key, hexadecimal */
  async generateAesKey(label: string): Promise<string> {
    const id = newId();
    await this.#ask({ ask: 'generate-aes', object: { id, label } });
    return id;
  }

  /**
   * @returns CKA_ID of the AES key with this label, hexadecimal: another key under the same label has another.
   * @throws AppError `not_found`
   */
  async aesKeyId(label: string): Promise<string> {
    const found = await this.#list('aes', label);
    const [key, another] = found.filter(object => object.label === label);
    if (key === undefined) throw notFound(`AES key "${label}"`);
    if (another !== undefined) throw misconfigured(`it holds more than one AES key "${label}"`);
    return key.id;
  }

  /**
   * AES-256-GCM inside the token, for values of at most 64 bytes: keys that wrap others.
   *
   * @returns nonce (12 bytes), ciphertext, tag (16 bytes)
   */
  async encrypt(label: string, input: Uint8Array, additional: Uint8Array): Promise<Buffer> {
    return bytesOf(await this.#ask({ ask: 'encrypt', label, input, additional }));
  }

  /** @throws AppError `sealed_value_damaged` when it was changed, or sealed with other additional data. */
  async decrypt(label: string, input: Uint8Array, additional: Uint8Array): Promise<Buffer> {
    return bytesOf(await this.#ask({ ask: 'decrypt', label, input, additional }));
  }

  /** A pair whose private half never leaves the token: checked on the token's own answer, not only asked for. */
  async generateKeyPair(
    alg: ExternalAlgorithm,
    label: string,
    id = newId(),
  ): Promise<{ readonly id: string; readonly publicJwk: PublicParameters }> {
    const answer = await this.#ask({ ask: 'generate-pair', alg, object: { id, label } });
    if (answer.kind !== 'public') throw new TypeError(`unexpected answer ${answer.kind}`);
    return { id, publicJwk: answer.parameters };
  }

  /** @returns the signature in the form that JWS wants (RFC 7518 §3) */
  async sign(id: string, alg: ExternalAlgorithm, input: Uint8Array): Promise<Buffer> {
    return bytesOf(await this.#ask({ ask: 'sign', id, alg, input }));
  }

  /** Private keys whose label begins so. */
  async listPrivateKeys(labelPrefix: string): Promise<readonly TokenObject[]> {
    return this.#list('private', labelPrefix);
  }

  /** A key that is not there counts as destroyed. */
  async destroyPrivateKey(id: string): Promise<void> {
    await this.#ask({ ask: 'destroy', id });
  }

  /** Ends its processes; calls under way fail. */
  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  async #list(kind: 'private' | 'aes', labelPrefix: string): Promise<readonly TokenObject[]> {
    const answer = await this.#ask({ ask: 'list', kind, labelPrefix });
    if (answer.kind !== 'objects') throw new TypeError(`unexpected answer ${answer.kind}`);
    return answer.objects;
  }

  #ask(request: Pkcs11Request): Promise<Pkcs11Answer> {
    const [first, ...others] = this.#connections;
    if (first === undefined) throw new TypeError('a token needs at least one session');
    // Others are opened only once the first is logged in: a wrong PIN is tried once, not once for each of them.
    if (!first.isOpen) return first.ask(request);
    const leastBusy = others.reduce((best, other) => (other.pending < best.pending ? other : best), first);
    return leastBusy.ask(request);
  }
}

function newId(): string {
  return randomBytes(16).toString('hex');
}

function bytesOf(answer: Pkcs11Answer): Buffer {
  if (answer.kind !== 'bytes') throw new TypeError(`unexpected answer ${answer.kind}`);
  return Buffer.from(answer.bytes);
}

function notFound(what: string): AppError {
  return new AppError('not_found', `The PKCS#11 token holds no ${what}.`);
}

function misconfigured(detail: string): AppError {
  return new AppError('backend_misconfigured', `The PKCS#11 token cannot be used: ${detail}.`);
}
