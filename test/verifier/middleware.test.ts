import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type RequestListener,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import express from 'express';
import { fastify } from 'fastify';
import Koa from 'koa';
import type { AccessTokenVerifier, VerifiedClaims } from '../../src/verifier/access-token-claims.js';
import * as forExpress from '../../src/verifier/express.js';
import * as forFastify from '../../src/verifier/fastify.js';
import { createIntrospector } from '../../src/verifier/introspect.js';
import * as forKoa from '../../src/verifier/koa.js';
import { createVerifier } from '../../src/verifier/verify-access-token.js';
import {
  AUDIENCE,
  claimsAt,
  IssuerServer,
  makeKey,
  makeToken,
  sendJson,
  TestClock,
  type TestKey,
} from './issuer-server.js';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface App {
  readonly url: string;
  close(): Promise<unknown>;
}

type StartApp = (verifier: AccessTokenVerifier<VerifiedClaims>, onRoute: () => void) => Promise<App>;

/** Each answers `/orders` (needs orders:read) and `/admin` (needs two scopes more) with the claims it was handed. */
const FRAMEWORKS: Readonly<Record<string, StartApp>> = {
  koa: (verifier, onRoute) => {
    const app = new Koa();
    app.silent = true;
    const orders = forKoa.requireAccessToken(verifier, { scopes: ['orders:read'] });
    const admin = forKoa.requireAccessToken(verifier, { scopes: ['orders:read', 'admin', 'audit'] });
    app.use(async (ctx, next) => {
      if (ctx.path !== '/form') return next();
      Object.assign(ctx.request, { body: { access_token: 'x' } });
      await next();
    });
    app.use((ctx, next) => (ctx.path === '/admin' ? admin : orders)(ctx, next));
    app.use(ctx => {
      onRoute();
      ctx.body = ctx.state.accessToken;
    });
    return listen(app.callback());
  },
  express: (verifier, onRoute) => {
    const app = express().set('env', 'test');
    const route: express.RequestHandler = (req, res) => {
      onRoute();
      res.json((req as forExpress.ExpressRequest).accessToken);
    };
    app.use('/form', express.urlencoded());
    app.use(
      '/admin',
      forExpress.requireAccessToken(verifier, { scopes: ['orders:read', 'admin', 'audit'] }),
      route,
    );
    app.use(forExpress.requireAccessToken(verifier, { scopes: ['orders:read'] }), route);
    return listen(app);
  },
  fastify: async (verifier, onRoute) => {
    const app = fastify();
    const orders = forFastify.requireAccessToken(verifier, { scopes: ['orders:read'] });
    const admin = forFastify.requireAccessToken(verifier, { scopes: ['orders:read', 'admin', 'audit'] });
    const route = async (request: object) => {
      onRoute();
      return (request as forFastify.FastifyRequest).accessToken;
    };
    app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) =>
      done(null, Object.fromEntries(new URLSearchParams(String(body)))),
    );
    app.get('/orders', { onRequest: orders }, route);
    app.get('/admin', { onRequest: admin }, route);
    app.post('/form', { preHandler: orders }, route);
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    return { url, close: () => app.close() };
  },
};

async function listen(listener: RequestListener): Promise<App> {
  const server = createServer(listener);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise(resolve => {
        server.closeAllConnections();
        server.close(resolve);
      }),
  };
}

/** `fetch` cannot send a header twice. */
function send(url: string, authorization?: string | string[], form?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      url,
      { method: form === undefined ? 'GET' : 'POST', agent: false },
      response => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', chunk => {
          body += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      },
    );
    request.on('error', reject);
    if (authorization !== undefined) request.setHeader('authorization', authorization);
    if (form !== undefined) request.setHeader('content-type', 'application/x-www-form-urlencoded');
    request.end(form);
  });
}

for (const [name, startApp] of Object.entries(FRAMEWORKS)) {
  describe(`requireAccessToken for ${name}`, () => {
    let server: IssuerServer;
    let clock: TestClock;
    let key: TestKey;
    let app: App;
    let routed: number;

    before(async () => {
      key = await makeKey('ES256', 'k');
      server = await IssuerServer.start();
    });
    after(() => server.close());
    beforeEach(async () => {
      clock = new TestClock();
      server.keys = [key.jwk];
      routed = 0;
      app = await start();
    });
    afterEach(() => app.close());

    const start = (verifier?: AccessTokenVerifier<VerifiedClaims>) =>
      startApp(
        verifier ??
          createVerifier({
            issuer: server.issuer,
            audience: AUDIENCE,
            jwksUri: server.jwksUri,
            now: clock.now,
            timeoutAfter: 1,
          }),
        () => {
          routed += 1;
        },
      );
    const token = (claims: Record<string, unknown> = {}) => makeToken(key, server.issuer, clock, { claims });

    it('lets an accepted token pass, with its claims', async () => {
      const { status, body } = await send(`${app.url}/orders?page=2`, `Bearer ${await token()}`);
      expect(status).to.equal(200);
      expect(JSON.parse(body)).to.deep.equal(claimsAt(server.issuer, clock.seconds));
    });

    for (const scheme of ['bearer', 'BEARER', 'Bearer ', 'bEaReR']) {
      it(`takes the scheme as "${scheme}" (RFC 9110 §11.1)`, async () => {
        expect((await send(`${app.url}/orders`, `${scheme} ${await token()}`)).status).to.equal(200);
      });
    }

    describe('answers 401 without an error code (RFC 6750 §3.1) to', () => {
      const cases: Record<string, () => Promise<Answer>> = {
        'no credential': () => send(`${app.url}/orders`),
        'another scheme': () => send(`${app.url}/orders`, 'Basic YTpi'),
        'a DPoP token': () => send(`${app.url}/orders`, 'DPoP abc'),
        'a scheme that only begins like ours': () => send(`${app.url}/orders`, 'BearerX abc'),
        'a token in the query only': async () => send(`${app.url}/orders?access_token=${await token()}`),
      };
      for (const [fact, act] of Object.entries(cases)) {
        it(fact, async () => {
          const { status, headers, body } = await act();
          expect(status).to.equal(401);
          expect(headers['www-authenticate']).to.equal('Bearer');
          expect(headers['cache-control']).to.equal('no-store');
          expect(body).to.equal('');
          expect(routed).to.equal(0);
        });
      }
    });

    describe('answers 400 invalid_request to', () => {
      const cases: Record<string, () => Promise<Answer>> = {
        'no token after the scheme': () => send(`${app.url}/orders`, 'Bearer'),
        'two words': () => send(`${app.url}/orders`, 'Bearer a b'),
        'two credentials in one header': () => send(`${app.url}/orders`, 'Bearer a, Bearer b'),
        'a character that no token has': () => send(`${app.url}/orders`, 'Bearer a"b'),
        'two Authorization headers': async () =>
          send(`${app.url}/orders`, [`Bearer ${await token()}`, 'Bearer x']),
        'another credential beside the token': async () =>
          send(`${app.url}/orders`, ['Basic YTpi', `Bearer ${await token()}`]),
        'a second token in the query (RFC 6750 §2)': async () =>
          send(`${app.url}/orders?access_token=x`, `Bearer ${await token()}`),
        'a second token in the query, spelt otherwise': async () =>
          send(`${app.url}/orders?a=b&access%5Ftoken=x`, `Bearer ${await token()}`),
        'a second token in a form': async () =>
          send(`${app.url}/form`, `Bearer ${await token()}`, 'access_token=x'),
      };
      for (const [fact, act] of Object.entries(cases)) {
        it(fact, async () => {
          const { status, headers, body } = await act();
          expect(status).to.equal(400);
          expect(headers['www-authenticate']).to.equal('Bearer error="invalid_request"');
          expect(JSON.parse(body)).to.deep.equal({ error: 'invalid_request' });
          expect(routed).to.equal(0);
        });
      }
    });

    it('answers 401 invalid_token, in the same words whatever is wrong', async () => {
      const other = await makeKey('ES256', 'k');
      const answers = await Promise.all(
        [
          'garbage',
          await token({ aud: 'https://other.example' }),
          await token({ exp: clock.seconds - 60 }),
          await token({ iss: 'https://evil.example' }),
          await token({ cnf: { jkt: 'x' } }),
          await makeToken(other, server.issuer, clock),
          await makeToken({ ...key, kid: 'nobody' }, server.issuer, clock),
          await makeToken(key, server.issuer, clock, { header: { typ: 'JWT' } }),
        ].map(text => send(`${app.url}/orders`, `Bearer ${text}`)),
      );
      for (const { status, headers, body } of answers) {
        expect(status).to.equal(401);
        expect(headers['www-authenticate']).to.match(
          /^Bearer error="invalid_token", error_description="[^"]+"$/,
        );
        expect(headers['content-type']).to.match(/^application\/json/);
        expect(JSON.parse(body)).to.deep.equal({ error: 'invalid_token' });
      }
      expect(new Set(answers.map(({ headers }) => headers['www-authenticate'])).size).to.equal(1);
      expect(routed).to.equal(0);
    });

    it('answers 403 insufficient_scope with the scopes that are needed (RFC 6750 §3.1)', async () => {
      const { status, headers, body } = await send(`${app.url}/admin`, `Bearer ${await token()}`);
      expect(status).to.equal(403);
      expect(headers['www-authenticate']).to.equal(
        'Bearer error="insufficient_scope", scope="orders:read admin audit"',
      );
      expect(JSON.parse(body)).to.deep.equal({ error: 'insufficient_scope' });
      expect(routed).to.equal(0);
    });

    it('answers 503 with Retry-After while the keys cannot be had', async () => {
      server.answers.set('/broken', (_, response) => sendJson(response, {}, 500));
      await app.close();
      app = await start(
        createVerifier({
          issuer: server.issuer,
          audience: AUDIENCE,
          jwksUri: `${server.issuer}/broken`,
          now: clock.now,
        }),
      );
      const { status, headers, body } = await send(`${app.url}/orders`, `Bearer ${await token()}`);
      expect(status).to.equal(503);
      expect(headers['retry-after']).to.equal('5');
      expect(headers['www-authenticate']).to.equal(undefined);
      expect(JSON.parse(body)).to.deep.equal({ error: 'temporarily_unavailable' });
      expect(routed).to.equal(0);
    });

    it('takes an introspector as well', async () => {
      server.answers.set('/introspect', (_, response, body) =>
        sendJson(response, {
          active: new URLSearchParams(body).get('token') === 'live',
          token_type: 'Bearer',
          ...claimsAt(server.issuer, clock.seconds),
        }),
      );
      await app.close();
      app = await start(
        createIntrospector({
          issuer: server.issuer,
          audience: AUDIENCE,
          introspectionEndpoint: `${server.issuer}/introspect`,
          clientId: 'cl_api',
          clientSecret: 'cvg_cs_1',
          now: clock.now,
        }),
      );
      expect((await send(`${app.url}/orders`, 'Bearer live')).status).to.equal(200);
      expect((await send(`${app.url}/orders`, 'Bearer dead')).status).to.equal(401);
    });

    it('a fault of the program is a 500 and the route does not run', async () => {
      const faulty = { verify: () => Promise.reject(new RangeError('a bug')) };
      await app.close();
      app = await start(faulty);
      expect((await send(`${app.url}/orders`, 'Bearer live')).status).to.equal(500);
      expect(routed).to.equal(0);
    });

    it('refuses a scope that could break out of the challenge with a TypeError', () => {
      const verifier = { verify: () => Promise.reject(new Error('unused')) };
      for (const { requireAccessToken } of [forKoa, forExpress, forFastify]) {
        expect(() => requireAccessToken(verifier, { scopes: ['a", error="x'] })).to.throw(TypeError);
      }
    });
  });
}
