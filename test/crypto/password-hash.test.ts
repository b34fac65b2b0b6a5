import { availableParallelism } from 'node:os';
import { hash } from '@node-rs/argon2';
import { expect } from 'chai';
import { PasswordHasher } from '../../src/crypto/password-hash.js';
import { isAppError } from '../../src/errors.js';

describe('password hashes', () => {
  const hasher = new PasswordHasher();

  it('are argon2id with 19 MiB, two passes and one lane, and a salt of their own', async () => {
    const first = await hasher.hash('correct horse');
    expect(first).to.match(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(await hasher.hash('correct horse')).to.not.equal(first);
    expect(await hasher.verify(first, 'correct horse')).to.equal(true);
    expect(await hasher.verify(first, 'correct horsf')).to.equal(false);
    expect(hasher.needsRehash(first)).to.equal(false);
  });

  it('are renewed when they were made with other parameters or another variant', async () => {
    for (const options of [{ memoryCost: 8192 }, { timeCost: 1 }, { parallelism: 2 }, { algorithm: 1 }]) {
      const old = await hash('x', { memoryCost: 19_456, timeCost: 2, parallelism: 1, ...options });
      expect(hasher.needsRehash(old), JSON.stringify(options)).to.equal(true);
      expect(await hasher.verify(old, 'x')).to.equal(true);
    }
  });

  it('fail loudly on a stored value that is no hash, because that is no wrong password', async () => {
    const outcome = await hasher.verify('garbage', 'x').catch((error: unknown) => error);
    expect(outcome).to.be.instanceOf(Error);
  });

  it('refuse more than the queue holds at once, serve the rest, and recover', async () => {
    const bounded = new PasswordHasher({ concurrency: 1, queueLimit: 2 });
    const results = await Promise.allSettled(Array.from({ length: 6 }, () => bounded.hash('x')));
    expect(results.map(result => result.status)).to.deep.equal([
      ...Array(3).fill('fulfilled'),
      ...Array(3).fill('rejected'),
    ]);
    for (const result of results) {
      if (result.status === 'rejected') expect(isAppError(result.reason, 'not_ready')).to.equal(true);
    }
    expect(await bounded.hash('x')).to.be.a('string');
  });

  it('give their place back when hashing fails', async () => {
    const bounded = new PasswordHasher({ concurrency: 1, queueLimit: 0 });
    for (let i = 0; i < 3; i += 1) await bounded.verify('garbage', 'x').catch(() => undefined);
    expect(await bounded.hash('x')).to.be.a('string');
  });

  it('run on all cores but one at most, with 64 waiting', async () => {
    const atOnce = Math.max(1, availableParallelism() - 1) + 64;
    const results = await Promise.allSettled(
      Array.from({ length: atOnce + 1 }, () => hasher.verify('garbage', 'x')),
    );
    const full = results.filter(
      result => result.status === 'rejected' && isAppError(result.reason, 'not_ready'),
    );
    expect(full).to.have.length(1);
  });
});
