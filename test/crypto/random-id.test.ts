import { expect } from 'chai';
import fc from 'fast-check';
import {
  checksum,
  clientId,
  clientSecret,
  hasValidChecksum,
  isClientId,
  randomBase62,
  secretKindOf,
} from '../../src/crypto/random-id.js';

describe('random ids', () => {
  it('uses all 62 characters equally often (chi-square; a plain modulo of a byte fails this)', () => {
    const chiSquare = (text: string): number => {
      const counts = new Map<string, number>();
      for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
      const expected = text.length / 62;
      return [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    };
    // 61 degrees of freedom: above 150 once in 10^9 runs.
    const text = randomBase62(200_000);
    expect(text).to.match(/^[0-9A-Za-z]{200000}$/);
    expect(chiSquare(text)).to.be.lessThan(150);
    const biased = Array.from(crypto.getRandomValues(new Uint8Array(65_536)), byte =>
      String.fromCharCode(byte % 62),
    ).join('');
    expect(chiSquare(biased)).to.be.greaterThan(150);
  });

  it('has exactly the length asked for, and refuses a senseless one', () => {
    for (const length of [1, 2, 43, 100]) expect(randomBase62(length)).to.have.length(length);
    for (const length of [0, -1, 1.5, Number.NaN]) expect(() => randomBase62(length)).to.throw(TypeError);
  });

  it('makes client ids and secrets that name their kind and never repeat', () => {
    const secrets = Array.from({ length: 1000 }, clientSecret);
    expect(new Set(secrets).size).to.equal(1000);
    for (const secret of secrets) {
      expect(secret).to.match(/^cvg_cs_[0-9A-Za-z]{49}$/);
      expect(secretKindOf(secret)).to.equal('client_secret');
    }
    const id = clientId();
    expect(id).to.match(/^cl_[0-9A-Za-z]{22}$/);
    expect([isClientId(id), isClientId(`${id}x`), isClientId(id.slice(3))]).to.deep.equal([
      true,
      false,
      false,
    ]);
  });
});

describe('secret checksums', () => {
  it('is the CRC-32 of everything before it, in base62', () => {
    // The check value of CRC-32 (ISO 3309) for "123456789" is 0xcbf43926.
    const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
    const value = [...checksum('123456789')].reduce((sum, digit) => sum * 62 + digits.indexOf(digit), 0);
    expect(value).to.equal(0xcbf43926);
    expect(checksum('')).to.equal('000000');
  });

  it('refuses a secret with any one character changed, cut off or added', () => {
    const secret = clientSecret();
    expect(hasValidChecksum(secret)).to.equal(true);
    for (let at = 0; at < secret.length; at += 1) {
      const other = secret[at] === 'A' ? 'B' : 'A';
      expect(secretKindOf(secret.slice(0, at) + other + secret.slice(at + 1))).to.equal(undefined);
    }
    for (const wrong of [
      secret.slice(1),
      secret.slice(0, -1),
      `${secret}0`,
      ` ${secret}`,
      `${secret}\n`,
      '',
    ]) {
      expect(secretKindOf(wrong), JSON.stringify(wrong)).to.equal(undefined);
    }
  });

  it('tells kinds apart by prefix and knows no others, even with a valid checksum', () => {
    const signed = (body: string): string => body + checksum(body);
    expect(secretKindOf(signed(`cvg_rt_${randomBase62(43)}`))).to.equal('registration_token');
    expect(secretKindOf(signed(`cvg_ak_${randomBase62(16)}_${randomBase62(43)}`))).to.equal('api_key');
    expect(secretKindOf(signed(`cvg_xx_${randomBase62(43)}`))).to.equal(undefined);
    expect(secretKindOf(signed('cvg_cs_short'))).to.equal(undefined);
  });

  it('answers for any text whatsoever', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), text => {
        expect(secretKindOf(text)).to.equal(undefined);
        hasValidChecksum(text);
      }),
    );
  });
});
