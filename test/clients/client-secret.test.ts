import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  type ClientSecretRecord,
  clientSecretId,
  EXPIRING_FOR,
  isLive,
  matchClientSecret,
  secretState,
} from '../../src/clients/client-secret.js';
import { clientId, clientSecret } from '../../src/crypto/random-id.js';
import { SecretHasher } from '../../src/crypto/secret-hash.js';

const now = 1_800_000_000_000;
const owner = clientId();

class CountingHasher extends SecretHasher {
  hashed = 0;

  override hash(secret: string): string {
    this.hashed += 1;
    return super.hash(secret);
  }
}

function hasherOf(id = 'pepper-1'): CountingHasher {
  return new CountingHasher({ id, key: randomBytes(32) });
}

function record(
  hasher: SecretHasher,
  secret: string,
  more: Partial<ClientSecretRecord> = {},
): ClientSecretRecord {
  return {
    id: clientSecretId(),
    clientId: owner,
    name: 'test',
    hash: hasher.hash(secret),
    pepperId: hasher.pepperId,
    createdBy: 'os:ada@example',
    createdAt: now - 1000,
    ...more,
  };
}

describe('a client secret', () => {
  it('is live until it expires or is revoked, to the millisecond', () => {
    expect(isLive({}, now)).to.equal(true);
    expect(isLive({ expiresAt: now + 1 }, now)).to.equal(true);
    expect(isLive({ expiresAt: now }, now)).to.equal(false);
    expect(isLive({ expiresAt: now + 1, revokedAt: now - 1 }, now)).to.equal(false);
  });

  it('is live exactly in the states live and expiring', () => {
    const instant = fc.option(fc.integer({ min: now - 10, max: now + EXPIRING_FOR * 2000 }), {
      nil: undefined,
    });
    fc.assert(
      fc.property(instant, instant, (expiresAt, revokedAt) => {
        const state = secretState({ expiresAt, revokedAt }, now);
        expect(['live', 'expiring'].includes(state)).to.equal(isLive({ expiresAt, revokedAt }, now));
      }),
    );
    const soon = now + EXPIRING_FOR * 1000;
    expect(secretState({ expiresAt: soon + 1 }, now)).to.equal('live');
    expect(secretState({ expiresAt: soon }, now)).to.equal('expiring');
    expect(secretState({ expiresAt: now }, now)).to.equal('expired');
    expect(secretState({ expiresAt: now, revokedAt: now }, now)).to.equal('revoked');
  });

  it('matches whichever of several live ones is presented', () => {
    const hasher = hasherOf();
    const texts = Array.from({ length: 5 }, () => clientSecret());
    const secrets = texts.map(text => record(hasher, text));
    for (const [index, text] of texts.entries()) {
      expect(matchClientSecret(hasher, secrets, text, now)).to.equal(secrets[index]);
    }
    expect(matchClientSecret(hasher, secrets, clientSecret(), now)).to.equal(undefined);
    expect(matchClientSecret(hasher, [], clientSecret(), now)).to.equal(undefined);
  });

  it('opens nothing once revoked, expired, hashed under another pepper or damaged', () => {
    const hasher = hasherOf();
    const text = clientSecret();
    const match = (more: Partial<ClientSecretRecord>) =>
      matchClientSecret(hasher, [record(hasher, text, more)], text, now);
    expect(match({})).to.not.equal(undefined);
    expect(match({ revokedAt: now })).to.equal(undefined);
    expect(match({ expiresAt: now })).to.equal(undefined);
    expect(match({ pepperId: 'pepper-2' })).to.equal(undefined);
    expect(match({ hash: hasherOf().hash(text) })).to.equal(undefined);
    for (const hash of ['', 'A', hasher.hash(text).slice(0, -2), '!!'])
      expect(match({ hash })).to.equal(undefined);
    // A zeroed stored hash is what a damaged one is compared as.
    expect(match({ hash: Buffer.alloc(32).toString('base64url') })).to.equal(undefined);
  });

  it('does not open by its stored hash (requirement 32)', () => {
    const hasher = hasherOf();
    const secret = record(hasher, clientSecret());
    for (const text of [secret.hash, secret.id, `cvg_cs_${secret.hash}`]) {
      expect(matchClientSecret(hasher, [secret], text, now)).to.equal(undefined);
    }
  });

  it('is refused by its checksum before anything is hashed', () => {
    const hasher = hasherOf();
    const text = clientSecret();
    const secrets = [record(hasher, text)];
    hasher.hashed = 0;
    const last = text.at(-1) === 'a' ? 'b' : 'a';
    const wrong = [
      '',
      text.slice(0, -1),
      text.slice(0, -1) + last,
      text.replace('cvg_cs_', 'cvg_ak_'),
      `${text} `,
    ];
    for (const each of [...wrong, 'x'.repeat(100_000)]) {
      expect(matchClientSecret(hasher, secrets, each, now)).to.equal(undefined);
    }
    expect(hasher.hashed).to.equal(0);
  });

  it('costs one hash and looks at every stored one, wherever the match stands (requirement 35)', () => {
    const hasher = hasherOf();
    const text = clientSecret();
    for (const position of [0, 10, 19]) {
      let compared = 0;
      const secrets = Array.from({ length: 20 }, (_, index) => {
        const made = record(hasher, index === position ? text : clientSecret());
        return Object.defineProperty({ ...made }, 'hash', {
          get: () => {
            compared += 1;
            return made.hash;
          },
        });
      });
      hasher.hashed = 0;
      expect(matchClientSecret(hasher, secrets, text, now)).to.equal(secrets[position]);
      expect({ compared, hashed: hasher.hashed }).to.deep.equal({ compared: 20, hashed: 1 });
    }
  });
});
