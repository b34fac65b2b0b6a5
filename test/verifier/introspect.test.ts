import { expect } from 'chai';
import { createIntrospector, type IntrospectorOptions } from '../../src/verifier/introspect.js';
import { AUDIENCE, claimsAt, IssuerServer, sendJson, TestClock } from './issuer-server.js';
import { expectRefusal, refusal } from './refusal.js';

describe('introspector', () => {
  let server: IssuerServer;
  let clock: TestClock;
  let answer: Record<string, unknown>;
  let seen: { authorization: string | undefined; form: URLSearchParams }[];

  beforeEach(async () => {
    server = await IssuerServer.start();
    clock = new TestClock();
    answer = { active: true, token_type: 'Bearer', ...claimsAt(server.issuer, clock.seconds) };
    seen = [];
    server.answers.set('/introspect', (request, response, body) => {
      seen.push({ authorization: request.headers.authorization, form: new URLSearchParams(body) });
      sendJson(response, answer);
    });
  });
  afterEach(() => server.close());

  const make = (options: Partial<IntrospectorOptions> = {}) =>
    createIntrospector({
      issuer: server.issuer,
      audience: AUDIENCE,
      introspectionEndpoint: `${server.issuer}/introspect`,
      clientId: 'cl_api',
      clientSecret: 'cvg_cs_1',
      now: clock.now,
      ...options,
    });

  it('asks with client_secret_basic and returns the issuer’s claims (RFC 7662 §2.1)', async () => {
    const claims = await make({ clientId: 'a b:c', clientSecret: 'ü%+' }).verify('opaque-1');
    expect(claims).to.include({ sub: 'cl_service', client_id: 'cl_service' });
    const [asked] = seen;
    // RFC 6749 §2.3.1 with its appendix B
    expect(Buffer.from(asked?.authorization?.slice(6) ?? '', 'base64').toString()).to.equal(
      'a+b%3Ac:%C3%BC%25%2B',
    );
    expect([...(asked?.form ?? [])]).to.deep.equal([
      ['token', 'opaque-1'],
      ['token_type_hint', 'access_token'],
    ]);
  });

  it('finds the endpoint in the issuer’s metadata, once', async () => {
    server.answers.set('/.well-known/openid-configuration', (_, response) =>
      sendJson(response, { issuer: server.issuer, introspection_endpoint: `${server.issuer}/introspect` }),
    );
    const { introspectionEndpoint: _, ...options } = {
      introspectionEndpoint: '',
      issuer: server.issuer,
      audience: AUDIENCE,
      clientId: 'cl_api',
      clientSecret: 'x',
    };
    const introspector = createIntrospector({ ...options, now: clock.now });
    await introspector.verify('opaque-1');
    await introspector.verify('opaque-2');
    expect(server.requests.get('/.well-known/openid-configuration')).to.equal(1);
  });

  describe('refuses', () => {
    const cases: readonly (readonly [string, string, () => Record<string, unknown>])[] = [
      ['what is not active', 'inactive', () => ({ active: false })],
      [
        'a token for another audience (RFC 7662 §4)',
        'audience_wrong',
        () => ({ aud: 'https://other.example' }),
      ],
      ['a token without audience', 'audience_wrong', () => ({ aud: undefined })],
      ['a token of another issuer', 'issuer_wrong', () => ({ iss: 'https://evil.example' })],
      ['a refresh token: no token_type', 'type_wrong', () => ({ token_type: undefined })],
      ['a DPoP token', 'type_wrong', () => ({ token_type: 'DPoP' })],
      ['a token bound to a key', 'sender_constrained', () => ({ cnf: { jkt: 'x' } })],
      ['a token that has expired', 'expired', () => ({ exp: clock.seconds - 60 })],
      ['a token from the future', 'not_yet_valid', () => ({ nbf: clock.seconds + 60 })],
      ['exp as text', 'claim_invalid', () => ({ exp: 'tomorrow' })],
      ['a sub that is a number', 'claim_invalid', () => ({ sub: 7 })],
    ];
    for (const [fact, code, changes] of cases) {
      it(`${fact}: ${code}`, async () => {
        answer = { ...answer, ...changes() };
        expect((await refusal(make().verify('opaque'))).code).to.equal(code);
      });
    }

    it('a token without a required scope', async () => {
      await expectRefusal(make({ requiredScopes: ['admin'] }).verify('opaque'), 'scope_insufficient');
    });

    it('what cannot be a token, without asking', async () => {
      const introspector = make();
      for (const text of ['', 'a b', 'ä', 'a\n', undefined, {}])
        await expectRefusal(introspector.verify(text as string), 'token_malformed');
      await expectRefusal(introspector.verify('x'.repeat(16_385)), 'token_too_long');
      expect(seen).to.have.lengthOf(0);
    });
  });

  describe('knows nothing, and lets nothing pass, when the issuer', () => {
    const failures: Record<string, (server: IssuerServer) => void> = {
      'refuses our client': ({ answers }) =>
        answers.set('/introspect', (_, response) => sendJson(response, {}, 401)),
      'is broken': ({ answers }) => answers.set('/introspect', (_, response) => sendJson(response, {}, 500)),
      redirects: ({ answers }) =>
        answers.set('/introspect', (_, response) =>
          response.writeHead(307, { location: '/elsewhere' }).end(),
        ),
      'answers nonsense': ({ answers }) => answers.set('/introspect', (_, response) => response.end('yes')),
      'answers active as text': ({ answers }) =>
        answers.set('/introspect', (_, response) => sendJson(response, { active: 'true' })),
      'answers more than 64 KiB': ({ answers }) =>
        answers.set('/introspect', (_, response) =>
          sendJson(response, { active: true, padding: 'x'.repeat(65_536) }),
        ),
      'does not answer in time': ({ answers }) => answers.set('/introspect', () => {}),
    };
    for (const [fact, prepare] of Object.entries(failures)) {
      it(fact, async () => {
        prepare(server);
        const error = await refusal(make({ timeoutAfter: 0.2 }).verify('opaque'));
        expect(error.code).to.equal('introspection_unavailable');
        expect(error.retryAfter).to.equal(5);
        expect(server.requests.get('/elsewhere')).to.equal(undefined);
      });
    }

    it('and asks again for the next request', async () => {
      const introspector = make();
      server.answers.set('/introspect', (_, response) => sendJson(response, {}, 500));
      await expectRefusal(introspector.verify('opaque'), 'introspection_unavailable');
      server.answers.set('/introspect', (_, response) => sendJson(response, answer));
      await introspector.verify('opaque');
    });
  });

  describe('remembers', () => {
    it('an answer for 10 s: so long may a revoked token live on', async () => {
      const introspector = make();
      await introspector.verify('opaque');
      answer = { active: false };
      clock.pass(9);
      await introspector.verify('opaque');
      expect(seen).to.have.lengthOf(1);
      clock.pass(1);
      await expectRefusal(introspector.verify('opaque'), 'inactive');
      await expectRefusal(introspector.verify('opaque'), 'inactive');
      expect(seen).to.have.lengthOf(2);
    });

    it('nothing with cacheFor 0: a revocation counts at once', async () => {
      const introspector = make({ cacheFor: 0 });
      await introspector.verify('opaque');
      answer = { active: false };
      await expectRefusal(introspector.verify('opaque'), 'inactive');
    });

    it('no token beyond its own expiry', async () => {
      answer = { ...answer, exp: clock.seconds + 2 };
      const introspector = make({ clockToleranceFor: 0 });
      await introspector.verify('opaque');
      clock.pass(2);
      await expectRefusal(introspector.verify('opaque'), 'expired');
      expect(seen).to.have.lengthOf(1);
    });

    it('no more answers than cacheSize, and invented tokens push out none of the real ones', async () => {
      const introspector = make({ cacheSize: 2 });
      await introspector.verify('real');
      const real = answer;
      answer = { active: false };
      for (let i = 0; i < 5; i += 1) await expectRefusal(introspector.verify(`invented-${i}`), 'inactive');
      answer = real;
      await introspector.verify('real');
      expect(seen).to.have.lengthOf(6);
      await introspector.verify('real-2');
      await introspector.verify('real-3');
      await introspector.verify('real');
      expect(seen).to.have.lengthOf(9);
    });

    it('who is asking already: 20 requests with one token ask once', async () => {
      const introspector = make({ cacheFor: 0 });
      await Promise.all(Array.from({ length: 20 }, () => introspector.verify('opaque')));
      expect(seen).to.have.lengthOf(1);
    });
  });

  it('wrong options are a TypeError', () => {
    for (const options of [
      { clientSecret: '' },
      { clientId: '' },
      { audience: '' },
      { introspectionEndpoint: 'http://as.example/introspect' },
      { cacheFor: 3600 },
      { cacheSize: -1 },
      { timeoutAfter: 0 },
      { requiredScopes: ['a b'] },
    ])
      expect(() => make(options), JSON.stringify(options)).to.throw(TypeError);
  });
});
