import { randomBase62 } from '../crypto/random-id.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import type { Database, Transaction } from '../database/connect.js';
import { KnownDeviceStore } from './known-device-store.js';

/** 62^43 > 2^256 */
const TOKEN = /^[0-9A-Za-z]{43}$/;
/** Milliseconds since the last sign-in; RFC 6265bis lets no cookie live longer. */
const KNOWN_FOR = 400 * 24 * 3_600_000;

const store = new KnownDeviceStore();

/** For the cookie; each is of one person. */
export function newDeviceToken(): string {
  return randomBase62(43);
}

/** What is in a cookie may be anything. */
export function isDeviceToken(value: string): boolean {
  return TOKEN.test(value);
}

/** Browsers in which a person has signed in before, told by a cookie that only they hold. */
export class KnownDevices {
  readonly #database: Database;
  readonly #hasher: SecretHasher;

  constructor(database: Database, hasher: SecretHasher) {
    this.#database = database;
    this.#hasher = hasher;
  }

  /**
   * The same reads whether there is such a person or not.
   *
   * @returns what the counters of this device go by, or undefined for an unknown device.
   */
  async recognise(
    userId: string | undefined,
    token: string | undefined,
  ): Promise<{ readonly deviceId: string; readonly isTrusted: boolean } | undefined> {
    const deviceId = this.#idOf(userId ?? '', token ?? '');
    return this.#database.read(async on => {
      const now = await this.#database.now(on);
      const device = await store.find(on, deviceId, userId ?? '', now);
      if (device === undefined) return undefined;
      return { deviceId, isTrusted: device.trustedUntil !== undefined && device.trustedUntil > now };
    });
  }

  async isKnown(userId: string, token: string | undefined): Promise<boolean> {
    return (await this.recognise(userId, token)) !== undefined;
  }

  async isTrusted(userId: string, token: string | undefined): Promise<boolean> {
    return (await this.recognise(userId, token))?.isTrusted === true;
  }

  /** As isKnown, in the transaction of what depends on it. */
  async isKnownIn(trx: Transaction, userId: string, token: string, now: number): Promise<boolean> {
    return (await store.find(trx, this.#idOf(userId, token), userId, now)) !== undefined;
  }

  /**
   * @param trustedFor seconds for which no second factor is asked for there; 0: leaves it as it was
   * @throws TypeError for a token that newDeviceToken did not make: whoever chose it could choose it again
   */
  async remember(
    trx: Transaction,
    device: { readonly userId: string; readonly token: string; readonly trustedFor: number },
    now: number,
  ): Promise<void> {
    if (!isDeviceToken(device.token)) throw new TypeError('not a device token');
    const { userId, token, trustedFor } = device;
    const trustedUntil = trustedFor > 0 ? now + trustedFor * 1000 : undefined;
    await store.save(
      trx,
      { id: this.#idOf(userId, token), userId, trustedUntil, expiresAt: now + KNOWN_FOR },
      now,
    );
  }

  async sweep(trx: Transaction, now: number): Promise<number> {
    return store.sweep(trx, now);
  }

  /** Of both: what one person's token says about a browser says nothing about another person. */
  #idOf(userId: string, token: string): string {
    return this.#hasher.hashOf('known_device', `${userId}\0${token}`);
  }
}
