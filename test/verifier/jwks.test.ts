import { expect } from 'chai';
import type { KeyCacheBounds, KeyCacheEvent } from '../../src/verifier/jwks.js';
import { createVerifier, type VerifierOptions } from '../../src/verifier/verify-access-token.js';
import {
  AUDIENCE,
  IssuerServer,
  makeKey,
  makeToken,
  sendJson,
  TestClock,
  type TestKey,
} from './issuer-server.js';
import { expectRefusal, refusal } from './refusal.js';

describe('remembered JWKS', () => {
  let server: IssuerServer;
  let clock: TestClock;
  let first: TestKey;
  let second: TestKey;
  let events: KeyCacheEvent[];

  before(async () => {
    first = await makeKey('ES256', 'first');
    second = await makeKey('ES256', 'second');
  });
  beforeEach(async () => {
    server = await IssuerServer.start();
    server.keys = [first.jwk];
    clock = new TestClock();
    events = [];
  });
  afterEach(() => server.close());

  const make = (options: Partial<VerifierOptions> = {}) =>
    createVerifier({
      issuer: server.issuer,
      audience: AUDIENCE,
      jwksUri: server.jwksUri,
      now: clock.now,
      onKeyCacheEvent: event => events.push(event),
      ...options,
    });
  const token = (key: TestKey, kid = key.kid) => makeToken({ ...key, kid }, server.issuer, clock);
  const count = (event: KeyCacheEvent) => events.filter(seen => seen === event).length;

  it('is fetched by the first token, not before, and serves those that follow', async () => {
    const verifier = make();
    expect(server.fetches).to.equal(0);
    for (let i = 0; i < 20; i += 1) await verifier.verify(await token(first));
    expect(server.fetches).to.equal(1);
    expect(count('hit')).to.equal(20);
  });

  it('is fetched once for 50 tokens that arrive together (single flight)', async () => {
    const verifier = make();
    const good = await token(first);
    await Promise.all(Array.from({ length: 50 }, () => verifier.verify(good)));
    expect(server.fetches).to.equal(1);
  });

  describe('stays fresh', () => {
    const cases: readonly (readonly [string, string | undefined, number])[] = [
      ['300 s without Cache-Control', undefined, 300],
      ['as long as max-age says', 'public, max-age=900, stale-while-revalidate=60', 900],
      ['60 s at least', 'max-age=5', 60],
      ['an hour at most', 'max-age=86400', 3600],
      ['60 s with no-store', 'no-store', 60],
      ['60 s with no-cache, whatever max-age says', 'no-cache, max-age=900', 60],
      ['300 s with a senseless max-age', 'max-age=soon', 300],
      ['300 s with s-maxage, which is for shared caches', 's-maxage=900', 300],
    ];
    for (const [fact, cacheControl, seconds] of cases) {
      it(fact, async () => {
        server.cacheControl = cacheControl;
        const verifier = make();
        await verifier.verify(await token(first));
        clock.pass(seconds - 1);
        await verifier.verify(await token(first));
        expect(server.fetches).to.equal(1);
        clock.pass(1);
        await verifier.verify(await token(first));
        expect(server.fetches).to.equal(2);
      });
    }

    it('less by the Age it had on arrival (RFC 9111 §4.2)', async () => {
      server.answers.set('/jwks', (_, response) => {
        response.setHeader('cache-control', 'max-age=900').setHeader('age', '800');
        sendJson(response, { keys: server.keys });
      });
      const verifier = make();
      await verifier.verify(await token(first));
      clock.pass(100);
      await verifier.verify(await token(first));
      expect(server.fetches).to.equal(2);
    });

    it('and is old, not young for ever, when the wall clock is set back', async () => {
      const verifier = make();
      await verifier.verify(await token(first));
      clock.pass(-3600);
      await verifier.verify(await token(first));
      expect(server.fetches).to.equal(2);
    });
  });

  describe('an unknown kid', () => {
    it('causes a fetch, so a key published a moment ago is accepted', async () => {
      const verifier = make();
      await verifier.verify(await token(first));
      server.keys = [first.jwk, second.jwk];
      await verifier.verify(await token(second));
      expect(server.fetches).to.equal(2);
    });

    it('causes one fetch for all tokens of the new key that arrive together', async () => {
      const verifier = make();
      await verifier.verify(await token(first));
      server.keys = [second.jwk];
      const good = await token(second);
      await Promise.all(Array.from({ length: 20 }, () => verifier.verify(good)));
      expect(server.fetches).to.equal(2);
    });

    const flood = async (keyCache: KeyCacheBounds, pause: number) => {
      const verifier = make({ keyCache });
      await verifier.verify(await token(first));
      for (let i = 0; i < 20; i += 1) {
        await expectRefusal(verifier.verify(await token(first, `invented-${i}`)), 'key_unknown');
        clock.pass(pause);
      }
      return server.fetches - 1;
    };
    it('20 invented kids within 10 s cause one fetch', async () => {
      expect(await flood({}, 0.4)).to.equal(1);
      expect(count('cooldown')).to.equal(19);
    });
    it('control: with a cooldown shorter than their distance they cause 20', async () => {
      expect(await flood({ missCooldownFor: 1 }, 1)).to.equal(20);
    });

    it('the cooldown counts from the last fetch that a miss caused: an ordinary refresh does not delay a new key', async () => {
      const verifier = make();
      await verifier.verify(await token(first));
      clock.pass(300);
      await verifier.verify(await token(first));
      server.keys = [first.jwk, second.jwk];
      clock.pass(1);
      await verifier.verify(await token(second));
      expect(server.fetches).to.equal(3);
    });

    it('during the cooldown a new key is refused, after it accepted', async () => {
      const verifier = make();
      await verifier.verify(await token(first));
      await expectRefusal(verifier.verify(await token(first, 'invented')), 'key_unknown');
      server.keys = [first.jwk, second.jwk];
      clock.pass(9);
      await expectRefusal(verifier.verify(await token(second)), 'key_unknown');
      clock.pass(1);
      await verifier.verify(await token(second));
    });

    it('shown to be absent is not looked for again for 30 s', async () => {
      const verifier = make();
      await verifier.verify(await token(first));
      const invented = await token(first, 'invented');
      await expectRefusal(verifier.verify(invented), 'key_unknown');
      for (const pause of [11, 18]) {
        clock.pass(pause);
        await expectRefusal(verifier.verify(invented), 'key_unknown');
      }
      expect(server.fetches).to.equal(2);
      expect(count('known_absent')).to.equal(2);
      clock.pass(1);
      await expectRefusal(verifier.verify(invented), 'key_unknown');
      expect(server.fetches).to.equal(3);
    });

    it('control: without remembering absent kids it is looked for after each cooldown', async () => {
      const verifier = make({ keyCache: { absentFor: 0 } });
      await verifier.verify(await token(first));
      const invented = await token(first, 'invented');
      for (let i = 0; i < 3; i += 1) {
        await expectRefusal(verifier.verify(invented), 'key_unknown');
        clock.pass(10);
      }
      expect(server.fetches).to.equal(4);
    });

    it('remembered as absent is accepted as soon as any fetch brings it', async () => {
      const verifier = make();
      await expectRefusal(verifier.verify(await token(second)), 'key_unknown');
      server.keys = [first.jwk, second.jwk];
      clock.pass(10);
      await expectRefusal(verifier.verify(await token(first, 'other')), 'key_unknown');
      await verifier.verify(await token(second));
    });

    it('as the very first token causes one fetch, not two', async () => {
      await expectRefusal(make().verify(await token(first, 'invented')), 'key_unknown');
      expect(server.fetches).to.equal(1);
    });

    it('cannot be judged while the issuer is down: unavailable, not wrong', async () => {
      const verifier = make();
      await verifier.verify(await token(first));
      server.answers.set('/jwks', (_, response) => sendJson(response, {}, 500));
      await expectRefusal(verifier.verify(await token(second)), 'keys_unavailable');
      await verifier.verify(await token(first));
    });
  });

  it('forgets a withdrawn key at the next refresh', async () => {
    const verifier = make();
    server.keys = [first.jwk, second.jwk];
    await verifier.verify(await token(first));
    server.keys = [second.jwk];
    clock.pass(299);
    await verifier.verify(await token(first));
    clock.pass(1);
    await expectRefusal(verifier.verify(await token(first)), 'key_unknown');
  });

  it('believes an empty set', async () => {
    const verifier = make();
    await verifier.verify(await token(first));
    server.keys = [];
    clock.pass(300);
    await expectRefusal(verifier.verify(await token(first)), 'key_unknown');
  });

  describe('while the issuer is down', () => {
    const goDown = () => server.answers.set('/jwks', (_, response) => sendJson(response, {}, 503));

    it('is used for an hour beyond its freshness, then no longer', async () => {
      const verifier = make();
      await verifier.verify(await token(first));
      goDown();
      clock.pass(300);
      await verifier.verify(await token(first));
      expect(count('stale_used')).to.equal(1);
      clock.pass(3599);
      await verifier.verify(await token(first));
      clock.pass(1);
      const error = await refusal(verifier.verify(await token(first)));
      expect(error.code).to.equal('keys_unavailable');
      expect(error.retryAfter).to.equal(5);
    });

    it('is not asked for again for 5 s, then once', async () => {
      goDown();
      const verifier = make();
      for (let i = 0; i < 10; i += 1)
        await expectRefusal(verifier.verify(await token(first)), 'keys_unavailable');
      expect(server.fetches).to.equal(1);
      clock.pass(5);
      await expectRefusal(verifier.verify(await token(first)), 'keys_unavailable');
      expect(server.fetches).to.equal(2);
      expect(count('fetch_failed')).to.equal(2);
    });

    it('comes back with the issuer', async () => {
      goDown();
      const verifier = make();
      await expectRefusal(verifier.verify(await token(first)), 'keys_unavailable');
      server.answers.set('/jwks', (_, response) => sendJson(response, { keys: server.keys }));
      clock.pass(5);
      await verifier.verify(await token(first));
    });
  });

  describe('is refused when the answer', () => {
    const answers: Record<string, (server: IssuerServer) => void> = {
      'is a redirect, even to the right place': ({ answers: set }) => {
        set.set('/moved', (_, response) => sendJson(response, { keys: [first.jwk] }));
        set.set('/jwks', (_, response) => response.writeHead(302, { location: '/moved' }).end());
      },
      'is longer than 64 KiB': ({ answers: set }) =>
        set.set('/jwks', (_, response) =>
          sendJson(response, { keys: [first.jwk], padding: 'x'.repeat(65_536) }),
        ),
      'never ends': ({ answers: set }) =>
        set.set('/jwks', (_, response) => {
          response.writeHead(200);
          response.on('drain', () => response.write('x'.repeat(16_384)));
          response.write(' '.repeat(65_537));
        }),
      'is no JSON': ({ answers: set }) => set.set('/jwks', (_, response) => response.end('<html>')),
      'is no JWK set': ({ answers: set }) =>
        set.set('/jwks', (_, response) => sendJson(response, { key: [] })),
      'has more than 100 keys': ({ answers: set }) =>
        set.set('/jwks', (_, response) => sendJson(response, { keys: Array(101).fill(first.jwk) })),
      'is 404': ({ answers: set }) => set.delete('/jwks'),
      'breaks off': ({ answers: set }) =>
        set.set('/jwks', (_, response) => {
          response.writeHead(200, { 'content-length': 100 }).write('{');
          response.destroy();
        }),
    };
    for (const [fact, prepare] of Object.entries(answers)) {
      it(fact, async () => {
        prepare(server);
        await expectRefusal(make().verify(await token(first)), 'keys_unavailable');
        expect(server.requests.get('/moved')).to.equal(undefined);
      });
    }

    it('takes longer than the time limit', async () => {
      server.answers.set('/jwks', () => {});
      await expectRefusal(make({ timeoutAfter: 0.1 }).verify(await token(first)), 'keys_unavailable');
    });

    it('starts in time but does not end in time', async () => {
      server.answers.set('/jwks', (_, response) => response.writeHead(200).write('{'));
      await expectRefusal(make({ timeoutAfter: 0.1 }).verify(await token(first)), 'keys_unavailable');
    });
  });

  it('control: the same answer just below 64 KiB is accepted', async () => {
    server.answers.set('/jwks', (_, response) =>
      sendJson(response, { keys: [first.jwk], padding: 'x'.repeat(65_000) }),
    );
    await make().verify(await token(first));
  });

  it('members that are no keys are ignored (RFC 7517 §5)', async () => {
    server.answers.set('/jwks', (_, response) =>
      sendJson(response, { keys: [null, 7, [], {}, { kid: 3 }, { kty: 'X', kid: 'new' }, first.jwk] }),
    );
    await make().verify(await token(first));
  });

  it('counters that throw change no verdict', async () => {
    const verifier = make({
      onKeyCacheEvent: () => {
        throw new Error('metrics are broken');
      },
    });
    await verifier.verify(await token(first));
  });

  describe('discovery', () => {
    const discovering = (issuer = server.issuer) =>
      createVerifier({ issuer, audience: AUDIENCE, now: clock.now, clockToleranceFor: 10 });
    const tokenOf = (issuer: string) => makeToken(first, issuer, clock);

    it('finds jwks_uri in OpenID Connect metadata', async () => {
      await discovering().verify(await token(first));
      expect(server.requests.get('/.well-known/openid-configuration')).to.equal(1);
    });

    it('falls back to RFC 8414 metadata, inserted before the issuer’s path', async () => {
      const issuer = `${server.issuer}/tenant`;
      server.answers.set('/.well-known/oauth-authorization-server/tenant', (_, response) =>
        sendJson(response, { issuer, jwks_uri: server.jwksUri }),
      );
      await discovering(issuer).verify(await tokenOf(issuer));
      expect(server.requests.get('/tenant/.well-known/openid-configuration')).to.equal(1);
    });

    for (const [fact, metadata] of Object.entries({
      'names another issuer': { issuer: 'https://evil.example' },
      'spells the issuer with a slash': { issuer: 'SLASH' },
      'names no issuer': { issuer: undefined },
      'has no jwks_uri': { jwks_uri: undefined },
      'has an http jwks_uri beyond loopback': { jwks_uri: 'http://as.example/jwks' },
      'has a file as jwks_uri': { jwks_uri: 'file:///etc/passwd' },
    })) {
      it(`refuses metadata that ${fact} (RFC 8414 §3.3)`, async () => {
        server.answers.set('/.well-known/openid-configuration', (_, response) => {
          const changes =
            'issuer' in metadata && metadata.issuer === 'SLASH' ? { issuer: `${server.issuer}/` } : metadata;
          sendJson(response, { issuer: server.issuer, jwks_uri: server.jwksUri, ...changes });
        });
        await expectRefusal(discovering().verify(await token(first)), 'keys_unavailable');
        expect(server.fetches).to.equal(0);
      });
    }

    it('does not fall back when the server is merely broken', async () => {
      server.answers.set('/.well-known/openid-configuration', (_, response) => sendJson(response, {}, 500));
      server.answers.set('/.well-known/oauth-authorization-server', (_, response) =>
        sendJson(response, { issuer: server.issuer, jwks_uri: server.jwksUri }),
      );
      await expectRefusal(discovering().verify(await token(first)), 'keys_unavailable');
    });

    it('follows an issuer that moves its keys', async () => {
      const verifier = discovering();
      await verifier.verify(await token(first));
      server.answers.delete('/jwks');
      server.answers.set('/keys', (_, response) => sendJson(response, { keys: [first.jwk] }));
      server.answers.set('/.well-known/openid-configuration', (_, response) =>
        sendJson(response, { issuer: server.issuer, jwks_uri: `${server.issuer}/keys` }),
      );
      clock.pass(300);
      await verifier.verify(await token(first));
      expect(server.requests.get('/keys')).to.equal(1);
    });
  });
});
