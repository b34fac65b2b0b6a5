import { randomBytes } from 'node:crypto';
import type * as Pkcs11Module from 'pkcs11js';
import type { ExternalAlgorithm } from '../config/signing-places.js';
import {
  aesGcm,
  generation,
  keptInside,
  NONCE_LENGTH,
  publicAttributes,
  publicParameters,
  signing,
  TAG_LENGTH,
} from './pkcs11-mechanisms.js';
import type { OpenToken, Pkcs11Answer, Pkcs11Request, TokenObject } from './pkcs11-messages.js';

import {
  CKR_CRYPTOKI_ALREADY_INITIALIZED,
  CKR_USER_ALREADY_LOGGED_IN,
  codeOf,
  isPassing,
  isWrongPin,
  nameOf,
  Pkcs11Refusal,
  refusalOf,
} from './pkcs11-refusal.js';

type Constants = typeof Pkcs11Module;
type Handle = Buffer;

const OBJECTS_AT_ONCE = 100;
/** Others may keep objects on the same token; a search beyond this stops rather than never ends. */
const MOST_OBJECTS = 10_000;
const LONGEST_PLAINTEXT = 64;

/** Milliseconds. While a token is away, requests are refused instead of each searching for it. */
const SEARCH_AGAIN_AFTER = 500;

/**
 * One session with one token, used by one caller after the other, in a process of its own: a module that hangs or
 * crashes takes nothing else with it.
 */
export class Pkcs11Session {
  readonly #p: Constants;
  readonly #token: OpenToken;
  readonly #module: Pkcs11Module.PKCS11;
  readonly #handles = new Map<string, Handle>();
  #session: Handle | undefined;
  #wrongPin: Pkcs11Refusal | undefined;
  #away: { readonly refusal: Pkcs11Refusal; readonly at: number } | undefined;

  constructor(constants: Constants, token: OpenToken) {
    this.#p = constants;
    this.#token = token;
    this.#module = new constants.PKCS11();
    try {
      this.#module.load(token.modulePath);
    } catch {
      throw new Pkcs11Refusal('misconfigured', `the module ${token.modulePath} cannot be loaded`);
    }
  }

  /** Answers, if need be after one new login. @throws Pkcs11Refusal */
  answer(request: Pkcs11Request): Pkcs11Answer {
    if (this.#away !== undefined && performance.now() - this.#away.at < SEARCH_AGAIN_AFTER) {
      throw this.#away.refusal;
    }
    try {
      return this.#perform(request);
    } catch (error) {
      if (!isPassing(error)) throw this.#refusal(error);
    }
    // The session was lost: the token was taken out, restarted, or closed it by itself.
    this.#reset();
    try {
      return this.#perform(request);
    } catch (error) {
      throw this.#refusal(error);
    }
  }

  #perform(request: Pkcs11Request): Pkcs11Answer {
    const session = this.#open();
    switch (request.ask) {
      case 'open':
      case 'ping':
        this.#module.C_GetSessionInfo(session);
        return { kind: 'done' };
      case 'generate-pair':
        return this.#generatePair(session, request.alg, request.object);
      case 'generate-aes':
        return this.#generateAes(session, request.object);
      case 'sign':
        return { kind: 'bytes', bytes: this.#sign(session, request.id, request.alg, request.input) };
      case 'encrypt':
        return { kind: 'bytes', bytes: this.#encrypt(session, request) };
      case 'decrypt':
        return { kind: 'bytes', bytes: this.#decrypt(session, request) };
      case 'list':
        return { kind: 'objects', objects: this.#list(session, request.kind, request.labelPrefix) };
      case 'destroy':
        return this.#destroy(session, request.id);
    }
  }

  #open(): Handle {
    if (this.#session !== undefined) return this.#session;
    if (this.#wrongPin !== undefined) throw this.#wrongPin;
    const p = this.#p;
    try {
      this.#module.C_Initialize({ flags: p.CKF_OS_LOCKING_OK });
    } catch (error) {
      if (codeOf(error) !== CKR_CRYPTOKI_ALREADY_INITIALIZED) throw error;
    }
    const slot = this.#findSlot();
    const session = this.#module.C_OpenSession(slot, p.CKF_SERIAL_SESSION | p.CKF_RW_SESSION);
    try {
      this.#module.C_Login(session, p.CKU_USER, this.#token.pin);
    } catch (error) {
      if (isWrongPin(error)) {
        this.#wrongPin = new Pkcs11Refusal(
          'misconfigured',
          `token "${this.#token.tokenLabel}" refuses the PIN (${nameOf(error)})`,
        );
        throw this.#wrongPin;
      }
      if (codeOf(error) !== CKR_USER_ALREADY_LOGGED_IN) throw error;
    }
    this.#session = session;
    return session;
  }

  #findSlot(): Handle {
    const labels: string[] = [];
    for (const slot of this.#module.C_GetSlotList(true)) {
      const label = this.#module.C_GetTokenInfo(slot).label.trimEnd();
      if (label === this.#token.tokenLabel) return slot;
      labels.push(label);
    }
    // A token that is not there may be put back: a smart card, an HSM that restarts.
    throw new Pkcs11Refusal('unavailable', `no token "${this.#token.tokenLabel}" among [${labels}]`);
  }

  #reset(): void {
    this.#session = undefined;
    this.#handles.clear();
    try {
      this.#module.C_Finalize();
    } catch {
      // It was not initialised, or is gone: what matters is that the next C_Initialize begins anew.
    }
  }

  #generatePair(session: Handle, alg: ExternalAlgorithm, object: TokenObject): Pkcs11Answer {
    const p = this.#p;
    const { mechanism, template } = generation(p, alg);
    // The public half is kept in the database; as a session object it takes no room on the token.
    const ofPublic = [{ type: p.CKA_TOKEN, value: false }, { type: p.CKA_VERIFY, value: true }, ...template];
    const ofPrivate = [
      ...keptInside(p, object),
      { type: p.CKA_SIGN, value: true },
      { type: p.CKA_DECRYPT, value: false },
      { type: p.CKA_UNWRAP, value: false },
      { type: p.CKA_DERIVE, value: false },
    ];
    const pair = this.#module.C_GenerateKeyPair(session, mechanism, ofPublic, ofPrivate);
    try {
      this.#assertStaysInside(session, pair.privateKey);
      const values = this.#attributes(session, pair.publicKey, publicAttributes(p, alg));
      this.#handles.set(object.id, pair.privateKey);
      return { kind: 'public', parameters: publicParameters(alg, values) };
    } catch (error) {
      this.#module.C_DestroyObject(session, pair.privateKey);
      throw error;
    } finally {
      this.#module.C_DestroyObject(session, pair.publicKey);
    }
  }

  #generateAes(session: Handle, object: TokenObject): Pkcs11Answer {
    const p = this.#p;
    const key = this.#module.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, [
      { type: p.CKA_CLASS, value: p.CKO_SECRET_KEY },
      { type: p.CKA_KEY_TYPE, value: p.CKK_AES },
      { type: p.CKA_VALUE_LEN, value: 32 },
      ...keptInside(p, object),
      { type: p.CKA_ENCRYPT, value: true },
      { type: p.CKA_DECRYPT, value: true },
    ]);
    this.#assertStaysInside(session, key);
    return { kind: 'done' };
  }

  /** A token may ignore a template. What can leave it is no key of ours. */
  #assertStaysInside(session: Handle, key: Handle): void {
    const p = this.#p;
    const wanted = [
      p.CKA_SENSITIVE,
      p.CKA_ALWAYS_SENSITIVE,
      p.CKA_NEVER_EXTRACTABLE,
      p.CKA_LOCAL,
      p.CKA_TOKEN,
    ];
    const [extractable, ...kept] = this.#attributes(session, key, [p.CKA_EXTRACTABLE, ...wanted]);
    if (extractable?.[0] !== 0 || kept.some(value => value[0] !== 1)) {
      throw new Pkcs11Refusal('misconfigured', 'the token made a key that can leave it');
    }
  }

  #attributes(session: Handle, object: Handle, types: readonly number[]): Buffer[] {
    return this.#module
      .C_GetAttributeValue(
        session,
        object,
        types.map(type => ({ type })),
      )
      .map(({ value }) => value as Buffer);
  }

  #sign(session: Handle, id: string, alg: ExternalAlgorithm, input: Uint8Array): Buffer {
    const { mechanism, bytes, length } = signing(this.#p, alg, input);
    this.#module.C_SignInit(session, mechanism, this.#privateKey(session, id));
    const signature = this.#module.C_Sign(session, bytes, Buffer.alloc(length + 64));
    if (signature.length !== length) {
      throw new Pkcs11Refusal('misconfigured', `a signature of ${signature.length} bytes for ${alg}`);
    }
    return signature;
  }

  #privateKey(session: Handle, id: string): Handle {
    const known = this.#handles.get(id);
    if (known !== undefined) return known;
    const p = this.#p;
    const key = this.#one(session, `private key ${id}`, [
      { type: p.CKA_CLASS, value: p.CKO_PRIVATE_KEY },
      { type: p.CKA_ID, value: Buffer.from(id, 'hex') },
    ]);
    this.#handles.set(id, key);
    return key;
  }

  #encrypt(session: Handle, given: { label: string; input: Uint8Array; additional: Uint8Array }): Buffer {
    if (given.input.length > LONGEST_PLAINTEXT) throw new TypeError('too long for a key to be wrapped');
    const nonce = randomBytes(NONCE_LENGTH);
    const key = this.#aesKey(session, given.label);
    this.#module.C_EncryptInit(session, aesGcm(this.#p, nonce, given.additional), key);
    const room = Buffer.alloc(given.input.length + 64);
    const sealed = this.#module.C_Encrypt(session, Buffer.from(given.input), room);
    return Buffer.concat([nonce, sealed]);
  }

  #decrypt(session: Handle, given: { label: string; input: Uint8Array; additional: Uint8Array }): Buffer {
    const input = Buffer.from(given.input);
    if (input.length < NONCE_LENGTH + TAG_LENGTH || input.length > LONGEST_PLAINTEXT + 64) {
      throw new Pkcs11Refusal('refused', 'not a value wrapped by this token');
    }
    const key = this.#aesKey(session, given.label);
    const nonce = input.subarray(0, NONCE_LENGTH);
    this.#module.C_DecryptInit(session, aesGcm(this.#p, nonce, given.additional), key);
    try {
      return this.#module.C_Decrypt(session, input.subarray(NONCE_LENGTH), Buffer.alloc(input.length + 64));
    } catch (error) {
      // Tokens tell a wrong tag and trouble of their own by the same code. One that still encrypts is well.
      this.#encrypt(session, { ...given, input: nonce });
      throw new Pkcs11Refusal('refused', `authentication failed (${nameOf(error)})`);
    }
  }

  #aesKey(session: Handle, label: string): Handle {
    const p = this.#p;
    return this.#one(session, `AES key "${label}"`, [
      { type: p.CKA_CLASS, value: p.CKO_SECRET_KEY },
      { type: p.CKA_LABEL, value: Buffer.from(label, 'utf8') },
    ]);
  }

  #list(session: Handle, kind: 'private' | 'aes', labelPrefix: string): TokenObject[] {
    const p = this.#p;
    const found = this.#find(session, [
      { type: p.CKA_CLASS, value: kind === 'aes' ? p.CKO_SECRET_KEY : p.CKO_PRIVATE_KEY },
    ]);
    return found
      .map(handle => {
        const [id, label] = this.#attributes(session, handle, [p.CKA_ID, p.CKA_LABEL]);
        return { id: id?.toString('hex') ?? '', label: label?.toString('utf8') ?? '' };
      })
      .filter(({ label }) => label.startsWith(labelPrefix));
  }

  #destroy(session: Handle, id: string): Pkcs11Answer {
    const p = this.#p;
    const found = this.#find(session, [
      { type: p.CKA_CLASS, value: p.CKO_PRIVATE_KEY },
      { type: p.CKA_ID, value: Buffer.from(id, 'hex') },
    ]);
    this.#handles.delete(id);
    for (const handle of found) this.#module.C_DestroyObject(session, handle);
    return { kind: 'done' };
  }

  /** Two objects of one name would make it a matter of chance which one is used. */
  #one(session: Handle, what: string, template: Pkcs11Module.Template): Handle {
    const [first, second] = this.#find(session, template);
    if (first === undefined) throw new Pkcs11Refusal('not_found', `the token holds no ${what}`);
    if (second !== undefined) {
      throw new Pkcs11Refusal('misconfigured', `the token holds more than one ${what}`);
    }
    return first;
  }

  #find(session: Handle, template: Pkcs11Module.Template): Handle[] {
    this.#module.C_FindObjectsInit(session, template);
    const found: Handle[] = [];
    try {
      for (;;) {
        const more = this.#module.C_FindObjects(session, OBJECTS_AT_ONCE);
        found.push(...more);
        if (more.length < OBJECTS_AT_ONCE) return found;
        if (found.length >= MOST_OBJECTS) throw new Pkcs11Refusal('misconfigured', 'too many objects');
      }
    } finally {
      this.#module.C_FindObjectsFinal(session);
    }
  }

  #refusal(error: unknown): Pkcs11Refusal {
    const refusal = error instanceof Pkcs11Refusal ? error : refusalOf(error);
    if (refusal.fault === 'unavailable') {
      this.#reset();
      this.#away = { refusal, at: performance.now() };
    }
    return refusal;
  }
}
