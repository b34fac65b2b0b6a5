import { expect } from 'chai';
import { type PasswordOwner, passwordFaults, shortestPassword } from '../../src/users/password-policy.js';

const owner: PasswordOwner = {
  email: 'grace.hopper@example.org',
  profile: { name: 'Grace Brewster Hopper', nickname: 'Amazing' },
  hasSecondFactor: false,
  serviceName: 'Claviger',
};
const withFactor = { ...owner, hasSecondFactor: true };

async function keys(password: unknown, of: PasswordOwner = owner): Promise<string> {
  return (await passwordFaults(password, of)).map(({ message }) => message).join();
}

describe('the policy for new passwords (requirement 86)', () => {
  it('wants 15 characters where the password is all, 8 beside a second factor, and says how many', async () => {
    expect(await keys('fourteen chars')).to.equal('password.too_short');
    expect(await keys('fifteen chars!x')).to.equal('');
    expect(await keys('sévèntn', withFactor)).to.equal('password.too_short');
    expect(await keys('sixpotat', withFactor)).to.equal('');
    expect((await passwordFaults('x', owner))[0]?.values).to.deep.equal({ min: 15 });
    expect((await passwordFaults('x', withFactor))[0]?.values).to.deep.equal({ min: 8 });
    expect([shortestPassword(false), shortestPassword(true)]).to.deep.equal([15, 8]);
    expect(await keys('')).to.equal('password.required');
    expect(await keys(undefined)).to.equal('password.required');
  });

  it('takes up to 256 characters and no more', async () => {
    const long = Array.from({ length: 64 }, (_, index) => `${index}`.padStart(4, 'qz')).join('');
    expect(long).to.have.length(256);
    expect(await keys(long)).to.equal('');
    expect(await keys(`${long}x`)).to.equal('password.too_long');
    expect((await passwordFaults(`${long}x`, owner))[0]?.values).to.deep.equal({ max: 256 });
  });

  it('counts characters, not bytes or units, after composing them (NFC)', async () => {
    expect(await keys('🦊🐻🐼🐨🐯🦁🐮🐷🐸🐵🐔🐧🐦🐤')).to.equal('password.too_short');
    expect(await keys('🦊🐻🐼🐨🐯🦁🐮🐷🐸🐵🐔🐧🐦🐤🦆')).to.equal('');
    // Fifteen typed as base letter and accent are fifteen units in pieces and eight characters composed.
    expect(await keys('e\u0301u\u0301o\u0301a\u0301i\u0301y\u0301c\u0301x')).to.equal('password.too_short');
  });

  it('asks for no mixture of kinds of characters', async () => {
    for (const password of [
      'correct horse battery',
      'ÜBERGRÖSSENTRÄGERIN',
      '73948573920174857',
      'пароль из пяти слов',
    ]) {
      expect(await keys(password), password).to.equal('');
    }
  });

  it('refuses what many people use, in any case, repeated, in a row, or with common digits hung on', async () => {
    for (const password of [
      ...[
        'passwordpassword',
        'PasswordPassword',
        'q1w2e3r4t5y6u7i8',
        '1qaz2wsx3edc4rfv',
        'dragondragondragon',
      ],
      ...[
        'aaaaaaaaaaaaaaaa',
        'abcabcabcabcabcabc',
        '123412341234123412',
        'abcdefghijklmnop',
        '1234567890123456',
      ],
      ...['9876543210987654', 'sunshine12345678', 'Password1234567', 'butterfly000000'],
    ]) {
      expect(await keys(password), password).to.equal('password.too_common');
    }
    for (const password of ['iloveyou', 'password1', 'trustno1', 'qwertyuiop', '11111111']) {
      expect(await keys(password, withFactor), password).to.equal('password.too_common');
    }
  });

  it('holds at least the 3000 most common passwords', async () => {
    const { dictionary } = await import('@zxcvbn-ts/language-common');
    const words = dictionary['passwords-common'];
    expect(words.length).to.be.greaterThan(3000);
    const long = words.filter(word => [...word].length >= 8).slice(0, 300);
    for (const word of long) expect(await keys(word, withFactor), word).to.equal('password.too_common');
  });

  it('refuses the name of the service, of the person, and the address', async () => {
    for (const password of [
      ...['claviger is my server', 'CLAVIGER forever and', 'my hopper is a secret', 'grace under pressure'],
      ...['grace.hopper at work', 'x gracehopper x lamp', 'an amazing password'],
    ]) {
      expect(await keys(password), password).to.equal('password.contains_context');
    }
    const short = { ...owner, email: 'al@example.org', profile: { name: 'Al Li' } };
    expect(await keys('all lights always on', short)).to.equal('');
  });
});
