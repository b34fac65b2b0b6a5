import { createHmac, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { clientSecret } from '../../src/crypto/random-id.js';
import { SecretHasher } from '../../src/crypto/secret-hash.js';

const key = randomBytes(32);
const hasher = new SecretHasher({ id: 'p1', key });

describe('secret hashes', () => {
  it('match their secret and no other', () => {
    const secret = clientSecret();
    const stored = hasher.hash(secret);
    expect(stored).to.match(/^[A-Za-z0-9_-]{43}$/);
    expect(hasher.matches(secret, stored)).to.equal(true);
    expect(hasher.matches(clientSecret(), stored)).to.equal(false);
    expect(hasher.matches('', stored)).to.equal(false);
  });

  it('do not match under another pepper, so a stolen database confirms no guess', () => {
    const secret = clientSecret();
    const stored = hasher.hash(secret);
    const other = new SecretHasher({ id: 'p1', key: randomBytes(32) });
    expect(other.matches(secret, stored)).to.equal(false);
  });

  it('are HMAC-SHA-256 of context, NUL and value', () => {
    expect(hasher.hash('x')).to.equal(createHmac('sha256', key).update('secret\0x').digest('base64url'));
  });

  it('differ between contexts, and a value cannot pretend to another context', () => {
    expect(hasher.hashOf('artifact', 'x')).to.not.equal(hasher.hashOf('user_code', 'x'));
    expect(hasher.hashOf('a', 'b\0c')).to.not.equal(hasher.hashOf('a\u0001', 'c'));
    expect(hasher.hashOf('artifact', 'x')).to.not.equal(hasher.hash('x'));
    for (const context of ['secret', '', 'a\0b'])
      expect(() => hasher.hashOf(context, 'x')).to.throw(TypeError);
  });

  it('never match a stored value that is no hash', () => {
    for (const stored of ['', 'AAAA', '!', 'A'.repeat(44), 'A'.repeat(4000)]) {
      expect(hasher.matches('secret', stored)).to.equal(false);
    }
  });

  it('refuse a pepper that is not 32 bytes, and keep their own copy of it', () => {
    expect(() => new SecretHasher({ id: 'p', key: randomBytes(31) })).to.throw(TypeError);
    const pepper = randomBytes(32);
    const own = new SecretHasher({ id: 'p', key: pepper });
    const stored = own.hash('x');
    pepper.fill(0);
    expect(own.matches('x', stored)).to.equal(true);
    expect(own.pepperId).to.equal('p');
  });
});
