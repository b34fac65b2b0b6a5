import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import { accountClient } from '../../src/clients/account-client.js';
import { type ClientInput, validateClient } from '../../src/clients/client.js';
import { STANDARD_METADATA } from '../../src/clients/client-metadata.js';
import { isAppError } from '../../src/errors.js';
import { ACR_ONE_FACTOR, ACR_TWO_FACTORS, SIGNING_ALGORITHMS } from '../../src/protocol.js';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const CIBA = 'urn:openid:params:grant-type:ciba';
const CB = 'https://client.example/cb';
const config = {
  isDevelopment: false,
  claimScopes: ['staff'],
  algorithms: SIGNING_ALGORITHMS,
  refreshTokens: { idleAfter: 1000, endAfter: 2000 },
};

function jwkOf(
  type: 'ec' | 'rsa' | 'ed25519',
  size: number | string = 2048,
  half: 'publicKey' | 'privateKey' = 'publicKey',
) {
  const pair =
    type === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: String(size) })
      : type === 'rsa'
        ? generateKeyPairSync('rsa', { modulusLength: Number(size) })
        : generateKeyPairSync('ed25519');
  return pair[half].export({ format: 'jwk' }) as Record<string, unknown>;
}

const valid = (input: object) =>
  validateClient({ name: 'shop', redirectUris: [CB], resources: [], ...input } as ClientInput, [], config);

function faultsOf(input: object): string[] {
  try {
    valid(input);
  } catch (error) {
    if (isAppError(error, 'invalid_request')) return error.faults.map(({ at }) => at);
    throw error;
  }
  return [];
}

describe('what a client registers for people', () => {
  it('gets the code flow with refresh tokens, PKCE and the usual scopes when it names redirect URIs', () => {
    expect(valid({})).to.deep.equal({
      ...STANDARD_METADATA,
      name: 'shop',
      authMethod: 'client_secret_basic',
      grantTypes: ['authorization_code', 'refresh_token'],
      responseTypes: ['code'],
      redirectUris: [CB],
      oidcScopes: ['openid', 'profile', 'email', 'offline_access'],
      resources: [],
    });
    expect(valid({ grantTypes: ['authorization_code'] }).oidcScopes).to.not.include('offline_access');
  });

  it('is public only with a grant for people, with PKCE, and without anything that a secret would prove', () => {
    const pub = (more: object = {}) => faultsOf({ authMethod: 'none', ...more });
    expect(pub()).to.deep.equal([]);
    expect(pub({ redirectUris: [], grantTypes: [DEVICE] })).to.deep.equal([]);
    expect(pub({ redirectUris: [], grantTypes: ['client_credentials'] })).to.include(
      'token_endpoint_auth_method',
    );
    expect(pub({ grantTypes: ['authorization_code', 'client_credentials'] })).to.include(
      'token_endpoint_auth_method',
    );
    expect(pub({ grantTypes: ['authorization_code', CIBA] })).to.include('token_endpoint_auth_method');
    expect(pub({ redirectUris: [], grantTypes: [CIBA] })).to.include('token_endpoint_auth_method');
    expect(pub({ redirectUris: [], grantTypes: ['refresh_token'] })).to.include('token_endpoint_auth_method');
    // RFC 9700 §2.1.1
    expect(pub({ requirePkce: false })).to.deep.equal(['require_pkce']);
    expect(faultsOf({ requirePkce: false })).to.deep.equal([]);
  });

  it('has redirect URIs exactly when it has the code grant, and refresh tokens only beside another grant', () => {
    expect(faultsOf({ redirectUris: [], grantTypes: ['authorization_code'] })).to.deep.equal([
      'redirect_uris',
    ]);
    expect(faultsOf({ grantTypes: ['client_credentials'] })).to.deep.equal(['redirect_uris']);
    expect(faultsOf({ redirectUris: [], grantTypes: ['client_credentials', 'refresh_token'] })).to.deep.equal(
      ['grant_types'],
    );
    expect(faultsOf({ redirectUris: [], grantTypes: [DEVICE, 'refresh_token'] })).to.deep.equal([]);
    expect(
      faultsOf({ redirectUris: [], grantTypes: ['client_credentials'], oidcScopes: ['openid'] }),
    ).to.deep.equal(['oidc_scopes']);
    expect(faultsOf({ grantTypes: ['authorization_code'], alwaysIssueRefreshToken: true })).to.deep.equal([
      'always_refresh',
    ]);
  });

  it('names at most 20 redirect URIs, each once and each good (requirements 1 to 4)', () => {
    expect(faultsOf({ redirectUris: [CB, 'javascript:alert(1)'] })).to.deep.equal(['redirect_uris[1]']);
    expect(faultsOf({ redirectUris: [CB, CB] })).to.deep.equal(['redirect_uris[1]']);
    expect(
      faultsOf({ redirectUris: Array.from({ length: 21 }, (_, index) => `${CB}${index}`) }),
    ).to.deep.equal(['redirect_uris']);
    expect(
      faultsOf({ postLogoutRedirectUris: ['DATA:text/html,x', 'http://client.example/'] }),
    ).to.deep.equal(['post_logout_redirect_uris[0]', 'post_logout_redirect_uris[1]']);
    for (const uri of ['javascript:alert(1)', 'VBSCRIPT:x', 'data:,x', '//client.example', 7]) {
      const uris = {
        clientUri: uri,
        logoUri: uri,
        policyUri: uri,
        tosUri: uri,
        initiateLoginUri: uri,
        backchannelLogoutUri: uri,
      };
      expect(faultsOf(uris), String(uri)).to.have.length(6);
    }
    expect(
      faultsOf({ initiateLoginUri: 'http://client.example/', logoUri: 'http://client.example/' }),
    ).to.have.length(2);
    expect(faultsOf({ redirectUris: 'x' })).to.include('redirect_uris');
  });

  it('answers by query and form_post, by signed responses when it says so, and never by fragment (requirement 9)', () => {
    expect(valid({}).responseModes).to.deep.equal(['query', 'form_post']);
    for (const mode of ['fragment', 'fragment.jwt', 'web_message', null, 7]) {
      expect(faultsOf({ responseModes: [mode] }), String(mode)).to.deep.equal(['response_modes[0]']);
    }
    expect(faultsOf({ responseModes: [] })).to.deep.equal(['response_modes']);
    expect(valid({ responseModes: ['jwt'] }).authorizationSignedResponseAlg).to.equal('RS256');
    const signed = valid({ authorizationSignedResponseAlg: 'ES256' });
    expect(signed.responseModes).to.include.members([
      'query.jwt',
      'form_post.jwt',
      'jwt',
      'query',
      'form_post',
    ]);
    expect(faultsOf({ authorizationSignedResponseAlg: 'ES256', responseModes: ['query'] })).to.deep.equal([
      'authorization_signed_response_alg',
    ]);
  });

  it('takes signatures that somebody else cannot make only: no "none" and no HS256', () => {
    for (const alg of ['none', 'HS256', 'PS512', '', 7]) {
      const algs = {
        idTokenSignedResponseAlg: alg,
        userinfoSignedResponseAlg: alg,
        requestObjectSigningAlg: alg,
      };
      expect(faultsOf(algs), String(alg)).to.include.members([
        ...['id_token_signed_response_alg', 'userinfo_signed_response_alg', 'request_object_signing_alg'],
      ]);
    }
  });

  it('gives its public keys, at most ten, and never a private or a shared one', () => {
    const ec = jwkOf('ec', 'P-256');
    const withKeys = (keys: unknown, requestObjectSigningAlg?: string) =>
      faultsOf({ jwks: { keys }, requestObjectSigningAlg });
    expect(
      withKeys([{ ...ec, kid: 'a', use: 'sig', alg: 'ES256' }, jwkOf('rsa'), jwkOf('ed25519')], 'ES256'),
    ).to.deep.equal([]);
    const { jwks } = valid({ jwks: { keys: [{ ...ec, x5u: 'https://evil.test', kid: 'a' }] } });
    expect(jwks?.keys).to.deep.equal([{ ...ec, kid: 'a' }]);
    expect(faultsOf({ requestObjectSigningAlg: 'ES256' })).to.deep.equal(['jwks']);
    expect(withKeys([ec], 'RS256')).to.deep.equal(['jwks']);
    expect(withKeys([])).to.deep.equal(['jwks']);
    expect(withKeys('x')).to.deep.equal(['jwks']);
    expect(withKeys(Array.from({ length: 11 }, () => ec))).to.deep.equal(['jwks']);
    expect(
      withKeys([
        { ...ec, kid: 'a' },
        { ...ec, kid: 'a' },
      ]),
    ).to.deep.equal(['jwks.keys[1]']);
    const wrong = [
      ...[
        jwkOf('ec', 'P-256', 'privateKey'),
        jwkOf('rsa', 2048, 'privateKey'),
        jwkOf('rsa', 1024),
        jwkOf('ec', 'P-521'),
      ],
      ...[
        { kty: 'oct', k: 'c2VjcmV0' },
        { ...ec, y: ec.x },
        { ...ec, x: undefined },
        { ...ec, use: 'enc' },
        { ...ec, alg: 'RS256' },
      ],
      ...[{ ...ec, kid: 7 }, { kty: 'constructor' }, {}, null, 'x', []],
    ];
    for (const key of wrong) expect(withKeys([key]), JSON.stringify(key)).to.deep.equal(['jwks.keys[0]']);
  });

  it('gets pairwise subjects by its one host, or by a sector that somebody names (OpenID Connect Core §8.1)', () => {
    const pairwise = (more: object = {}) => ({ subjectType: 'pairwise', ...more });
    expect(valid(pairwise()).sectorIdentifier).to.equal('client.example');
    const two = [CB, 'https://other.example/cb'];
    expect(faultsOf(pairwise({ redirectUris: two }))).to.deep.equal(['sector_identifier']);
    expect(
      valid(pairwise({ redirectUris: two, sectorIdentifier: 'shop.example' })).sectorIdentifier,
    ).to.equal('shop.example');
    expect(
      faultsOf(pairwise({ applicationType: 'native', redirectUris: ['com.example.app:/cb'] })),
    ).to.deep.equal(['sector_identifier']);
    for (const sectorIdentifier of [
      'https://shop.example',
      'shop.example/x',
      'a@shop.example',
      'SHOP.example',
      '',
      7,
    ]) {
      expect(faultsOf(pairwise({ sectorIdentifier })), String(sectorIdentifier)).to.deep.equal([
        'sector_identifier',
      ]);
    }
    expect(faultsOf({ sectorIdentifier: 'shop.example' })).to.deep.equal(['sector_identifier']);
    expect(faultsOf(pairwise({ grantTypes: ['authorization_code', DEVICE] }))).to.deep.equal([
      'subject_type',
    ]);
    expect(faultsOf({ subjectType: 'other' })).to.deep.equal(['subject_type']);
  });

  it('asks for what exists about a person: the scopes of OpenID Connect, groups and what the operator added', () => {
    expect(faultsOf({ oidcScopes: ['openid', 'groups', 'staff', 'phone'] })).to.deep.equal([]);
    expect(faultsOf({ oidcScopes: ['openid', 'orders.read', 'openid'] })).to.deep.equal([
      'oidc_scopes[1]',
      'oidc_scopes[2]',
    ]);
  });

  it('says which users may use it by groups and ids', () => {
    const userIds = [`us_${'a'.repeat(22)}`];
    expect(valid({ allowedUsers: { groups: ['staff'], userIds, x: 1 } }).allowedUsers).to.deep.equal({
      groups: ['staff'],
      userIds,
    });
    expect(valid({ allowedUsers: { groups: ['staff'] } }).allowedUsers).to.deep.equal({
      groups: ['staff'],
      userIds: [],
    });
    expect(faultsOf({ allowedUsers: { groups: ['a\nb'], userIds: ['ada'] } })).to.deep.equal([
      'allowed_users.groups[0]',
      'allowed_users.user_ids[0]',
    ]);
    for (const allowedUsers of ['none', 7])
      expect(faultsOf({ allowedUsers })).to.deep.equal(['allowed_users']);
  });

  it('lets the scripts of its own origins call when it is public, and none otherwise (requirement 25)', () => {
    const redirectUris = [CB, 'https://client.example/other', 'http://127.0.0.1:3000/cb'];
    expect(valid({ redirectUris }).corsOrigins).to.deep.equal([]);
    expect(valid({ redirectUris, authMethod: 'none' }).corsOrigins).to.deep.equal([
      'https://client.example',
      'http://127.0.0.1:3000',
    ]);
    expect(valid({ authMethod: 'none', corsOrigins: [] }).corsOrigins).to.deep.equal([]);
    expect(faultsOf({ corsOrigins: ['*', 'null', 'https://a.example/x'] })).to.have.length(3);
  });

  it('may shorten the lives of refresh tokens, not lengthen them (requirements 49 and 54)', () => {
    expect(faultsOf({ refreshTokenIdleAfter: 1000, refreshTokenEndAfter: 2000 })).to.deep.equal([]);
    expect(faultsOf({ refreshTokenIdleAfter: 1001, refreshTokenEndAfter: 2001 })).to.deep.equal([
      'refresh_token_idle_after',
      'refresh_token_end_after',
    ]);
    expect(faultsOf({ refreshTokenIdleAfter: 900, refreshTokenEndAfter: 800 })).to.deep.equal([
      'refresh_token_idle_after',
    ]);
    expect(faultsOf({ defaultMaxAge: -1 })).to.deep.equal(['default_max_age']);
    expect(faultsOf({ defaultMaxAge: 0, defaultAcrValues: [ACR_TWO_FACTORS, ACR_ONE_FACTOR] })).to.deep.equal(
      [],
    );
    expect(faultsOf({ defaultAcrValues: ['gold'] })).to.deep.equal(['default_acr_values[0]']);
  });

  it('is checked whatever is sent in place of a value', () => {
    for (const junk of [7, 'x', {}, [{}], [null], true]) {
      for (const field of Object.keys(STANDARD_METADATA)) {
        try {
          valid({ [field]: junk });
        } catch (error) {
          expect(isAppError(error, 'invalid_request'), `${field} ${String(error)}`).to.equal(true);
        }
      }
    }
  });

  it('keeps the response type none for the client of the account pages', () => {
    const client = accountClient('https://issuer.example');
    expect(client).to.deep.include({
      responseTypes: ['none'],
      authMethod: 'none',
      isFirstParty: true,
      redirectUris: ['https://issuer.example/account/callback'],
    });
    expect(valid({ responseTypes: ['none'] }).responseTypes).to.deep.equal(['code']);
  });
});
