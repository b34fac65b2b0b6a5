import { expect } from 'chai';
import { kidReader } from '../../src/oidc/events.js';

function jwt(header: object): string {
  return `${Buffer.from(JSON.stringify(header)).toString('base64url')}.e30.c2ln`;
}

describe('the kid of a token that was just signed', () => {
  it('is read from its header once, however many tokens begin with the same one', () => {
    const kidOf = kidReader();
    const token = jwt({ alg: 'ES256', typ: 'at+jwt', kid: 'one' });
    const parse = JSON.parse;
    let parsed = 0;
    JSON.parse = (...given: Parameters<typeof parse>) => {
      parsed += 1;
      return parse(...given);
    };
    try {
      for (let count = 0; count < 100; count += 1) expect(kidOf(token)).to.equal('one');
    } finally {
      JSON.parse = parse;
    }
    expect(parsed).to.equal(1);
  });

  it('is that of each token, also after more keys than are remembered', () => {
    const kidOf = kidReader();
    for (let key = 0; key < 200; key += 1) {
      expect(kidOf(jwt({ alg: 'ES256', kid: `k${key}` }))).to.equal(`k${key}`);
      expect(kidOf(jwt({ alg: 'ES256', kid: 'k0' }))).to.equal('k0');
    }
  });

  it('is nothing for an opaque token, none at all and a header without one', () => {
    const kidOf = kidReader();
    expect([kidOf('opaque'), kidOf(undefined), kidOf(jwt({ alg: 'ES256' }))]).to.deep.equal([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
