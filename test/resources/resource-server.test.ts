import { expect } from 'chai';
import fc from 'fast-check';
import { isAppError } from '../../src/errors.js';
import { OIDC_SCOPES, SCOPE_TOKEN } from '../../src/protocol.js';
import { type ResourceServerInput, validateResourceServer } from '../../src/resources/resource-server.js';

const good: ResourceServerInput = {
  identifier: 'https://api.example.com/orders',
  scopes: ['orders:read', 'orders:write'],
  accessTokenFor: 600,
};

function faultsOf(input: object): string[] {
  try {
    validateResourceServer({ ...good, ...input } as ResourceServerInput);
  } catch (error) {
    if (isAppError(error, 'invalid_request')) return error.faults.map(({ at }) => at);
    throw error;
  }
  return [];
}

describe('a resource server as it is written', () => {
  it('fills in the defaults: named after its identifier, ES256, JWT, no introspectors', () => {
    expect(validateResourceServer(good)).to.deep.equal({
      ...good,
      name: good.identifier,
      scopeDescriptions: {},
      alg: 'ES256',
      accessTokenFormat: 'jwt',
      revocation: 'none',
      introspectors: [],
    });
  });

  it('is identified by an absolute URI without a fragment (RFC 8707 §2)', () => {
    for (const identifier of [
      'https://api.example.com',
      'urn:example:orders',
      'api://orders',
      'https://a/?x=1',
    ]) {
      expect(faultsOf({ identifier }), identifier).to.deep.equal([]);
    }
    const refused = [
      ...['', '/orders', 'api.example.com', 'https://api.example.com/#orders', 'https://api.example.com/#'],
      ...[
        'https://a b/',
        'https://a/\n',
        'https://a/\0',
        'https://ä/',
        'https://',
        'https://a/%zz',
        ':x',
        'x:',
      ],
      ...['https://user:password@a/', 'https://user@a/', `https://a/${'x'.repeat(600)}`, 7, null, undefined],
    ];
    for (const identifier of refused) {
      expect(faultsOf({ identifier }), String(identifier)).to.deep.equal(['identifier']);
    }
  });

  it('keeps the identifier as the exact string that was given', () => {
    const identifier = 'HTTPS://API.example.com:443/a/../b';
    expect(validateResourceServer({ ...good, identifier }).identifier).to.equal(identifier);
  });

  it('refuses scopes outside the grammar of RFC 6749 §3.3, doubled ones and those of OpenID Connect', () => {
    for (const scope of [
      '',
      'a b',
      'a"b',
      'a\\b',
      'a\n',
      'ä',
      'x'.repeat(129),
      7,
      null,
      ...OIDC_SCOPES,
      'groups',
    ]) {
      expect(faultsOf({ scopes: ['fine', scope] }), String(scope)).to.deep.equal(['scopes[1]']);
    }
    expect(faultsOf({ scopes: ['a', 'b', 'a'] })).to.deep.equal(['scopes[2]']);
    expect(faultsOf({ scopes: 'orders:read' })).to.deep.equal(['scopes']);
    const many = Array.from({ length: 201 }, (_, index) => `s${index}`);
    expect(faultsOf({ scopes: many })).to.deep.equal(['scopes']);
    expect(faultsOf({ scopes: many.slice(1) })).to.deep.equal([]);
  });

  it('refuses names with control characters, direction marks or nothing to read', () => {
    for (const name of [
      '',
      '  ',
      'a\nb',
      'a\u0000',
      'a\u001b[31m',
      'a\u202eb',
      'a\u2028',
      '\ud800',
      'x'.repeat(121),
      7,
    ]) {
      expect(faultsOf({ name }), JSON.stringify(name)).to.deep.equal(['name']);
    }
    expect(faultsOf({ name: 'Bestellungen – Küche 🍲' })).to.deep.equal([]);
  });

  it('keeps the life of access tokens between a minute and an hour, or the lower limit of the configuration', () => {
    for (const accessTokenFor of [59, 3601, 600.5, Number.NaN, '600', undefined]) {
      expect(faultsOf({ accessTokenFor }), String(accessTokenFor)).to.deep.equal(['access_token_for']);
    }
    expect(validateResourceServer({ ...good, accessTokenFor: 3600 }).accessTokenFor).to.equal(3600);
    // Retained keys stay published for the configured longest life: a longer one would outlive its key.
    expect(() => validateResourceServer({ ...good, accessTokenFor: 601 }, 600)).to.throw(/60 to 600/);
    expect(() => validateResourceServer({ ...good, accessTokenFor: 3601 }, 9999)).to.throw(/60 to 3600/);
  });

  it('describes only its own scopes, in languages that the pages have, in a short line of text', () => {
    const described = (texts: unknown, scope = 'orders:read') =>
      faultsOf({ scopeDescriptions: Object.fromEntries([[scope, texts]]) });
    expect(described({ en: 'Read your orders', de: 'Ihre Bestellungen lesen – alle' })).to.deep.equal([]);
    for (const text of ['', ' ', 'a\nb', 'a\u202eb', 'x'.repeat(201), 7, null]) {
      expect(described({ en: text }), String(text)).to.deep.equal(['scope_descriptions.orders:read.en']);
    }
    expect(described({ fr: 'Lire' })).to.deep.equal(['scope_descriptions.orders:read.fr']);
    expect(described({ en: 'Burn' }, 'orders:burn')).to.deep.equal(['scope_descriptions.orders:burn']);
    expect(described({ en: 'x' }, '__proto__')).to.deep.equal(['scope_descriptions.__proto__']);
    for (const texts of ['x', null, ['x']]) {
      expect(described(texts)).to.deep.equal(['scope_descriptions.orders:read']);
    }
    for (const scopeDescriptions of ['x', ['x'], 7]) {
      expect(faultsOf({ scopeDescriptions })).to.deep.equal(['scope_descriptions']);
    }
  });

  it('has status lists for JWTs only: an opaque token is looked up anyway', () => {
    expect(faultsOf({ revocation: 'status-list' })).to.deep.equal([]);
    expect(faultsOf({ revocation: 'status-list', accessTokenFormat: 'opaque' })).to.deep.equal([
      'revocation',
    ]);
  });

  it('names every fault at once', () => {
    const faults = faultsOf({
      identifier: '#',
      name: '',
      scopes: ['openid', ''],
      alg: 'none',
      accessTokenFor: 0,
      accessTokenFormat: 'xml',
      revocation: 'mail' as never,
      introspectors: ['me', 'cl_0123456789abcdefghijKL', 'cl_0123456789abcdefghijKL'],
    });
    expect(faults).to.deep.equal([
      ...['identifier', 'name', 'scopes[0]', 'scopes[1]', 'alg', 'access_token_for', 'access_token_format'],
      ...['revocation', 'introspectors[0]', 'introspectors[2]'],
    ]);
  });

  it('is accepted only as the rules say, and refused only as invalid_request, whatever is sent', () => {
    const junk = fc.oneof(fc.anything(), fc.string({ unit: 'binary' }), fc.array(fc.string()), fc.integer());
    const mostly = (likely: fc.Arbitrary<unknown>) =>
      fc.oneof({ weight: 9, arbitrary: likely }, { weight: 1, arbitrary: junk });
    const record = fc.record(
      {
        identifier: mostly(fc.webUrl({ withFragments: true })),
        name: mostly(fc.string()),
        scopes: mostly(fc.array(fc.string({ maxLength: 3 }), { maxLength: 3 })),
        alg: mostly(fc.constantFrom('ES256', 'RS256')),
        accessTokenFor: mostly(fc.integer({ min: 0, max: 4000 })),
        accessTokenFormat: mostly(fc.constantFrom('jwt', 'opaque')),
        introspectors: mostly(fc.constant([])),
      },
      { requiredKeys: [] },
    );
    let accepted = 0;
    fc.assert(
      fc.property(record, input => {
        const full = { ...good, ...input } as ResourceServerInput;
        if (faultsOf(full).length > 0) return;
        accepted += 1;
        const server = validateResourceServer(full);
        expect(server.identifier)
          .to.match(/^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/i)
          .and.not.include('#');
        expect(new Set(server.scopes).size).to.equal(server.scopes.length);
        for (const scope of server.scopes) expect(scope).to.match(SCOPE_TOKEN);
        expect(server.accessTokenFor).to.be.within(60, 3600);
        expect(JSON.parse(JSON.stringify(server))).to.deep.equal(server);
      }),
      { numRuns: 1000 },
    );
    expect(accepted).to.be.greaterThan(0);
  });
});
