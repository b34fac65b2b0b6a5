import { deflateSync } from 'node:zlib';
import { createHeaderAndPayload, StatusList } from '@sd-jwt/jwt-status-list';
import { expect } from 'chai';
import { type JWTPayload, SignJWT } from 'jose';
import { createVerifier, type VerifierOptions } from '../../src/verifier/verify-access-token.js';
import {
  AUDIENCE,
  forge,
  IssuerServer,
  makeKey,
  makeToken,
  TestClock,
  type TestKey,
} from './issuer-server.js';
import { expectRefusal } from './refusal.js';

const LIST = '/status-lists/1';
const REVOKED = 5;
const GOOD = 6;

describe('access token verifier: status lists', () => {
  let server: IssuerServer;
  let clock: TestClock;
  let key: TestKey;
  let foreign: TestKey;

  before(async () => {
    server = await IssuerServer.start();
    key = await makeKey('ES256', 'es');
    foreign = await makeKey('ES256', 'es');
  });
  after(() => server.close());
  beforeEach(() => {
    clock = new TestClock();
    server.keys = [key.jwk];
    server.requests.clear();
    publish();
  });

  const make = (options: Partial<VerifierOptions> = {}) =>
    createVerifier({ issuer: server.issuer, audience: AUDIENCE, now: clock.now, ...options });
  const uri = () => server.issuer + LIST;
  const at = (idx: unknown, address: unknown = uri()) => ({ status_list: { idx, uri: address } });
  const token = (status: unknown) => makeToken(key, server.issuer, clock, { claims: { status } });
  const asked = () => server.requests.get(LIST) ?? 0;

  interface Changes {
    readonly claims?: Record<string, unknown>;
    readonly without?: readonly string[];
    readonly header?: Record<string, unknown>;
    readonly signedBy?: TestKey;
    readonly headers?: Record<string, string>;
  }

  function lst(revoked: readonly number[] = [REVOKED]): string {
    const bits = new Uint8Array(128);
    for (const index of revoked) bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7));
    return deflateSync(bits).toString('base64url');
  }

  /** A good list, but for the changes; signed anew for each request, as the issuer does. */
  function publish({ claims = {}, without = [], header = {}, signedBy, headers = {} }: Changes = {}): void {
    server.answers.set(LIST, async (_, response) => {
      const payload: Record<string, unknown> = {
        iss: server.issuer,
        sub: uri(),
        iat: clock.seconds,
        exp: clock.seconds + 300,
        ttl: 10,
        status_list: { bits: 1, lst: lst() },
        ...claims,
      };
      for (const name of without) delete payload[name];
      const jwt = await new SignJWT(payload)
        .setProtectedHeader({ alg: 'ES256', kid: 'es', typ: 'statuslist+jwt', ...header })
        .sign((signedBy ?? key).privateKey);
      response.writeHead(200, { 'content-type': 'application/statuslist+jwt', ...headers }).end(jwt);
    });
  }

  function breakDown(): void {
    server.answers.set(LIST, (_, response) => response.writeHead(503).end());
  }

  it('accepts a token whose bit is 0 and refuses one whose bit is 1', async () => {
    const verifier = make();
    expect(await verifier.verify(await token(at(GOOD)))).to.have.property('client_id');
    await expectRefusal(verifier.verify(await token(at(REVOKED))), 'revoked');
  });

  it('control: switched off, the revoked token passes, and nothing is asked', async () => {
    await make({ statusLists: false }).verify(await token(at(REVOKED)));
    expect(asked()).to.equal(0);
  });

  it('asks nothing for a token without status', async () => {
    await make().verify(await makeToken(key, server.issuer, clock));
    expect(asked()).to.equal(0);
  });

  it('reads the list of another implementation, suspended entries too', async () => {
    const list = new StatusList([0, 1, 2, 0], 2);
    const { header, payload } = createHeaderAndPayload(
      list,
      { iss: server.issuer, sub: uri(), iat: clock.seconds },
      { alg: 'ES256', kid: 'es', typ: 'statuslist+jwt' },
    );
    server.answers.set(LIST, async (_, response) => {
      const jwt = new SignJWT(payload as JWTPayload).setProtectedHeader({ ...header, alg: 'ES256' });
      response.end(await jwt.sign(key.privateKey));
    });
    const verifier = make();
    await verifier.verify(await token(at(0)));
    await expectRefusal(verifier.verify(await token(at(1))), 'revoked');
    await expectRefusal(verifier.verify(await token(at(2))), 'revoked');
  });

  it('refuses a revoked token 30 s after its revocation at the latest, and its ttl if that is less', async () => {
    for (const [ttl, bound] of [
      [undefined, 30],
      [3600, 30],
      [10, 10],
    ] as const) {
      publish({ claims: { ttl, status_list: { bits: 1, lst: lst([]) } } });
      const verifier = make();
      const value = await token(at(REVOKED));
      await verifier.verify(value);
      publish({ claims: { ttl } });
      clock.pass(bound - 1);
      await verifier.verify(value);
      clock.pass(1);
      await expectRefusal(verifier.verify(value), 'revoked');
    }
  });

  it('counts the seconds that a list has spent in caches on the way (Age)', async () => {
    publish({ headers: { age: '7' }, claims: { status_list: { bits: 1, lst: lst([]) } } });
    const verifier = make();
    const value = await token(at(REVOKED));
    await verifier.verify(value);
    publish();
    clock.pass(3);
    await expectRefusal(verifier.verify(value), 'revoked');
  });

  it('asks once for a hundred tokens that arrive together, and not again while the list is fresh', async () => {
    const verifier = make();
    const tokens = await Promise.all(Array.from({ length: 100 }, (_, index) => token(at(index + 10))));
    await Promise.all(tokens.map(each => verifier.verify(each)));
    await verifier.verify(await token(at(GOOD)));
    expect(asked()).to.equal(1);
  });

  describe('while the issuer is away', () => {
    it('goes on with the last list for a minute and then refuses every token of it with 503', async () => {
      const verifier = make();
      const [good, revoked] = [await token(at(GOOD)), await token(at(REVOKED))];
      await verifier.verify(good);
      breakDown();
      clock.pass(60);
      await verifier.verify(good);
      await expectRefusal(verifier.verify(revoked), 'revoked');
      clock.pass(29);
      await verifier.verify(good);
      clock.pass(1);
      await expectRefusal(verifier.verify(good), 'revocation_unavailable');
      publish();
      clock.pass(5);
      await verifier.verify(good);
    });

    it('waits a second, not five, for one that takes the question and says nothing', async () => {
      const verifier = make();
      const [good, revoked] = [await token(at(GOOD)), await token(at(REVOKED))];
      await verifier.verify(good);
      server.answers.set(LIST, () => undefined);
      clock.pass(11);
      const startedAt = performance.now();
      await Promise.all([verifier.verify(good), expectRefusal(verifier.verify(revoked), 'revoked')]);
      expect(performance.now() - startedAt).to.be.within(900, 3000);
      expect(asked()).to.equal(2);
    });

    it('refuses a token of a list it has never seen', async () => {
      breakDown();
      await expectRefusal(make().verify(await token(at(GOOD))), 'revocation_unavailable');
    });

    it('asks again after five seconds, however many tokens come', async () => {
      breakDown();
      const verifier = make();
      const value = await token(at(GOOD));
      for (let count = 0; count < 20; count += 1) await verifier.verify(value).catch(() => undefined);
      expect(asked()).to.equal(1);
      clock.pass(5);
      await verifier.verify(value).catch(() => undefined);
      expect(asked()).to.equal(2);
    });

    it('does not take a list for fresh whose clock was set back', async () => {
      const verifier = make();
      const value = await token(at(GOOD));
      await verifier.verify(value);
      clock.pass(-5);
      await verifier.verify(value);
      expect(asked()).to.equal(2);
    });
  });

  describe('believes no list', () => {
    const bad: Record<string, () => Changes> = {
      'that another key has signed': () => ({ signedBy: foreign }),
      'of another type, say an access token (RFC 8725 §3.11)': () => ({ header: { typ: 'at+jwt' } }),
      'without type': () => ({ header: { typ: undefined } }),
      'of other tokens (sub)': () => ({ claims: { sub: `${server.issuer}/status-lists/2` } }),
      'without sub': () => ({ without: ['sub'] }),
      'of another issuer': () => ({ claims: { iss: 'https://evil.example' } }),
      'without iat': () => ({ without: ['iat'] }),
      'from the future': () => ({ claims: { iat: clock.seconds + 60 } }),
      'that has expired': () => ({ claims: { exp: clock.seconds - 60 } }),
      'that a cache has kept for two minutes': () => ({ claims: { iat: clock.seconds - 120 } }),
      'with three bits an entry': () => ({ claims: { status_list: { bits: 3, lst: lst() } } }),
      'without entries': () => ({ without: ['status_list'] }),
      'that is no ZLIB': () => ({ claims: { status_list: { bits: 1, lst: 'AAAA' } } }),
      'that unpacks to megabytes': () => ({
        claims: {
          status_list: { bits: 1, lst: deflateSync(Buffer.alloc(16 * 1024 * 1024)).toString('base64url') },
        },
      }),
    };
    for (const [what, changes] of Object.entries(bad)) {
      it(what, async () => {
        publish(changes());
        await expectRefusal(make().verify(await token(at(GOOD))), 'revocation_unavailable');
      });
    }

    it('that is older than the one before: a cache on the way cannot bring a revoked token back', async () => {
      const verifier = make();
      const value = await token(at(REVOKED));
      await expectRefusal(verifier.verify(value), 'revoked');
      publish({ claims: { iat: clock.seconds - 30, status_list: { bits: 1, lst: lst([]) } } });
      clock.pass(11);
      await expectRefusal(verifier.verify(value), 'revoked');
    });

    it('that nobody has signed', async () => {
      const claims = {
        iss: server.issuer,
        sub: uri(),
        iat: clock.seconds,
        status_list: { bits: 1, lst: lst() },
      };
      const jwt = forge({ alg: 'none', kid: 'es', typ: 'statuslist+jwt' }, claims, '');
      server.answers.set(LIST, (_, response) => response.end(jwt));
      await expectRefusal(make().verify(await token(at(GOOD))), 'revocation_unavailable');
    });

    it('that is larger than half a megabyte', async () => {
      server.answers.set(LIST, (_, response) => response.end('a'.repeat(600 * 1024)));
      await expectRefusal(make().verify(await token(at(GOOD))), 'revocation_unavailable');
    });

    it('that it is sent away for', async () => {
      server.answers.set(LIST, (_, response) => response.writeHead(302, { location: uri() }).end());
      await expectRefusal(make().verify(await token(at(GOOD))), 'revocation_unavailable');
    });
  });

  describe('refuses a token whose status', () => {
    const bad: Record<string, () => unknown> = {
      'names a list of another host': () => at(GOOD, 'https://evil.example/status-lists/1'),
      'names a host that begins like the issuer': () =>
        at(GOOD, `${server.issuer}.evil.example/status-lists/1`),
      'names credentials in the address': () => at(GOOD, uri().replace('://', '://me@')),
      'leads away by dots': () => at(GOOD, `${server.issuer}/status-lists/../1`),
      'leads away by encoded dots': () => at(GOOD, `${server.issuer}/status-lists/%2e%2e/1`),
      'has a query': () => at(GOOD, `${uri()}?a`),
      'has a fragment': () => at(GOOD, `${uri()}#a`),
      'has no index': () => at(undefined),
      'has a negative index': () => at(-1),
      'has a fraction for an index': () => at(1.5),
      'has a text for an index': () => at('6'),
      'has no address': () => at(GOOD, null),
      'is another mechanism': () => ({ other: true }),
      'is a text': () => 'valid',
      'is null': () => null,
      'lies beyond the end of its list': () => at(1024),
    };
    for (const [what, status] of Object.entries(bad)) {
      it(what, async () => {
        await expectRefusal(make().verify(await token(status())), 'claim_invalid');
        if (what !== 'lies beyond the end of its list') expect(asked()).to.equal(0);
      });
    }
  });

  it('remembers a bounded number of lists', async () => {
    const verifier = make();
    for (let list = 1; list <= 80; list += 1) {
      const path = `/status-lists/${list}`;
      server.answers.set(path, async (_, response) => {
        const jwt = new SignJWT({
          iss: server.issuer,
          sub: server.issuer + path,
          iat: clock.seconds,
          status_list: { bits: 1, lst: lst() },
        }).setProtectedHeader({ alg: 'ES256', kid: 'es', typ: 'statuslist+jwt' });
        response.end(await jwt.sign(key.privateKey));
      });
      await verifier.verify(await token(at(GOOD, server.issuer + path)));
    }
    await verifier.verify(await token(at(GOOD)));
    expect(asked()).to.equal(2);
  });

  describe('where every token must have one (isRequired)', () => {
    const required = () => make({ statusLists: { isRequired: true } });

    it('refuses a token without: whoever has stolen a signing key would leave it out', async () => {
      publish({ claims: { tokens_kid: 'es' } });
      const forged = await makeToken(key, server.issuer, clock);
      await make().verify(forged);
      await expectRefusal(required().verify(forged), 'claim_missing');
      await required().verify(await token(at(GOOD)));
    });

    it('refuses a list that does not say whose tokens it is about', async () => {
      await expectRefusal(required().verify(await token(at(GOOD))), 'claim_invalid');
    });
  });

  it('refuses a token that points to a bit in the list of another key', async () => {
    publish({ claims: { tokens_kid: 'other' } });
    await expectRefusal(make().verify(await token(at(GOOD))), 'claim_invalid');
  });

  it('takes no bound that is out of range', () => {
    for (const statusLists of [{ freshFor: 0 }, { freshFor: 301 }, { staleFor: -1 }, { staleFor: 601 }]) {
      expect(() => make({ statusLists })).to.throw(TypeError);
    }
  });
});
