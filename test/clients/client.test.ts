import { expect } from 'chai';
import fc from 'fast-check';
import { type ClientInput, validateClient } from '../../src/clients/client.js';
import { STANDARD_METADATA } from '../../src/clients/client-metadata.js';
import { isAppError } from '../../src/errors.js';
import { type ResourceServer, resourceServerId } from '../../src/resources/resource-server.js';

function server(identifier: string, scopes: string[]): ResourceServer {
  return {
    id: resourceServerId(),
    identifier,
    name: identifier,
    scopes,
    scopeDescriptions: {},
    alg: 'ES256',
    accessTokenFor: 600,
    accessTokenFormat: 'jwt',
    revocation: 'none',
    introspectors: [],
    createdAt: 0,
    updatedAt: 0,
  };
}

const orders = server('https://api.example.com/orders', ['read', 'write']);
const stock = server('https://api.example.com/stock', ['count']);
const servers = [orders, stock];
const atOrders = { identifier: orders.identifier, scopes: ['read', 'write'] };
const atStock = { identifier: stock.identifier, scopes: ['count'] };

function faultsOf(input: object): string[] {
  try {
    validateClient({ name: 'reports', resources: [atOrders], ...input } as ClientInput, servers);
  } catch (error) {
    if (isAppError(error, 'invalid_request')) return error.faults.map(({ at }) => at);
    throw error;
  }
  return [];
}

describe('a client as it is written', () => {
  it('fills in the defaults: Basic, client_credentials, all its scopes, its only resource server', () => {
    expect(validateClient({ name: 'reports', resources: [atOrders] }, servers)).to.deep.equal({
      ...STANDARD_METADATA,
      name: 'reports',
      authMethod: 'client_secret_basic',
      grantTypes: ['client_credentials'],
      responseTypes: [],
      resources: [{ resourceId: orders.id, ...atOrders, defaultScopes: ['read', 'write'], isDefault: true }],
    });
  });

  it('takes an only resource server as the default, whatever is said', () => {
    const [only] = validateClient(
      { name: 'c', resources: [{ ...atOrders, isDefault: false }] },
      servers,
    ).resources;
    expect(only?.isDefault).to.equal(true);
  });

  it('has at most one default resource server, and none unless one is chosen of several', () => {
    const of = (first: object, second: object) =>
      validateClient(
        {
          name: 'c',
          resources: [
            { ...atOrders, ...first },
            { ...atStock, ...second },
          ],
        },
        servers,
      ).resources.map(({ isDefault }) => isDefault);
    expect(of({}, {})).to.deep.equal([false, false]);
    expect(of({}, { isDefault: true })).to.deep.equal([false, true]);
    const both = [
      { ...atOrders, isDefault: true },
      { ...atStock, isDefault: true },
    ];
    expect(faultsOf({ resources: both })).to.deep.equal(['resources[1].is_default']);
  });

  it('holds only scopes that exist at that resource server, and defaults only out of those it holds', () => {
    const at = (more: object) => faultsOf({ resources: [{ ...atOrders, ...more }] });
    expect(at({ scopes: ['read', 'count'] })).to.deep.equal(['resources[0].scopes[1]']);
    expect(at({ scopes: ['read', 'read'] })).to.deep.equal(['resources[0].scopes[1]']);
    expect(at({ scopes: ['openid'] })).to.deep.equal(['resources[0].scopes[0]']);
    expect(at({ scopes: 'read' })).to.deep.equal(['resources[0].scopes']);
    expect(at({ scopes: undefined })).to.deep.equal(['resources[0].scopes']);
    expect(at({ scopes: ['read'], defaultScopes: ['write'] })).to.deep.equal([
      'resources[0].default_scopes[0]',
    ]);
    expect(at({ scopes: ['read'], defaultScopes: [] })).to.deep.equal([]);
    expect(at({ scopes: [] })).to.deep.equal([]);
  });

  it('refuses unknown, doubled and too many resource servers', () => {
    expect(faultsOf({ resources: [{ identifier: 'https://x', scopes: [] }] })).to.deep.equal([
      'resources[0].identifier',
    ]);
    // Compared as an exact string (RFC 8707 §2).
    expect(faultsOf({ resources: [{ ...atOrders, identifier: `${orders.identifier}/` }] })).to.deep.equal([
      'resources[0].identifier',
    ]);
    expect(faultsOf({ resources: [atOrders, atOrders] })).to.deep.equal(['resources[1].identifier']);
    expect(faultsOf({ resources: Array.from({ length: 51 }, () => atOrders) })).to.deep.equal(['resources']);
    for (const resources of [undefined, null, 'x'])
      expect(faultsOf({ resources })).to.deep.equal(['resources']);
    expect(faultsOf({ resources: [null, 7] })).to.deep.equal(['resources[0]', 'resources[1]']);
  });

  it('refuses a public client in client_credentials (RFC 6749 §4.4), and methods that are not offered', () => {
    for (const authMethod of ['none', 'private_key_jwt', '', null, 7]) {
      const expected = authMethod === null ? [] : ['token_endpoint_auth_method'];
      expect(faultsOf({ authMethod }), String(authMethod)).to.deep.equal(expected);
    }
    expect(() => validateClient({ name: 'c', authMethod: 'none' as never, resources: [] }, servers)).to.throw(
      /public client cannot use client_credentials/,
    );
  });

  it('refuses grant types that are not offered, doubled ones and none at all (requirement 34)', () => {
    expect(faultsOf({ grantTypes: [] })).to.deep.equal(['grant_types']);
    expect(faultsOf({ grantTypes: 'client_credentials' })).to.deep.equal(['grant_types']);
    for (const grantType of ['password', 'implicit', '', null]) {
      expect(faultsOf({ grantTypes: [grantType] })).to.deep.equal(['grant_types[0]']);
    }
  });

  it('names every fault at once', () => {
    const input = {
      name: 'a\nb',
      grantTypes: ['password'],
      authMethod: 'none',
      resources: [{}, atStock, atStock],
    };
    expect(faultsOf(input)).to.deep.equal([
      ...['name', 'grant_types[0]', 'token_endpoint_auth_method'],
      ...['resources[0].identifier', 'resources[2].identifier'],
    ]);
  });

  it('never holds what its resource servers do not offer, whatever is sent', () => {
    const junk = fc.oneof(fc.anything(), fc.string({ unit: 'binary' }), fc.array(fc.anything()));
    const mostly = (likely: fc.Arbitrary<unknown>) =>
      fc.oneof({ weight: 9, arbitrary: likely }, { weight: 1, arbitrary: junk });
    const scopes = mostly(
      fc.uniqueArray(fc.constantFrom('read', 'write', 'count', 'openid'), { maxLength: 3 }),
    );
    const resource = fc.record(
      {
        identifier: mostly(fc.constantFrom(orders.identifier, stock.identifier)),
        scopes,
        defaultScopes: scopes,
        isDefault: mostly(fc.boolean()),
      },
      { requiredKeys: ['identifier', 'scopes'] },
    );
    const record = fc.record(
      {
        name: mostly(fc.string()),
        authMethod: mostly(fc.constantFrom('client_secret_basic', 'client_secret_post')),
        grantTypes: mostly(fc.constant(['client_credentials'])),
        resources: mostly(fc.array(mostly(resource), { maxLength: 2 })),
      },
      { requiredKeys: ['name', 'resources'] },
    );
    let accepted = 0;
    fc.assert(
      fc.property(record, input => {
        if (faultsOf(input).length > 0) return;
        const client = validateClient(input as ClientInput, servers);
        if (client.resources.length > 0) accepted += 1;
        for (const { resourceId, scopes: held, defaultScopes } of client.resources) {
          expect(servers.find(({ id }) => id === resourceId)?.scopes).to.include.members([...held]);
          expect(held).to.include.members([...defaultScopes]);
        }
        expect(client.resources.filter(({ isDefault }) => isDefault).length).to.be.at.most(1);
        expect(new Set(client.resources.map(({ resourceId }) => resourceId)).size).to.equal(
          client.resources.length,
        );
      }),
      { numRuns: 1000 },
    );
    expect(accepted).to.be.greaterThan(0);
  });
});
