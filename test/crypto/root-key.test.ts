import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { Secret } from '../../src/config/config.js';
import { DATA_KEY_PURPOSES, dataKeyContext, generateDataKey } from '../../src/crypto/data-key.js';
import { Envelope } from '../../src/crypto/envelope.js';
import { generateRootKey, localRootKey } from '../../src/crypto/root-key.js';
import { type ErrorCode, isAppError } from '../../src/errors.js';

const rejection = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    error => error,
  );

function expectRefused(secret: string | undefined, code: ErrorCode): void {
  try {
    localRootKey(secret);
  } catch (error) {
    if (!isAppError(error, code)) throw error;
    expect(error.message).to.include(code === 'root_key_missing' ? 'CLAVIGER_ROOT_KEY' : 'root key');
    if (secret) expect(`${error.message} ${error.detail}`).to.not.include(secret);
    return;
  }
  throw new Error(`accepted ${secret}`);
}

describe('root key', () => {
  it('unwraps what it wrapped, today and after a restart', async () => {
    const secret = generateRootKey();
    const { id, key } = generateDataKey();
    const wrapped = await localRootKey(new Secret(secret)).wrap(key, dataKeyContext('pepper', id));
    expect(wrapped).to.not.include(key.toString('base64url'));
    const unwrapped = await localRootKey(secret).unwrap(wrapped, dataKeyContext('pepper', id));
    expect(unwrapped.equals(key)).to.equal(true);
  });

  it('has a public fingerprint that is the same each time and differs between keys', () => {
    const secret = generateRootKey();
    expect(localRootKey(secret).id)
      .to.match(/^[0-9a-f]{16}$/)
      .and.equal(localRootKey(secret).id);
    expect(localRootKey(generateRootKey()).id).to.not.equal(localRootKey(secret).id);
  });

  it('is never itself, nor by its fingerprint, the key that wraps', async () => {
    const secret = generateRootKey();
    const rootKey = localRootKey(secret);
    const wrapped = await rootKey.wrap(randomBytes(32), 'c');
    const naive = new Envelope({ id: rootKey.id, key: Buffer.from(secret, 'base64url') });
    expect(() => naive.open(wrapped, 'c')).to.throw();
  });

  it('tells a wrong root key from a damaged value, so that the right thing is restored (requirement 67)', async () => {
    const rootKey = localRootKey(generateRootKey());
    const wrapped = await rootKey.wrap(randomBytes(32), 'c');
    const wrong = await rejection(localRootKey(generateRootKey()).unwrap(wrapped, 'c'));
    expect(isAppError(wrong, 'root_key_wrong')).to.equal(true);
    const damaged = await rejection(rootKey.unwrap(`${wrapped.slice(0, -3)}AAA`, 'c'));
    expect(isAppError(damaged, 'sealed_value_damaged')).to.equal(true);
    const moved = await rejection(rootKey.unwrap(wrapped, 'd'));
    expect(isAppError(moved, 'sealed_value_damaged')).to.equal(true);
  });

  it('recovers none of 100 wrapped keys with 100 other root keys (requirement 67)', async () => {
    const rootKey = localRootKey(generateRootKey());
    const wrapped = await Promise.all(Array.from({ length: 100 }, () => rootKey.wrap(randomBytes(32), 'c')));
    for (const value of wrapped) {
      const thief = localRootKey(generateRootKey());
      expect(isAppError(await rejection(thief.unwrap(value, 'c')), 'root_key_wrong')).to.equal(true);
      // The fingerprint is only a label: relabelled for the thief's key, the value still does not open.
      const relabelled = value.replace(rootKey.id, thief.id);
      expect(isAppError(await rejection(thief.unwrap(relabelled, 'c')), 'sealed_value_damaged')).to.equal(
        true,
      );
    }
  });

  it('is refused when it is missing, not exactly 32 bytes of base64url, or a placeholder', () => {
    expectRefused(undefined, 'root_key_missing');
    expectRefused('', 'root_key_missing');
    for (const length of [16, 31, 33, 64])
      expectRefused(randomBytes(length).toString('base64url'), 'root_key_wrong');
    expectRefused(`${generateRootKey()}=`, 'root_key_wrong');
    expectRefused(`${generateRootKey()}\n`, 'root_key_wrong');
    expectRefused(Buffer.alloc(32).toString('base64url'), 'root_key_wrong');
    expectRefused(Buffer.alloc(32, 0xff).toString('base64url'), 'root_key_wrong');
    expectRefused(Buffer.from('ab'.repeat(16)).toString('base64url'), 'root_key_wrong');
  });
});

describe('data keys', () => {
  it('are 32 random bytes under an id of their own, wrapped for one purpose only', async () => {
    const rootKey = localRootKey(generateRootKey());
    const { id, key } = generateDataKey();
    expect(key).to.have.length(32);
    expect(generateDataKey().id).to.not.equal(id);
    const wrapped = await rootKey.wrap(key, dataKeyContext('cookie', id));
    for (const purpose of DATA_KEY_PURPOSES.filter(name => name !== 'cookie')) {
      const error = await rejection(rootKey.unwrap(wrapped, dataKeyContext(purpose, id)));
      expect(isAppError(error, 'sealed_value_damaged'), purpose).to.equal(true);
    }
  });
});
