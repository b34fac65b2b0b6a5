import { createHmac } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  CompactSign,
  decodeJwt,
  exportJWK,
  exportSPKI,
  generateSecret,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';
import type { VerificationErrorCode } from '../../src/verifier/errors.js';
import { createVerifier, type VerifierOptions } from '../../src/verifier/verify-access-token.js';
import {
  AUDIENCE,
  claimsAt,
  encoded,
  forge,
  IssuerServer,
  makeKey,
  makeToken,
  TestClock,
  type TestKey,
  type TokenChanges,
} from './issuer-server.js';
import { expectRefusal, refusal } from './refusal.js';

describe('access token verifier', () => {
  let server: IssuerServer;
  let clock: TestClock;
  let es: TestKey;
  let rs: TestKey;
  let foreign: TestKey;

  before(async () => {
    server = await IssuerServer.start();
    es = await makeKey('ES256', 'es');
    rs = await makeKey('RS256', 'rs');
    foreign = await makeKey('ES256', 'es');
  });
  after(() => server.close());
  beforeEach(() => {
    clock = new TestClock();
    server.keys = [es.jwk, rs.jwk];
  });

  const make = (options: Partial<VerifierOptions> = {}) =>
    createVerifier({ issuer: server.issuer, audience: AUDIENCE, now: clock.now, ...options });
  const token = (changes: TokenChanges = {}, key = es) => makeToken(key, server.issuer, clock, changes);
  const header = (changes: Record<string, unknown> = {}) => ({
    alg: 'ES256',
    kid: 'es',
    typ: 'at+jwt',
    ...changes,
  });
  const claims = (changes: Record<string, unknown> = {}) => ({
    ...claimsAt(server.issuer, clock.seconds),
    ...changes,
  });

  describe('accepts', () => {
    for (const alg of ['ES256', 'RS256', 'PS256', 'EdDSA']) {
      it(`a token signed with ${alg} and returns its claims (RFC 9068 §4)`, async () => {
        const key = await makeKey(alg, `key-${alg}`);
        server.keys = [key.jwk];
        const accepted = await make().verify(await token({}, key));
        expect(accepted).to.deep.equal(claims());
        expect(accepted).to.be.frozen;
      });
    }

    const good: Record<string, TokenChanges> = {
      'typ application/at+jwt (RFC 9068 §4)': { header: { typ: 'application/at+jwt' } },
      'typ in another case (RFC 7515 §4.1.9)': { header: { typ: 'AT+JWT' } },
      'an audience among others': { claims: { aud: ['https://other.example', AUDIENCE] } },
      'a token without scope': { without: ['scope'] },
      'nbf in the past': { claims: { nbf: 1 } },
    };
    for (const [fact, changes] of Object.entries(good)) {
      it(fact, async () => {
        expect(await make().verify(await token(changes))).to.include({ jti: 'a1' });
      });
    }

    it('a clock that differs by less than the tolerance, and no more', async () => {
      const verifier = make({ clockToleranceFor: 10 });
      const ahead = await token({ claims: { iat: clock.seconds + 10, nbf: clock.seconds + 10 } });
      await verifier.verify(ahead);
      const expired = await token({ claims: { exp: clock.seconds - 9 } });
      await verifier.verify(expired);
      clock.pass(1);
      await expectRefusal(verifier.verify(expired), 'expired');
    });
  });

  const signed: readonly (readonly [string, VerificationErrorCode, () => TokenChanges])[] = [
    ['typ JWT', 'type_wrong', () => ({ header: { typ: 'JWT' } })],
    ['no typ: an ID token (RFC 8725 §3.11)', 'type_wrong', () => ({ header: { typ: undefined } })],
    ['typ logout+jwt', 'type_wrong', () => ({ header: { typ: 'logout+jwt' } })],
    ['no kid', 'key_unknown', () => ({ header: { kid: undefined } })],
    ['an empty kid', 'key_unknown', () => ({ header: { kid: '' } })],
    ['a kid that is no string', 'key_unknown', () => ({ header: { kid: ['es'] } })],
    ['a kid of 300 characters', 'key_unknown', () => ({ header: { kid: 'k'.repeat(300) } })],
    ['an unpublished kid', 'key_unknown', () => ({ header: { kid: 'nobody' } })],
    ['a kid named like a property of objects', 'key_unknown', () => ({ header: { kid: '__proto__' } })],
    ['another audience', 'audience_wrong', () => ({ claims: { aud: 'https://other.example' } })],
    ['other audiences', 'audience_wrong', () => ({ claims: { aud: ['https://other.example', 'x'] } })],
    ['no audience in the list', 'audience_wrong', () => ({ claims: { aud: [] } })],
    ['an audience that only begins like ours', 'audience_wrong', () => ({ claims: { aud: `${AUDIENCE}/` } })],
    ['an audience nested in a list', 'audience_wrong', () => ({ claims: { aud: [[AUDIENCE]] } })],
    ['a foreign issuer', 'issuer_wrong', () => ({ claims: { iss: 'https://evil.example' } })],
    ['our issuer with a slash', 'issuer_wrong', () => ({ claims: { iss: `${server.issuer}/` } })],
    ['our issuer in a list', 'issuer_wrong', () => ({ claims: { iss: [server.issuer] } })],
    ['exp in the past', 'expired', () => ({ claims: { exp: clock.seconds - 11 } })],
    ['exp now, beyond tolerance', 'expired', () => ({ claims: { exp: clock.seconds - 10 } })],
    ['nbf in the future', 'not_yet_valid', () => ({ claims: { nbf: clock.seconds + 60 } })],
    ['iat in the future', 'not_yet_valid', () => ({ claims: { iat: clock.seconds + 60 } })],
    ...['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'].map(
      name => [`no ${name} (RFC 9068 §2.2)`, 'claim_missing', () => ({ without: [name] })] as const,
    ),
    ['exp as text', 'claim_invalid', () => ({ claims: { exp: String(clock.seconds + 60) } })],
    ['iat as text', 'claim_invalid', () => ({ claims: { iat: '1' } })],
    ['sub that is null', 'claim_invalid', () => ({ claims: { sub: null } })],
    ['an empty client_id', 'claim_invalid', () => ({ claims: { client_id: '' } })],
    ['jti that is a number', 'claim_invalid', () => ({ claims: { jti: 7 } })],
    ['scope as a list', 'claim_invalid', () => ({ claims: { scope: ['orders:read'] } })],
    ['cnf: bound to a key (RFC 9449 §7.2)', 'sender_constrained', () => ({ claims: { cnf: { jkt: 'x' } } })],
    ['cnf that is null', 'sender_constrained', () => ({ claims: { cnf: null } })],
  ];
  describe('refuses a token with a good signature and', () => {
    for (const [fact, code, changes] of signed) {
      it(`${fact}: ${code}`, async () => {
        await expectRefusal(make().verify(await token(changes())), code);
      });
    }

    it('exp beyond all numbers: claim_invalid', async () => {
      const text = JSON.stringify(claims({ exp: 1 })).replace('"exp":1', '"exp":1e999');
      const sealed = await new CompactSign(Buffer.from(text))
        .setProtectedHeader(header())
        .sign(es.privateKey);
      await expectRefusal(make().verify(sealed), 'claim_invalid');
    });

    it('a payload that is no JSON object: token_malformed', async () => {
      for (const text of ['[]', '1', 'null', '{', '']) {
        const sealed = await new CompactSign(Buffer.from(text))
          .setProtectedHeader(header())
          .sign(es.privateKey);
        await expectRefusal(make().verify(sealed), 'token_malformed');
      }
    });

    it('crit, even if it names something harmless: header_refused (RFC 7515 §4.1.11)', async () => {
      const critical = await new SignJWT(claims())
        .setProtectedHeader({ ...header({ 'urn:x': 1 }), alg: 'ES256', crit: ['urn:x'] })
        .sign(es.privateKey, { crit: { 'urn:x': true } });
      await expectRefusal(make().verify(critical), 'header_refused');
    });
  });

  describe('refuses a forged token with', () => {
    const attempts: readonly (readonly [string, VerificationErrorCode, () => string | Promise<string>])[] = [
      ['alg none', 'algorithm_refused', () => forge(header({ alg: 'none' }), claims())],
      ['alg none without signature', 'token_malformed', () => forge(header({ alg: 'none' }), claims(), '')],
      ['alg nOnE', 'algorithm_refused', () => forge(header({ alg: 'nOnE' }), claims())],
      ['no alg', 'algorithm_refused', () => forge(header({ alg: undefined }), claims())],
      ['an alg that is a list', 'algorithm_refused', () => forge(header({ alg: ['ES256'] }), claims())],
      ['an alg that was not chosen', 'algorithm_refused', () => forge(header({ alg: 'ES512' }), claims())],
      ['an empty signature', 'token_malformed', () => forge(header(), claims(), '')],
      ['a made-up signature', 'signature_invalid', () => forge(header(), claims(), Buffer.alloc(64, 1))],
      ['an all-zero signature', 'signature_invalid', () => forge(header(), claims(), Buffer.alloc(64))],
      ['a signature of the wrong length', 'signature_invalid', () => forge(header(), claims(), 'shorty')],
      ['somebody else’s key under our kid', 'signature_invalid', () => token({}, foreign)],
      ['an embedded jwk', 'header_refused', () => token({ header: { jwk: foreign.jwk } }, foreign)],
      ['a jku', 'header_refused', () => token({ header: { jku: 'https://evil.example/jwks' } }, foreign)],
      ['an x5u', 'header_refused', () => token({ header: { x5u: 'https://evil.example/cert' } }, foreign)],
      ['an x5c', 'header_refused', () => token({ header: { x5c: ['AAAA'] } }, foreign)],
      ['an EC key’s kid and an RSA algorithm', 'key_unsuitable', () => token({ header: { kid: 'es' } }, rs)],
      ['an RSA key’s kid and an EC algorithm', 'key_unsuitable', () => token({ header: { kid: 'rs' } }, es)],
      ['five parts: an encrypted token', 'token_malformed', () => 'a.b.c.d.e'],
      ['two parts', 'token_malformed', () => 'a.b'],
      ['garbage', 'token_malformed', () => 'not a token'],
      ['nothing', 'token_malformed', () => ''],
      ['padding', 'token_malformed', async () => `${await token()}=`],
      ['a line break', 'token_malformed', async () => `${await token()}\n`],
      ['a header that is a list', 'token_malformed', () => forge([], claims())],
      ['a header that is no JSON', 'token_malformed', () => forge('{', claims())],
    ];
    for (const [fact, code, attempt] of attempts) {
      it(`${fact}: ${code}`, async () => {
        await expectRefusal(make().verify(await attempt()), code);
      });
    }

    it('one changed claim: signature_invalid', async () => {
      const [head, , signature] = (await token()).split('.');
      const changed = `${head}.${encoded(claims({ scope: 'admin' }))}.${signature}`;
      await expectRefusal(make().verify(changed), 'signature_invalid');
    });

    it('another spelling of a good signature; control: jose alone accepts it (RFC 4648 §3.5)', async () => {
      const good = await token();
      const spelt = good.slice(0, -1) + String.fromCharCode(good.charCodeAt(good.length - 1) + 1);
      await expectRefusal(make().verify(spelt), 'token_malformed');
      await jwtVerify(spelt, es.publicKey, { currentDate: new Date(clock.at) });
    });

    it('more than 16 KiB: token_too_long, before anything is decoded', async () => {
      const long = await token({ claims: { padding: 'x'.repeat(16 * 1024) } });
      await expectRefusal(make().verify(long), 'token_too_long');
      const shorter = await token({ claims: { padding: 'x'.repeat(8 * 1024) } });
      await make().verify(shorter);
    });

    it('something that is no text at all: token_malformed', async () => {
      for (const value of [undefined, null, 7, {}, [], Buffer.from('a.b.c')])
        await expectRefusal(make().verify(value as string), 'token_malformed');
    });

    it('HS256 under our public key; control: a verifier that lets the token choose accepts it (RFC 8725 §2.1)', async () => {
      const pem = await exportSPKI(rs.publicKey);
      const input = `${encoded(header({ alg: 'HS256', kid: 'rs' }))}.${encoded(claims())}`;
      const attack = `${input}.${createHmac('sha256', pem).update(input).digest('base64url')}`;
      await expectRefusal(make().verify(attack), 'algorithm_refused');
      const naive = await jwtVerify(attack, Buffer.from(pem), { currentDate: new Date(clock.at) });
      expect(naive.payload.sub).to.equal('cl_service');
    });

    it('the typ of an ID token; control: without the check of typ it passes for an access token', async () => {
      const idToken = await token({ header: { typ: 'JWT' } });
      await expectRefusal(make().verify(idToken), 'type_wrong');
      const naive = await jwtVerify(idToken, es.publicKey, {
        issuer: server.issuer,
        audience: AUDIENCE,
        currentDate: new Date(clock.at),
      });
      expect(naive.payload.sub).to.equal('cl_service');
    });
  });

  describe('refuses a published key that', () => {
    const unsuitable: Record<string, (jwk: JWK) => JWK[]> = {
      'is for encryption': jwk => [{ ...jwk, use: 'enc' }],
      'is for another algorithm': jwk => [{ ...jwk, alg: 'ES384' }],
      'may only sign': jwk => [{ ...jwk, key_ops: ['sign'] }],
      'has key_ops that are no list': jwk => [{ ...jwk, key_ops: 'verify' as unknown as string[] }],
      'has another curve': jwk => [{ ...jwk, crv: 'P-384' }],
      'has another kind': jwk => [{ ...jwk, kty: 'RSA' }],
      'is damaged': jwk => [{ ...jwk, x: 'AAAA' }],
      'shares its kid with another of its kind': jwk => [jwk, foreign.jwk],
      'is a secret': jwk => [{ kty: 'oct', k: 'AAAA', kid: String(jwk.kid) }],
    };
    for (const [fact, change] of Object.entries(unsuitable)) {
      it(`${fact}: key_unsuitable (RFC 7517 §4)`, async () => {
        server.keys = change(es.jwk);
        await expectRefusal(make().verify(await token()), 'key_unsuitable');
      });
    }

    it('is published with its private half: key_unsuitable', async () => {
      server.keys = [{ ...(await exportJWK(es.privateKey)), kid: 'es', alg: 'ES256', use: 'sig' }];
      await expectRefusal(make().verify(await token()), 'key_unsuitable');
    });

    it('is an RSA key of 1024 bits: key_unsuitable (RFC 7518 §3.3)', async () => {
      const { generateKeyPairSync, createSign } = await import('node:crypto');
      const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
      server.keys = [
        { ...publicKey.export({ format: 'jwk' }), kid: 'small', alg: 'RS256', use: 'sig' } as JWK,
      ];
      const input = `${encoded(header({ alg: 'RS256', kid: 'small' }))}.${encoded(claims())}`;
      const signature = createSign('sha256').update(input).sign(privateKey).toString('base64url');
      await expectRefusal(make().verify(`${input}.${signature}`), 'key_unsuitable');
    });

    it('control: keys of another kind or curve under the same kid change nothing (RFC 7517 §4.5)', async () => {
      const { alg: _, ...rsaKey } = rs.jwk;
      const { alg: __, ...otherCurve } = (await makeKey('ES384', 'es')).jwk;
      server.keys = [{ ...rsaKey, kid: 'es' }, otherCurve, es.jwk];
      await make().verify(await token());
      const { alg: ___, ...ecKey } = es.jwk;
      server.keys = [{ ...ecKey, kid: 'rs' }, rs.jwk];
      await make().verify(await token({}, rs));
    });
  });

  describe('options', () => {
    const wrong: Record<string, Partial<VerifierOptions>> = {
      'HS256 among the algorithms': { algorithms: ['ES256', 'HS256' as 'ES256'] },
      'none among the algorithms': { algorithms: ['none' as 'ES256'] },
      'a property of objects among the algorithms': { algorithms: ['toString' as 'ES256'] },
      'no algorithm': { algorithms: [] },
      'no audience': { audience: '' },
      'an issuer that is no URL': { issuer: 'as.example' },
      'an http issuer': { issuer: 'http://as.example' },
      'an http jwksUri': { jwksUri: 'http://as.example/jwks' },
      'a jwksUri on a name that only looks like loopback': { jwksUri: 'http://localhost.evil.example/jwks' },
      'a jwksUri with credentials': { jwksUri: 'https://a:b@as.example/jwks' },
      'a file': { jwksUri: 'file:///etc/passwd' },
      'jwks and jwksUri': { jwksUri: 'https://as.example/jwks', jwks: () => ({ keys: [] }) },
      'a negative tolerance': { clockToleranceFor: -1 },
      'an hour of tolerance': { clockToleranceFor: 3600 },
      'a tolerance that is no number': { clockToleranceFor: Number.NaN },
      'a scope with a quote': { requiredScopes: ['a"b'] },
      'a scope with a space': { requiredScopes: ['a b'] },
      'keys used for a day while the issuer is down': { keyCache: { staleFor: 86_400 } },
      'no cooldown': { keyCache: { missCooldownFor: 0 } },
      'no time limit': { timeoutAfter: Number.POSITIVE_INFINITY },
    };
    for (const [fact, options] of Object.entries(wrong)) {
      it(`refuse ${fact} with a TypeError`, () => {
        expect(() => make(options)).to.throw(TypeError);
      });
    }

    it('allow http beyond loopback only when told to', () => {
      make({ jwksUri: 'http://as.internal/jwks', isHttpAllowed: true });
    });

    it('an algorithm that was not chosen is refused although its key is published', async () => {
      const verifier = make({ algorithms: ['RS256'] });
      await verifier.verify(await token({}, rs));
      await expectRefusal(verifier.verify(await token()), 'algorithm_refused');
    });

    it('requiredScopes are needed, all of them', async () => {
      await make({ requiredScopes: ['orders:write', 'orders:read'] }).verify(await token());
      const verification = make({ requiredScopes: ['orders:read', 'admin'] }).verify(await token());
      const error = await refusal(verification);
      expect(error.code).to.equal('scope_insufficient');
      expect(error.requiredScopes).to.deep.equal(['orders:read', 'admin']);
      await expectRefusal(make({ requiredScopes: ['orders'] }).verify(await token()), 'scope_insufficient');
      const none = await token({ without: ['scope'] });
      await expectRefusal(make({ requiredScopes: ['orders:read'] }).verify(none), 'scope_insufficient');
    });

    it('isRevoked is asked with the checked claims and decides', async () => {
      const asked: unknown[] = [];
      const verifier = make({
        isRevoked: async accepted => {
          asked.push(accepted.jti);
          return accepted.jti === 'dead';
        },
      });
      await verifier.verify(await token());
      await expectRefusal(verifier.verify(await token({ claims: { jti: 'dead' } })), 'revoked');
      await expectRefusal(verifier.verify(await token({ claims: { aud: 'x' } })), 'audience_wrong');
      expect(asked).to.deep.equal(['a1', 'dead']);
    });

    it('isRevoked that fails or answers nonsense never lets a token pass', async () => {
      const failing = make({ isRevoked: () => Promise.reject(new Error('down')) });
      await expectRefusal(failing.verify(await token()), 'revocation_unavailable');
      const throwing = make({
        isRevoked: () => {
          throw new Error('down');
        },
      });
      await expectRefusal(throwing.verify(await token()), 'revocation_unavailable');
      const vague = make({ isRevoked: (() => undefined) as unknown as () => boolean });
      await expectRefusal(vague.verify(await token()), 'revoked');
    });
  });

  describe('keys at hand', () => {
    it('verify without any request, and follow a change at once', async () => {
      const before = server.fetches;
      let keys = { keys: [es.jwk] };
      const verifier = make({ jwks: () => keys });
      await verifier.verify(await token());
      keys = { keys: [rs.jwk] };
      await expectRefusal(verifier.verify(await token()), 'key_unknown');
      await verifier.verify(await token({}, rs));
      expect(server.fetches).to.equal(before);
    });

    it('that cannot be read make the answer unavailable, not wrong', async () => {
      const broken = make({
        jwks: () => {
          throw new Error('not loaded');
        },
      });
      await expectRefusal(broken.verify(await token()), 'keys_unavailable');
      const senseless = make({ jwks: () => ({}) as { keys: JWK[] } });
      await expectRefusal(senseless.verify(await token()), 'keys_unavailable');
    });
  });

  it('no text makes verify throw anything but VerificationError', async () => {
    const verifier = make({ jwks: () => ({ keys: [es.jwk, rs.jwk] }) });
    const good = await token();
    const json = fc.jsonValue().map(value => encoded(value));
    const headerLike = fc
      .record(
        {
          alg: fc.constantFrom('ES256', 'RS256', 'PS256', 'EdDSA', 'none', 'HS256'),
          kid: fc.oneof(fc.constantFrom('es', 'rs'), fc.string()),
          typ: fc.constantFrom('at+jwt', 'JWT'),
          crit: fc.jsonValue(),
        },
        { requiredKeys: ['alg', 'kid', 'typ'] },
      )
      .map(encoded);
    const part = fc.oneof(fc.string(), fc.base64String(), json, headerLike);
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.tuple(headerLike, json, fc.base64String()).map(parts => parts.join('.')),
      fc.array(part, { maxLength: 6 }).map(parts => parts.join('.')),
      fc
        .tuple(fc.nat(good.length - 1), fc.string({ minLength: 1, maxLength: 1 }))
        .map(([at, char]) => good.slice(0, at) + char + good.slice(at + 1))
        .filter(text => text !== good),
    );
    await fc.assert(
      fc.asyncProperty(texts, async text => {
        const error = await refusal(verifier.verify(text));
        expect(error.cause === undefined || error.cause instanceof Error).to.equal(true);
      }),
      { numRuns: 1500 },
    );
  });

  it('errors hold no claims', async () => {
    const error = await refusal(make().verify(await token({ claims: { aud: 'x', secret: 'hidden' } })));
    const { inspect } = await import('node:util');
    expect(inspect(error, { depth: 10 })).to.not.include('hidden');
    expect(decodeJwt(await token()).secret).to.equal(undefined);
  });

  it('control: a symmetric key is no key for us even if it fits the signature', async () => {
    const secret = await generateSecret('HS256', { extractable: true });
    const attack = await new SignJWT(claims()).setProtectedHeader({ ...header(), alg: 'HS256' }).sign(secret);
    await jwtVerify(attack, secret, { currentDate: new Date(clock.at) });
    await expectRefusal(make().verify(attack), 'algorithm_refused');
  });
});
