import { pbkdf2Sync, randomBytes, scryptSync } from 'node:crypto';
import { hash as argon2 } from '@node-rs/argon2';
import { hash as bcrypt } from '@node-rs/bcrypt';
import { expect } from 'chai';
import { PasswordHasher } from '../../src/crypto/password-hash.js';
import { storedHashProblem, verifyPassword } from '../../src/users/imported-hash.js';

const PASSWORD = 'ferret lamp under bridge';
const passwords = new PasswordHasher();
const salt = randomBytes(16);

const bare = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
const passlib = (bytes: Buffer) => bare(bytes).replaceAll('+', '.');

function pbkdf2(digest: string, rounds: number, length: number, with_: Buffer = salt): Buffer {
  return pbkdf2Sync(PASSWORD, with_, rounds, length, digest);
}

function scrypted(ln: number, r: number, p: number): string {
  const key = scryptSync(PASSWORD, salt, 32, { N: 2 ** ln, r, p, maxmem: 256 * 1024 * 1024 });
  return `$scrypt$ln=${ln},r=${r},p=${p}$${bare(salt)}$${bare(key)}`;
}

/** The three name the same function; only its early, mistaken forms differed. */
async function bcryptAs(version: '2a' | '2b' | '2y'): Promise<string> {
  return (await bcrypt(PASSWORD, 5)).replace(/^\$2.\$/, `$${version}$`);
}

const FOREIGN: Readonly<Record<string, () => Promise<string> | string>> = {
  'bcrypt 2a': () => bcryptAs('2a'),
  'bcrypt 2b': () => bcryptAs('2b'),
  'bcrypt 2y, as PHP writes it': () => bcryptAs('2y'),
  'PBKDF2 as a PHC string': () =>
    `$pbkdf2-sha256$i=2000,l=32$${bare(salt)}$${bare(pbkdf2('sha256', 2000, 32))}`,
  'PBKDF2 of Keycloak, 512 bits, padded': () =>
    `$pbkdf2-sha256$i=2750,l=64$${salt.toString('base64')}$${pbkdf2('sha256', 2750, 64).toString('base64')}`,
  "PBKDF2 in passlib's form": () =>
    `$pbkdf2-sha512$2500$${passlib(salt)}$${passlib(pbkdf2('sha512', 2500, 64))}`,
  "PBKDF2-SHA1 in passlib's form": () => `$pbkdf2$1300$${passlib(salt)}$${passlib(pbkdf2('sha1', 1300, 20))}`,
  "PBKDF2 in Django's form": () =>
    `pbkdf2_sha256$2600$saltOfDjango$${pbkdf2('sha256', 2600, 32, Buffer.from('saltOfDjango')).toString('base64')}`,
  scrypt: () => scrypted(12, 8, 1),
  'scrypt with several lanes': () => scrypted(10, 4, 3),
  'weaker argon2id': () => argon2(PASSWORD, { memoryCost: 8192, timeCost: 1, parallelism: 1 }),
  argon2i: () => argon2(PASSWORD, { memoryCost: 8192, timeCost: 2, parallelism: 1, algorithm: 1 }),
};

describe('password hashes of other systems', () => {
  for (const [name, make] of Object.entries(FOREIGN)) {
    it(`verify and are to be replaced: ${name}`, async () => {
      const stored = await make();
      expect(storedHashProblem(stored)).to.equal(undefined);
      expect(await verifyPassword(passwords, stored, PASSWORD)).to.deep.equal({
        matches: true,
        needsRehash: true,
      });
      expect((await verifyPassword(passwords, stored, `${PASSWORD}x`)).matches).to.equal(false);
      expect((await verifyPassword(passwords, stored, '')).matches).to.equal(false);
    });
  }

  it('of our own need no replacement', async () => {
    const stored = await passwords.hash(PASSWORD);
    expect(await verifyPassword(passwords, stored, PASSWORD)).to.deep.equal({
      matches: true,
      needsRehash: false,
    });
  });

  it('are verified to their full length: 100 characters that differ at the 80th differ (requirement 86)', async () => {
    const long = Array.from({ length: 100 }, (_, index) => 'abcdefghij'.charAt(index % 7)).join('');
    const other = `${long.slice(0, 79)}#${long.slice(80)}`;
    const ours = await passwords.hash(long);
    expect((await verifyPassword(passwords, ours, long)).matches).to.equal(true);
    expect((await verifyPassword(passwords, ours, other)).matches).to.equal(false);
    // bcrypt never saw what differs: neither opens the account.
    const theirs = await bcrypt(long, 4);
    expect((await verifyPassword(passwords, theirs, long)).matches).to.equal(false);
    expect((await verifyPassword(passwords, theirs, other)).matches).to.equal(false);
    const just = long.slice(0, 72);
    expect((await verifyPassword(passwords, await bcrypt(just, 4), just)).matches).to.equal(true);
  });

  it('are refused when they would stop the server at each attempt, or cost next to nothing', async () => {
    const body = 'a'.repeat(53);
    const key = bare(randomBytes(32));
    for (const stored of [
      ...[`$2b$16$${body}`, `$2b$31$${body}`, `$2b$03$${body}`],
      ...[`$pbkdf2-sha256$i=90000000$${bare(salt)}$${key}`, `$pbkdf2-sha256$i=1$${bare(salt)}$${key}`],
      ...[`$scrypt$ln=30,r=8,p=1$${bare(salt)}$${key}`, `$scrypt$ln=14,r=8,p=255$${bare(salt)}$${key}`],
      ...[`$scrypt$ln=4,r=8,p=1$${bare(salt)}$${key}`, `$scrypt$ln=17,r=999,p=1$${bare(salt)}$${key}`],
      `$argon2id$v=19$m=4194304,t=2,p=1$${bare(salt)}$${key}`,
      `$argon2id$v=19$m=19456,t=4000,p=1$${bare(salt)}$${key}`,
    ]) {
      expect(storedHashProblem(stored), stored).to.match(/outside|more memory/);
      const refused = await verifyPassword(passwords, stored, PASSWORD).catch((error: unknown) => error);
      expect(refused, stored).to.be.instanceOf(TypeError);
    }
  });

  it('are refused in every other form, without being repeated', () => {
    for (const stored of [
      ...[
        '',
        'plain text',
        '{SSHA}abc',
        '$1$salt$abc',
        '$6$salt$abc',
        '$2x$10$abc',
        'sha256$abc',
        null,
        12,
        {},
      ],
      ...['$pbkdf2-md5$i=2000$AAAA$AAAA', '$pbkdf2-sha256$i=2000$AAAAAAAA$AAAA', '$argon2id$broken'],
      ...[`$scrypt$ln=14,r=8,p=1$AAAAAAAA$AAAAA`, `$2b$10$${'a'.repeat(52)}`, 'x'.repeat(10_000)],
    ]) {
      const problem = storedHashProblem(stored);
      expect(problem, String(stored)).to.match(/^It is none of the forms/);
      if (typeof stored === 'string' && stored.length > 12) expect(problem).to.not.include(stored);
    }
  });

  it('share the bounds of our own: slow work never takes every core', async () => {
    const bounded = new PasswordHasher({ concurrency: 1, queueLimit: 2 });
    const stored = await bcrypt(PASSWORD, 5);
    const results = await Promise.allSettled(
      Array.from({ length: 6 }, () => verifyPassword(bounded, stored, PASSWORD)),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(3);
  });
});
