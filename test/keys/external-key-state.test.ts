import { expect } from 'chai';
import { applyTransition, assertInvariants } from '../../src/keys/key-state.js';
import type { NewSigningKey, Ring } from '../../src/keys/signing-key.js';
import { EMPTY, T0 } from './rings.js';

function elsewhere(kid: string): NewSigningKey {
  const external = { place: 'pkcs11', reference: `ref-${kid}` } as const;
  return { kid, alg: 'ES256', publicJwk: { kty: 'EC' }, external };
}

describe('a key whose private half is elsewhere', () => {
  const create = { kind: 'create', algorithms: ['ES256'] } as const;
  const first = applyTransition(EMPTY, create, T0, [elsewhere('a'), elsewhere('b')]);

  it('goes through every state with its reference and with nothing sealed', () => {
    const activate = { kind: 'activate', kid: 'b', alg: 'ES256', demotes: 'a', announces: true } as const;
    const rotated = applyTransition(first, activate, T0 + 1, [elsewhere('c')]);
    const retired = applyTransition(rotated, { kind: 'retire', kid: 'a', alg: 'ES256' }, T0 + 2);
    const revoke = { kind: 'revoke', kid: 'b', alg: 'ES256', activates: 'c', announces: false } as const;
    const revoked = applyTransition(retired, revoke, T0 + 3);
    expect(revoked.keys.map(({ kid, state, external }) => [kid, state, external?.reference])).to.deep.equal([
      ['a', 'retired', 'ref-a'],
      ['b', 'revoked', 'ref-b'],
      ['c', 'active', 'ref-c'],
    ]);
    expect(revoked.keys.every(({ sealedPrivate }) => sealedPrivate === undefined)).to.equal(true);
  });

  it('is refused with something sealed beside it, and a key that is here without', () => {
    const changed = (change: object): Ring => ({
      ...first,
      keys: first.keys.map(key => (key.kid === 'a' ? { ...key, ...change } : key)),
    });
    expect(() => assertInvariants(changed({ sealedPrivate: 'v1.x' }))).to.throw(TypeError);
    expect(() => assertInvariants(changed({ external: undefined })), 'control').to.throw(/lost/);
    expect(() => assertInvariants(first)).to.not.throw();
  });
});
