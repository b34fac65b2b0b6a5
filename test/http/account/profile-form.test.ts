import { expect } from 'chai';
import { profileFields, readProfileForm } from '../../../src/http/account/profile-form.js';
import type { Profile } from '../../../src/users/user.js';

function read(fields: Readonly<Record<string, string>>, before: Profile = {}) {
  return readProfileForm(before, name => fields[name]);
}

describe('the profile form', () => {
  const GOOD: readonly (readonly [claim: string, typed: string, kept: string])[] = [
    ['name', '  Ada Lovelace ', 'Ada Lovelace'],
    ['name', 'Jose\u0301', 'Jos\u00e9'],
    ['birthdate', '1815-12-10', '1815-12-10'],
    ['birthdate', '1815', '1815'],
    ['birthdate', '0000-02-29', '0000-02-29'],
    ['birthdate', '2000-02-29', '2000-02-29'],
    ['locale', 'de_at', 'de-AT'],
    ['locale', 'EN', 'en'],
    ['zoneinfo', 'europe/berlin', 'Europe/Berlin'],
    ['website', 'https://ada.example.test/about', 'https://ada.example.test/about'],
    ['phone_number', '+49 (30) 123-4567', '+49301234567'],
  ];
  for (const [claim, typed, kept] of GOOD) {
    it(`keeps ${claim} ${JSON.stringify(typed)} as ${kept} (OpenID Connect Core §5.1)`, () => {
      const { profile, faults } = read({ [claim]: typed });
      expect(faults).to.deep.equal([]);
      expect(profile).to.deep.equal({ [claim]: kept });
    });
  }

  const BAD: readonly (readonly [claim: string, typed: string])[] = [
    ['name', 'Ada\u202eecalevoL'],
    ['name', 'Ada\nBcc: all'],
    ['birthdate', '2001-02-29'],
    ['birthdate', '1815-13-01'],
    ['birthdate', '10.12.1815'],
    ['birthdate', '9999-01-01'],
    ['locale', 'x'],
    ['locale', 'en;q=1'],
    ['zoneinfo', 'Europe/Atlantis'],
    ['website', 'http://ada.example.test'],
    ['website', 'javascript:alert(1)'],
    ['website', 'https://user:pw@ada.example.test'],
    ['phone_number', '030 1234567'],
    ['phone_number', '+49 30 123456789012345'],
  ];
  for (const [claim, typed] of BAD) {
    it(`refuses ${claim} ${JSON.stringify(typed)}`, () => {
      const { profile, faults, typed: again } = read({ [claim]: typed });
      expect(faults.map(({ field }) => field)).to.deep.equal([claim]);
      expect(profile).to.deep.equal({});
      expect(again[claim]).to.be.a('string');
    });
  }

  it('bounds every text', () => {
    for (const claim of ['name', 'nickname', 'gender', 'website']) {
      const text = claim === 'website' ? `https://a.test/${'a'.repeat(600)}` : 'a'.repeat(600);
      expect(read({ [claim]: text }).faults.map(({ message }) => message)).to.deep.equal([
        claim === 'name' ? 'name.too_long' : 'profile.too_long',
      ]);
    }
  });

  it('names every fault at once', () => {
    const { faults } = read({ phone_number: '1', website: 'ftp://x', name: 'a'.repeat(600) });
    expect(faults.map(({ field }) => field)).to.have.members(['phone_number', 'website', 'name']);
  });

  it('leaves what it does not have, and forgets what was emptied', () => {
    const before: Profile = { name: 'Ada', nickname: 'A', address: { country: 'GB' } };
    expect(read({ name: 'Ada L', nickname: '' }, before).profile).to.deep.equal({
      name: 'Ada L',
      address: { country: 'GB' },
    });
  });

  it('cannot mark a number as verified, and a new number loses the mark of the old one', () => {
    const before: Profile = { phone_number: '+4930111111', phone_number_verified: true };
    expect(read({ phone_number: '+4930111111' }, before).profile).to.deep.equal(before);
    expect(
      read({ phone_number: '+4930222222', phone_number_verified: 'true' }, before).profile,
    ).to.deep.equal({
      phone_number: '+4930222222',
    });
    expect(read({ email: 'x@example.test', sub: 'us_x' }).profile).to.deep.equal({});
  });

  it('lets a value stay that an operator imported in another form', () => {
    const before: Profile = { website: 'http://old.example.test', phone_number: '030 1234567' };
    const fields = { website: 'http://old.example.test', phone_number: '030 1234567', name: 'Ada' };
    expect(read(fields, before)).to.deep.include({ faults: [], profile: { ...before, name: 'Ada' } });
  });

  it('shows the usual claims always, and others to whom has them', () => {
    expect(Object.keys(profileFields({})))
      .to.include('name')
      .and.not.include('gender');
    expect(profileFields({ gender: 'f', name: 'Ada' }, { name: 'typed' })).to.include({
      gender: 'f',
      name: 'typed',
    });
  });
});
